"""One of every row that Postgres stores, with amounts that no 64-bit integer holds."""

from exchange.services.markets import Asset, Market, Mode
from exchange.services.messages import (
    Account,
    Balance,
    Counters,
    Done,
    Key,
    KeyKind,
    Order,
    OrderStatus,
    OrderType,
    Outcome,
    OutcomeFrame,
    Result,
    Row,
    Side,
    TimeInForce,
    Trade,
    Transfer,
    TransferKind,
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
)
COUNTERS = Counters(
    symbol="SOLUSDC",
    order_id=2**62,
    trade_id=2**61,
    update_id=2**60,
    queue=2**59,
    last_price=HUGE,
)
ACCOUNTS = [
    Account(id=0, name="exchange", created=0),
    Account(id=1, name="alice", created=1_700_000_000_000_001),
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
    )


def trade(id: int, *, symbol: str = "SOLUSDC", time: int = 12, price: int = HUGE) -> Trade:
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
    )


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
