"""What is traded and by which rules: assets, markets and the filters an order must pass."""

from enum import StrEnum

import msgspec

RATE_SCALE = 1_000_000
"""Fee rates are integers in millionths: 1_000 is 0.1 %."""


class Mode(StrEnum):
    """What a market, or the whole exchange, does with commands."""

    RUNNING = "RUNNING"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALTED = "HALTED"


class Asset(msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message"):
    """A currency or token; `decimals` (0–18) says how many units make one whole."""

    name: str
    decimals: int


class Market(
    msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message", kw_only=True
):
    """One order book and its rules.

    A price is the number of quote units for one whole base, so that
    `price * quantity / 10**base_decimals` is quote units; quantities are base units.
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

    @property
    def base_unit(self) -> int:
        """Base units in one whole."""
        return int(10**self.base_decimals)

    def notional(self, price: int, quantity: int) -> int:
        """Quote units for a quantity at a price; exact, because tick × lot is whole."""
        product, remainder = divmod(price * quantity, self.base_unit)
        assert remainder == 0, (self.symbol, price, quantity)
        return product

    def quantity_for(self, quote_quantity: int, price: int) -> int:
        """The largest quantity on the lot grid that costs no more than `quote_quantity`."""
        quantity = quote_quantity * self.base_unit // price
        return quantity - quantity % self.lot


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
    if not 0 <= market.notional_min <= market.notional_max:
        return "The minimum notional must be at most the maximum."
    if not (0 <= market.maker_rate < RATE_SCALE and 0 <= market.taker_rate < RATE_SCALE):
        return "A fee rate must be at least 0 and below 1."
    return None


class Filter(StrEnum):
    """The rules of a market by the names of the public API."""

    PRICE_FILTER = "PRICE_FILTER"
    LOT_SIZE = "LOT_SIZE"
    NOTIONAL = "NOTIONAL"


def failed_filter(
    market: Market,
    *,
    price: int | None,
    quantity: int | None,
    quote_quantity: int | None,
    average_price: int,
) -> Filter | None:
    """The first filter that an order does not pass.

    `price` is None for a market order, whose notional is taken at `average_price` (0: the market
    has never traded and nothing can be said); `quantity` is None when `quote_quantity` is given.
    """
    if price is not None and not _on_grid(price, market.tick, market.tick, market.price_max):
        return Filter.PRICE_FILTER
    if quantity is not None and not _on_grid(
        quantity, market.lot, market.quantity_min, market.quantity_max
    ):
        return Filter.LOT_SIZE
    notional = _notional(market, price or average_price, quantity, quote_quantity)
    if notional is None:
        return None
    # A market order may be as large as the book allows: only its minimum is checked.
    too_large = price is not None and notional > market.notional_max
    return Filter.NOTIONAL if too_large or notional < market.notional_min else None


def _on_grid(value: int, step: int, low: int, high: int) -> bool:
    return low <= value <= high and value % step == 0


def _notional(
    market: Market, price: int, quantity: int | None, quote_quantity: int | None
) -> int | None:
    if quote_quantity is not None:
        return quote_quantity
    assert quantity is not None
    # An average price need not lie on the tick, so this floors instead of asserting.
    return price * quantity // market.base_unit if price else None


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
        )

    return assets, [
        market("SOL", "USDC", unit // 1_000),
        market("BTC", "USDT", unit // 100_000),
        market("ETH", "USDT", unit // 10_000),
    ]
