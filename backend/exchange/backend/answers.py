"""What answers look like, for the description of the API: markets, what happens on them, and accounts.

Nothing is sent through these: answers are made of rows by the formats. That the two agree is tested
on real answers.
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType, field

from exchange.services.orders import OrderType, SelfTrade

Amount: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["1.50000000"])
]
"""A decimal number as text."""
Time: TypeAlias = Annotated[int, msgspec.Meta(description="Since 1970, in the unit asked for.")]
MaybeAmount: TypeAlias = Amount | UnsetType
MaybeTime: TypeAlias = Time | UnsetType
MaybeNumber: TypeAlias = int | UnsetType
MaybeFlag: TypeAlias = bool | UnsetType


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An object with these fields, and no others."""


class Nothing(Shape, frozen=True, kw_only=True):
    """An empty object: it is done."""


# --- The exchange and its markets ---


class ServerTime(Shape, frozen=True, kw_only=True):
    server_time: Time


class RateLimit(Shape, frozen=True, kw_only=True):
    """How much may be asked for in such a time; `count` is how much of it is used."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int
    count: MaybeNumber = UNSET


class Filter(Shape, frozen=True, kw_only=True):
    """A rule that orders must keep to; which fields it has depends on its type."""

    filter_type: str
    min_price: MaybeAmount = UNSET
    max_price: MaybeAmount = UNSET
    tick_size: MaybeAmount = UNSET
    min_qty: MaybeAmount = UNSET
    max_qty: MaybeAmount = UNSET
    step_size: MaybeAmount = UNSET
    multiplier_up: MaybeAmount = UNSET
    multiplier_down: MaybeAmount = UNSET
    bid_multiplier_up: MaybeAmount = UNSET
    bid_multiplier_down: MaybeAmount = UNSET
    ask_multiplier_up: MaybeAmount = UNSET
    ask_multiplier_down: MaybeAmount = UNSET
    avg_price_mins: MaybeNumber = UNSET
    min_notional: MaybeAmount = UNSET
    max_notional: MaybeAmount = UNSET
    apply_to_market: MaybeFlag = UNSET
    apply_min_to_market: MaybeFlag = UNSET
    apply_max_to_market: MaybeFlag = UNSET
    limit: int | Amount | UnsetType = UNSET
    asset: str | UnsetType = UNSET
    max_num_orders: MaybeNumber = UNSET
    max_num_algo_orders: MaybeNumber = UNSET
    max_num_iceberg_orders: MaybeNumber = UNSET
    max_num_order_lists: MaybeNumber = UNSET
    max_num_order_amends: MaybeNumber = UNSET
    max_position: MaybeAmount = UNSET
    min_trailing_above_delta: MaybeNumber = UNSET
    max_trailing_above_delta: MaybeNumber = UNSET
    min_trailing_below_delta: MaybeNumber = UNSET
    max_trailing_below_delta: MaybeNumber = UNSET


class Symbol(Shape, frozen=True, kw_only=True):
    """A market, and what may be done on it."""

    symbol: str
    status: str
    base_asset: str
    base_asset_precision: int
    quote_asset: str
    quote_precision: int
    quote_asset_precision: int
    base_commission_precision: int
    quote_commission_precision: int
    order_types: list[OrderType]
    iceberg_allowed: bool
    oco_allowed: bool
    oto_allowed: bool
    opo_allowed: bool
    quote_order_qty_market_allowed: bool
    allow_trailing_stop: bool
    cancel_replace_allowed: bool
    amend_allowed: bool
    peg_instructions_allowed: bool
    is_spot_trading_allowed: bool
    is_margin_trading_allowed: bool
    filters: list[Filter]
    permissions: list[str]
    permission_sets: list[list[str]] | UnsetType = UNSET
    default_self_trade_prevention_mode: SelfTrade
    allowed_self_trade_prevention_modes: list[SelfTrade]


class ExchangeInformation(Shape, frozen=True, kw_only=True):
    timezone: str
    server_time: Time
    rate_limits: list[RateLimit]
    exchange_filters: list[Filter]
    symbols: list[Symbol]


class Rule(Shape, frozen=True, kw_only=True):
    """What the prices of trades must keep to; a multiplier that is switched off is left out."""

    rule_type: str
    bid_limit_mult_up: MaybeAmount = UNSET
    bid_limit_mult_down: MaybeAmount = UNSET
    ask_limit_mult_up: MaybeAmount = UNSET
    ask_limit_mult_down: MaybeAmount = UNSET


class SymbolRules(Shape, frozen=True, kw_only=True):
    symbol: str
    rules: list[Rule]


class ExecutionRules(Shape, frozen=True, kw_only=True):
    symbol_rules: list[SymbolRules]


# --- What happens on markets ---


class Depth(Shape, frozen=True, kw_only=True):
    """Levels are price and quantity, the best first."""

    last_update_id: int
    bids: list[tuple[Amount, Amount]]
    asks: list[tuple[Amount, Amount]]


class AveragePrice(Shape, frozen=True, kw_only=True):
    mins: int
    price: Amount
    close_time: Time


class PublicTrade(Shape, frozen=True, kw_only=True):
    id: int
    price: Amount
    qty: Amount
    quote_qty: Amount
    time: Time
    is_buyer_maker: bool
    is_best_match: bool


class Aggregate(Shape, frozen=True, kw_only=True):
    """What one order took at one price: a id, p price, q quantity, f to l trades, T time, m maker buys."""

    a: int
    p: Amount
    q: Amount
    f: int
    l: int  # noqa: E741, the public API calls it so
    time: Time = field(name="T")
    m: bool
    is_best: bool = field(name="M")


Kline: TypeAlias = tuple[
    Time, Amount, Amount, Amount, Amount, Amount, Time, Amount, int, Amount, Amount, str
]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, and what takers bought."""


