"""What is traded and by which rules: assets, markets, fees, and what each market offers."""

from enum import StrEnum

import msgspec

from exchange.services.average_price import MINUTES_KEPT
from exchange.services.orders import OrderType, SelfTrade, Side

RATE_SCALE = 1_000_000
"""Rates and multipliers are integers in millionths: a fee of 1_000 is 0.1 %."""

BASIS_POINTS = 10_000
"""A trailing delta is counted in these: 100 is 1 %."""

TRAILING_DELTA_MAX = BASIS_POINTS - 1
"""No price falls by 100 %: an order that waits for it would wait for ever."""

SMALL_MAX = 2**31 - 1
"""Counts and rates of rules stay below; amounts may be larger."""


class Mode(StrEnum):
    """What a market, or the whole exchange, does with commands.

    HALTED is an emergency, BREAK a planned pause: neither takes orders nor cancels.
    """

    RUNNING = "RUNNING"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALTED = "HALTED"
    BREAK = "BREAK"

    @property
    def takes_cancels(self) -> bool:
        return self is Mode.RUNNING or self is Mode.CANCEL_ONLY


class Feature(StrEnum):
    """What a market may or may not offer beside its order types."""

    ICEBERG = "ICEBERG"
    TRAILING = "TRAILING"
    QUOTE_QUANTITY = "QUOTE_QUANTITY"
    CANCEL_REPLACE = "CANCEL_REPLACE"
    AMEND = "AMEND"
    OCO = "OCO"
    OTO = "OTO"


