"""One of every row that Postgres stores, with amounts that no 64-bit integer holds."""

from msgspec.structs import replace

from exchange.services.markets import Asset, ExchangeRules, Feature, Market, Mode, Rules, Tier
from exchange.services.messages import Done, Outcome, OutcomeFrame, Result
from exchange.services.orders import (
    Contingency,
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import (
    Account,
    Act,
    Amendment,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    KeyKind,
    Order,
    OrderList,
    PreventedMatch,
    Role,
    Row,
    Special,
    Trade,
    Transfer,
    TransferKind,
    Withdrawal,
    WithdrawalStatus,
)

HUGE = 10**38 - 1
"""The largest amount there can be: 20 whole digits and 18 decimals."""

ASSETS = [Asset("SOL", 18), Asset("USDC", 8)]
MARKET = Market(
    symbol="SOLUSDC",
    base="SOL",
    quote="USDC",
    base_decimals=18,
    quote_decimals=8,
    tick=10**6,
    lot=10**15,
    price_max=HUGE,
    quantity_min=10**15,
    quantity_max=HUGE,
    notional_min=0,
    notional_max=HUGE,
    mode=Mode.CANCEL_ONLY,
    created=1_700_000_000_000_000,
    rules=Rules(
        order_types=(OrderType.MARKET, OrderType.LIMIT),
        features=(Feature.OTO,),
        self_trade_modes=(SelfTrade.DECREMENT,),
        self_trade_default=SelfTrade.DECREMENT,
        price_up=5_000_000,
        market_quantity_max=HUGE,
        market_lot=1,
        position_max=HUGE,
        notional_min_for_market=False,
        tiers=(Tier(tier=2, maker_rate=0, taker_rate=9), Tier(tier=1, maker_rate=1, taker_rate=2)),
    ),
)
EXCHANGE_RULES = ExchangeRules(
    orders_max=2**31 - 1,
    algo_orders_max=1,
    iceberg_orders_max=2,
    order_lists_max=3,
    # Neither by length nor by letter: the state hash is over the order of the keys, too.
    assets_max={"USDC": HUGE, "B": 1, "SOL": 2**64},
    discount_asset="SOL",
    discount=750_000,
    withdrawal_max={"B": 1, "USDC": HUGE},
    withdrawal_day_max={"B": 1, "SOL": 2**64},
    withdrawal_free_max={"SOL": 0},
    withdrawal_single_max={},
    withdrawals_frozen=True,
)
BEGINNING = Beginning(symbol="BTCUSDT", trade_id=2**40)
AVERAGE_PRICES = AveragePrices(symbol="SOLUSDC", minutes=((28_333_333, HUGE, 2**64), (5, 0, 1)))
COUNTERS = Counters(
    symbol="SOLUSDC",
    order_id=2**62,
    trade_id=2**61,
    update_id=2**60,
    queue=2**59,
    last_price=HUGE,
    match_id=2**58,
)
ACCOUNTS = [
    Account(id=0, name="exchange", created=0),
    Account(
        id=1,
        name="alice",
        created=1_700_000_000_000_001,
        tier=2**31 - 1,
        discount=True,
        stopped=True,
        owner=0,
        role=Role.ADMIN,
    ),
]
KEYS = [
    Key(
        api_key="A" * 64,
        account=1,
        kind=KeyKind.HMAC,
        secret=bytes(range(256)),
        can_trade=True,
        created=5,
    ),
    Key(
        api_key="B" * 64,
        account=1,
        kind=KeyKind.ED25519,
        secret=b"",
        can_trade=False,
        created=6,
        revoked=7,
        name="Ünïcode 'quoted'",
        can_read=False,
        can_withdraw=True,
        addresses=("10.0.0.0/8", "::1/128"),
        expires=2**53,
    ),
]
BALANCES = [
    Balance(account=0, asset="SOL", free=0, locked=0),
    Balance(account=1, asset="USDC", free=HUGE, locked=HUGE),
]
TRANSFERS = [
    Transfer(
        number=3,
        account=1,
        asset="USDC",
        kind=TransferKind.DEPOSIT,
        amount=HUGE,
        reference="bank 'one' \\ ünïcode",
        time=8,
    ),
    Transfer(
        number=4,
        account=1,
        asset="SOL",
        kind=TransferKind.WITHDRAWAL,
        amount=1,
        reference="two",
        time=9,
    ),
    Transfer(
        number=5,
        account=1,
        asset="SOL",
        kind=TransferKind.TRANSFER,
        amount=2,
        reference="three",
        time=10,
        counterparty=2**40,
    ),
]
WITHDRAWALS = [
    Withdrawal(
        reference="ünïcode 'w'",
        number=4,
        account=1,
        asset="SOL",
        amount=HUGE,
        address="bank \\ one",
        status=WithdrawalStatus.PENDING,
        approvals=("carol", "dave"),
        created=9,
        updated=10,
    )
]
ACTS = [
    Act(
        number=9,
        time=11,
        actor="carol",
        act="ChangeAccount",
        subject="account 'alice'",
        reason="",
        before="",
        after='{"stopped":true}',
    )
]


def order(
    id: int,
    *,
    symbol: str = "SOLUSDC",
    side: Side = Side.BUY,
    price: int = HUGE,
    quantity: int = HUGE,
    filled: int = 0,
    status: OrderStatus = OrderStatus.NEW,
    queue: int | None = None,
    created: int = 10,
    request: bytes | None = None,
    deadline: int = 0,
    self_trade: SelfTrade = SelfTrade.NONE,
    special: Special | None = None,
) -> Order:
    return Order(
        symbol=symbol,
        id=id,
        account=1,
        client_order_id='a "quoted", {strange} \\ id',
        side=side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price=price,
        quantity=quantity,
        quote_quantity=0,
        filled=filled,
        filled_quote=filled,
        locked=quantity - filled,
        status=status,
        queue=id if queue is None else queue,
        created=created,
        updated=11,
        request=request,
        deadline=deadline,
        self_trade=self_trade,
        special=special,
    )


SPECIAL = Special(
    stop_price=HUGE,
    trailing_delta=100,
    waiting=True,
    trailing_from=3,
    trailing_extreme=HUGE - 1,
    trailing_time=2**62,
    iceberg_quantity=HUGE - 2,
    shown=HUGE - 3,
    strategy_id=0,
    strategy_type=2**62,
    list_id=8,
    prevented=2**64,
    prevented_match_id=1,
    expiry_reason=ExpiryReason.UNFILLED_FOK,
    working_time=0,
    amends=10,
)
ORDER_LISTS = [
    OrderList(
        symbol="SOLUSDC",
        id=2**62,
        account=1,
        client_list_id='a "quoted", {strange} \\ list',
        contingency=Contingency.OTO,
        order_ids=(2**62, 2**62 + 1, 2**62 + 2),
        status=ListStatus.EXECUTING,
        created=1_700_000_000_000_000,
        updated=1_700_000_000_000_001,
    ),
    OrderList(
        symbol="SOLUSDC",
        id=2**62 + 1,
        account=1,
        client_list_id="",
        contingency=Contingency.OCO,
        order_ids=(1, 2),
        status=ListStatus.ALL_DONE,
        created=1,
        updated=2,
    ),
]
AMENDMENTS = [
    Amendment(
        symbol="SOLUSDC",
        number=2**62,
        order_id=1,
        account=1,
        client_order_id="before \\",
        new_client_order_id='"after"',
        quantity=HUGE,
        new_quantity=HUGE - 1,
        time=3,
    )
]
PREVENTED_MATCHES = [
    PreventedMatch(
        symbol="SOLUSDC",
        id=id,
        account=1,
        taker_order=2,
        maker_order=1,
        self_trade=self_trade,
        price=HUGE,
        taker_quantity=taker_quantity,
        maker_quantity=maker_quantity,
        time=4,
    )
    for id, self_trade, taker_quantity, maker_quantity in (
        (1, SelfTrade.EXPIRE_MAKER, 0, HUGE),
        (2**62, SelfTrade.DECREMENT, HUGE, HUGE),
    )
]


def trade(
    id: int,
    *,
    symbol: str = "SOLUSDC",
    time: int = 12,
    price: int = HUGE,
    buy_fee_asset: str = "",
    sell_fee_asset: str = "",
) -> Trade:
    return Trade(
        symbol=symbol,
        id=id,
        price=price,
        quantity=1,
        quote_quantity=price,
        time=time,
        taker_side=Side.SELL,
        buy_order=1,
        sell_order=2,
        buy_account=1,
        sell_account=1,
        buy_fee=0,
        sell_fee=HUGE,
        buy_fee_asset=buy_fee_asset,
        sell_fee_asset=sell_fee_asset,
    )


EXAMPLES: dict[type[Row], list[Row]] = {
    Account: [*ACCOUNTS],
    Key: [*KEYS],
    Asset: [*ASSETS],
    Market: [MARKET, replace(MARKET, symbol="BTCUSDT", rules=Rules())],
    ExchangeRules: [EXCHANGE_RULES],
    Counters: [COUNTERS],
    AveragePrices: [AVERAGE_PRICES, AveragePrices(symbol="BTCUSDT", minutes=())],
    Beginning: [BEGINNING],
    Order: [
        order(1, self_trade=SelfTrade.EXPIRE_BOTH, special=SPECIAL, request=bytes(range(32))),
        order(2),
        order(3, special=Special()),
        order(4, special=Special(working_time=5), status=OrderStatus.EXPIRED_IN_MATCH),
    ],
    OrderList: [*ORDER_LISTS],
    Amendment: [*AMENDMENTS],
    PreventedMatch: [*PREVENTED_MATCHES],
    Balance: [*BALANCES],
    Trade: [trade(1), trade(2, buy_fee_asset="BNB"), trade(3, sell_fee_asset="TAB\t\\N")],
    Transfer: [*TRANSFERS],
    Withdrawal: [*WITHDRAWALS],
    Act: [*ACTS],
}
"""Some of every kind that is stored."""


def outcome(
    number: int, *rows: Row, result: Result | None = None, request: bytes | None = None
) -> Outcome:
    return Outcome(
        number=number,
        time=number,
        uid=number,
        request=request,
        deadline=0,
        result=result or Done(),
        rows=rows,
    )


def frame(previous: int, *outcomes: Outcome, state_hash: int = 2**64 - 1) -> OutcomeFrame:
    return OutcomeFrame(
        epoch=3, previous=previous, time=20, state_hash=state_hash, outcomes=outcomes
    )