class MiniTicker(Shape, frozen=True, kw_only=True):
    """A market in a window of time; -1 in place of the ids where nothing was traded."""

    symbol: str
    open_price: Amount
    high_price: Amount
    low_price: Amount
    last_price: Amount
    volume: Amount
    quote_volume: Amount
    open_time: Time
    close_time: Time
    first_id: int
    last_id: int
    count: int


class WindowTicker(MiniTicker, frozen=True, kw_only=True):
    price_change: Amount
    price_change_percent: Amount
    weighted_avg_price: Amount


class DayTicker(WindowTicker, frozen=True, kw_only=True):
    """Of the last 24 hours, with the best prices of this moment."""

    prev_close_price: Amount
    last_qty: Amount
    bid_price: Amount
    bid_qty: Amount
    ask_price: Amount
    ask_qty: Amount


class PriceTicker(Shape, frozen=True, kw_only=True):
    symbol: str
    price: Amount


class BookTicker(Shape, frozen=True, kw_only=True):
    symbol: str
    bid_price: Amount
    bid_qty: Amount
    ask_price: Amount
    ask_qty: Amount


# --- Accounts ---


class Balance(Shape, frozen=True, kw_only=True):
    asset: str
    free: Amount
    locked: Amount


class Rates(Shape, frozen=True, kw_only=True):
    maker: Amount
    taker: Amount
    buyer: Amount
    seller: Amount


class AccountInformation(Shape, frozen=True, kw_only=True):
    """Commissions are in hundredths of a percent."""

    maker_commission: int
    taker_commission: int
    buyer_commission: int
    seller_commission: int
    commission_rates: Rates
    can_trade: bool
    can_withdraw: bool
    can_deposit: bool
    brokered: bool
    require_self_trade_prevention: bool
    prevent_sor: bool
    update_time: Time
    account_type: str
    balances: list[Balance]
    permissions: list[str]
    uid: int


class OwnTrade(Shape, frozen=True, kw_only=True):
    symbol: str
    id: int
    order_id: int
    order_list_id: int
    price: Amount
    qty: Amount
    quote_qty: Amount
    commission: Amount
    commission_asset: str
    time: Time
    is_buyer: bool
    is_maker: bool
    is_best_match: bool


class Discount(Shape, frozen=True, kw_only=True):
    enabled_for_account: bool
    enabled_for_symbol: bool
    discount_asset: str
    discount: Amount


class Commission(Shape, frozen=True, kw_only=True):
    symbol: str
    standard_commission: Rates
    special_commission: Rates
    tax_commission: Rates
    discount: Discount


class MyFilters(Shape, frozen=True, kw_only=True):
    exchange_filters: list[Filter]
    symbol_filters: list[Filter]
    asset_filters: list[Filter]


class ListenKey(Shape, frozen=True, kw_only=True):
    listen_key: str


# --- Around the spot API ---


class Currency(Shape, frozen=True, kw_only=True):
    coin: str
    name: str
    free: Amount
    locked: Amount
    freeze: Amount
    ipoable: Amount
    ipoing: Amount
    storage: Amount
    withdrawing: Amount
    deposit_all_enable: bool
    withdraw_all_enable: bool
    is_legal_money: bool
    trading: bool
    network_list: list[Any]


class TradeFee(Shape, frozen=True, kw_only=True):
    symbol: str
    maker_commission: Amount
    taker_commission: Amount


class SystemStatus(Shape, frozen=True, kw_only=True):
    """0 is normal."""

    status: int
    msg: str


class AccountStatus(Shape, frozen=True, kw_only=True):
    data: str


class Session(Shape, frozen=True, kw_only=True):
    """Who a connection is; null where it has not logged on."""

    api_key: str | None
    authorized_since: Time | None
    connected_since: Time
    return_rate_limits: bool
    server_time: Time
    user_data_stream: bool


class Subscription(Shape, frozen=True, kw_only=True):
    subscription_id: int