class Asset(msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message"):
    """A currency or token; `decimals` (0–18) says how many units make one whole."""

    name: str
    decimals: int


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The fee rates of accounts of one tier, instead of the market's own."""

    tier: int
    maker_rate: int
    taker_rate: int


class Rules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a market offers, and what it forbids beyond its grid. Zero switches a rule off.

    Multipliers are millionths of the average price; quantities are base units; counts are of an
    account's open orders. The market lot counts for orders without a price; of trailing deltas
    `above` is for stop-loss buys and take-profit sells, `below` for the others. Ranges are what
    the trades of a taker must keep to, whatever its price.
    """

    order_types: tuple[OrderType, ...] = tuple(OrderType)
    features: tuple[Feature, ...] = tuple(Feature)
    self_trade_modes: tuple[SelfTrade, ...] = tuple(SelfTrade)
    self_trade_default: SelfTrade = SelfTrade.EXPIRE_MAKER
    price_up: int = 0
    price_down: int = 0
    bid_up: int = 0
    bid_down: int = 0
    ask_up: int = 0
    ask_down: int = 0
    range_bid_up: int = 0
    range_bid_down: int = 0
    range_ask_up: int = 0
    range_ask_down: int = 0
    market_quantity_min: int = 0
    market_quantity_max: int = 0
    market_lot: int = 0
    notional_min_for_market: bool = True
    notional_max_for_market: bool = False
    trailing_above_min: int = 0
    trailing_above_max: int = 0
    trailing_below_min: int = 0
    trailing_below_max: int = 0
    iceberg_parts: int = 0
    orders_max: int = 0
    algo_orders_max: int = 0
    iceberg_orders_max: int = 0
    order_lists_max: int = 0
    amends_max: int = 0
    position_max: int = 0
    fee_discount: bool = True
    """Whether fees may be paid in the exchange's discount asset."""
    tiers: tuple[Tier, ...] = ()

    @property
    def trailing_deltas(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Least and most above, and below."""
        return (
            (self.trailing_above_min, self.trailing_above_max),
            (self.trailing_below_min, self.trailing_below_max),
        )

    def multipliers(self, side: Side) -> tuple[int, int]:
        """Up and down for the price of an order."""
        return (self.bid_up, self.bid_down) if side is Side.BUY else (self.ask_up, self.ask_down)

    def price_range(self, side: Side) -> tuple[int, int]:
        """Up and down for the trades of a taker."""
        if side is Side.BUY:
            return self.range_bid_up, self.range_bid_down
        return self.range_ask_up, self.range_ask_down


class ExchangeRules(
    msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message", kw_only=True
):
    """Limits of an account over all markets (0: none), and the asset that makes fees cheaper.

    A fee paid in `discount_asset` ("": there is none) is multiplied by `discount` millionths.
    `assets_max` limits how much of an asset one order may move.

    Of withdrawals, by asset: how much one may be, and all of an account in 24 hours; up to where
    nobody has to approve of one, and up to where one admin is enough. An asset that is not named
    has no maximum, and each of its withdrawals needs one approval.
    """

    orders_max: int = 0
    algo_orders_max: int = 0
    iceberg_orders_max: int = 0
    order_lists_max: int = 0
    assets_max: dict[str, int] = {}
    discount_asset: str = ""
    discount: int = RATE_SCALE
    withdrawal_max: dict[str, int] = {}
    withdrawal_day_max: dict[str, int] = {}
    withdrawal_free_max: dict[str, int] = {}
    withdrawal_single_max: dict[str, int] = {}
    withdrawals_frozen: bool = False
    """No rule to be set, but a state: see FreezeWithdrawals."""


_UNITS = tuple(int(10**decimals) for decimals in range(19))


class Market(
    msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message", kw_only=True
):
    """One order book and its rules.

    A price is the number of quote units for one whole base, so that
    `price * quantity / 10**base_decimals` is quote units; quantities are base units. The grid —
    tick, lot and decimals — never changes. `notional_max` is 0 where there is none.
    """

    symbol: str
    base: str
    quote: str
    base_decimals: int
    quote_decimals: int
    tick: int
    lot: int
    price_max: int
    quantity_min: int
    quantity_max: int
    notional_min: int
    notional_max: int
    average_price_minutes: int = 5
    maker_rate: int = 1_000
    taker_rate: int = 1_000
    mode: Mode = Mode.RUNNING
    created: int = 0
    rules: Rules = Rules()

    @property
    def base_unit(self) -> int:
        """Base units in one whole."""
        return _UNITS[self.base_decimals]

    def notional(self, price: int, quantity: int) -> int:
        """Quote units for a quantity at a price; exact, because tick × lot is whole."""
        product, remainder = divmod(price * quantity, self.base_unit)
        assert remainder == 0, (self.symbol, price, quantity)
        return product

    def quantity_for(self, quote_quantity: int, price: int) -> int:
        """The largest quantity on the lot grid that costs no more than `quote_quantity`."""
        quantity = quote_quantity * self.base_unit // price
        return quantity - quantity % self.lot

    def fee_rates(self, tier: int) -> tuple[int, int]:
        """Maker and taker rate of an account of that tier; the market's own where it has none."""
        if tier:
            for one in self.rules.tiers:
                if one.tier == tier:
                    return one.maker_rate, one.taker_rate
        return self.maker_rate, self.taker_rate


def market_fault(market: Market) -> str | None:
    """Why this market cannot exist, as a sentence, or None if its numbers fit together."""
    if not (0 <= market.base_decimals <= 18 and 0 <= market.quote_decimals <= 18):
        return "An asset has 0 to 18 decimals."
    if market.base == market.quote:
        return "Base and quote are the same asset."
    if market.tick <= 0 or market.lot <= 0:
        return "Tick and lot must be above zero."
    if market.tick * market.lot % market.base_unit:
        return "Tick × lot is not a whole number of the quote asset's units."
    if not 0 < market.quantity_min <= market.quantity_max:
        return "The minimum quantity must be above zero and at most the maximum."
    if market.quantity_min % market.lot or market.quantity_max % market.lot:
        return "Minimum and maximum quantity must be multiples of the lot."
    if market.price_max < market.tick or market.price_max % market.tick:
        return "The maximum price must be a multiple of the tick."
    if min(market.notional_min, market.notional_max) < 0:
        return "The minimum notional, and the maximum, must not be below zero."
    if 0 < market.notional_max < market.notional_min:
        return "The minimum notional must be at most the maximum."
    if not 0 <= market.average_price_minutes <= MINUTES_KEPT:
        return f"The average price can be taken over at most {MINUTES_KEPT} minutes."
    if not _are_rates(market.maker_rate, market.taker_rate):
        return "A fee rate must be at least 0 and below 1."
    return _rules_fault(market)


def _rules_fault(market: Market) -> str | None:
    rules = market.rules
    numbers = {
        name: value
        for name, value in msgspec.structs.asdict(rules).items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    amounts = {name: value for name, value in numbers.items() if name in _AMOUNT_RULES}
    if any(value < 0 for value in numbers.values()):
        return "A rule's number must not be below zero."
    if any(value > SMALL_MAX for name, value in numbers.items() if name not in amounts):
        return f"A rule's number must be at most {SMALL_MAX}."
    if any(value % market.lot for value in amounts.values()):
        return "The quantities of rules must be multiples of the lot."
    if 0 < rules.market_quantity_max < rules.market_quantity_min:
        return "The minimum quantity of market orders must be at most the maximum."
    if rules.market_lot == 0 and (rules.market_quantity_min or rules.market_quantity_max):
        return "Limits for the quantity of market orders need a lot."
    if any(max(low, high) > TRAILING_DELTA_MAX for low, high in rules.trailing_deltas):
        return "A trailing delta must be below 100 %."
    if any(0 < high < low for low, high in rules.trailing_deltas):
        return "The minimum trailing delta must be at most the maximum."
    if any(0 < numbers[f"{name}_up"] < numbers[f"{name}_down"] for name in _MULTIPLIERS):
        return "The multiplier down must be at most the one up."
    if any(numbers[f"{name}_down"] and not numbers[f"{name}_up"] for name in _BANDS):
        return "A multiplier down for prices needs one up."
    if bool(rules.bid_up) != bool(rules.ask_up):
        return "The multipliers by side are needed for both sides."
    if rules.self_trade_default not in rules.self_trade_modes:
        return "The default self-trade prevention mode must be one of the allowed."
    if not rules.order_types:
        return "A market must take some type of order."
    if len({one.tier for one in rules.tiers}) != len(rules.tiers):
        return "A tier may have only one pair of rates."
    if not all(0 < one.tier <= SMALL_MAX for one in rules.tiers):
        return "A tier is a number above zero."
    if not all(_are_rates(one.maker_rate, one.taker_rate) for one in rules.tiers):
        return "A fee rate must be at least 0 and below 1."
    return None


_AMOUNT_RULES = ("market_quantity_min", "market_quantity_max", "market_lot", "position_max")
# The public API shows these as filters, which have both bounds; a range may have one.
_BANDS = ("price", "bid", "ask")
_MULTIPLIERS = (*_BANDS, "range_bid", "range_ask")


def _are_rates(*rates: int) -> bool:
    return all(0 <= rate < RATE_SCALE for rate in rates)


DEFAULT_RULES = Rules(
    bid_up=5 * RATE_SCALE,
    bid_down=RATE_SCALE // 5,
    ask_up=5 * RATE_SCALE,
    ask_down=RATE_SCALE // 5,
    trailing_above_min=10,
    trailing_above_max=2_000,
    trailing_below_min=10,
    trailing_below_max=2_000,
    iceberg_parts=10,
    orders_max=200,
    algo_orders_max=20,
)
"""Of a market whose operator asks for nothing else."""


USUAL_PRICES = {"BTC": 78_000, "ETH": 2_600, "SOL": 150}
"""Where made-up trading in the default markets begins, by base asset: whole units of the quote
asset for a whole one."""


def default_markets() -> tuple[list[Asset], list[Market]]:
    """What a new, empty exchange offers."""
    assets = [Asset(name, 8) for name in ("SOL", "USDC", "BTC", "USDT", "ETH")]
    unit = 10**8

    def market(base: str, quote: str, lot: int) -> Market:
        return Market(
            symbol=base + quote,
            base=base,
            quote=quote,
            base_decimals=8,
            quote_decimals=8,
            tick=unit // 100,
            lot=lot,
            price_max=1_000_000 * unit,
            quantity_min=lot,
            quantity_max=100_000 * unit,
            notional_min=5 * unit,
            notional_max=9_000_000 * unit,
            rules=DEFAULT_RULES,
        )

    return assets, [
        market("SOL", "USDC", unit // 1_000),
        market("BTC", "USDT", unit // 100_000),
        market("ETH", "USDT", unit // 10_000),
    ]
