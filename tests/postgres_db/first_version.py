"""A row of each table as the first version wrote it, and what is loaded of them ever since."""

from exchange.services.markets import Asset, Market, Rules
from exchange.services.orders import OrderStatus, OrderType, SelfTrade, Side, TimeInForce
from exchange.services.rows import Account, Counters, Key, KeyKind, Order

STATEMENTS = (
    "INSERT INTO accounts (account_id, name, created) VALUES (1, 'alice', 2)",
    """INSERT INTO keys (api_key, account_id, kind, secret, can_trade, created)
    VALUES ('k', 1, 'HMAC', 'secret', true, 3)""",
    "INSERT INTO assets (asset, decimals) VALUES ('SOL', 18), ('USDC', 8)",
    """INSERT INTO markets (
        symbol, base, quote, base_decimals, quote_decimals, tick, lot, price_max, quantity_min,
        quantity_max, notional_min, notional_max, average_price_minutes, maker_rate, taker_rate,
        mode, created
    ) VALUES ('SOLUSDC', 'SOL', 'USDC', 18, 8, 1, 2, 3, 4, 5, 6, 7, 2, 8, 9, 'RUNNING', 10)""",
    """INSERT INTO counters (symbol, order_id, trade_id, update_id, queue, last_price)
    VALUES ('SOLUSDC', 2, 1, 3, 4, 5)""",
    """INSERT INTO orders (
        symbol, order_id, account_id, client_order_id, side, type, time_in_force, price, quantity,
        quote_quantity, filled, filled_quote, locked, status, queue, created, updated, request,
        deadline, number
    ) VALUES
        ('SOLUSDC', 1, 1, 'a', 'BUY', 'LIMIT', 'GTC', 5, 6, 0, 6, 7, 0, 'FILLED', 1, 8, 9, 'r', 99,
        11),
        ('SOLUSDC', 2, 1, 'b', 'SELL', 'LIMIT', 'GTC', 5, 6, 0, 2, 7, 4, 'PARTIALLY_FILLED', 2, 8,
        9, NULL, 0, 12)""",
    "INSERT INTO balances (account_id, asset, free, locked) VALUES (1, 'SOL', 7, 4)",
    """INSERT INTO trades (
        symbol, trade_id, price, quantity, quote_quantity, time, taker_side, buy_order, sell_order,
        buy_account, sell_account, buy_fee, sell_fee
    ) VALUES ('SOLUSDC', 1, 5, 2, 7, 9, 'SELL', 1, 2, 1, 1, 0, 1)""",
    """INSERT INTO transfers (number, account_id, asset, kind, amount, reference, time)
    VALUES (10, 1, 'SOL', 'DEPOSIT', 11, 'reference', 4)""",
    """INSERT INTO candles (
        symbol, interval, open_time, open, high, low, close, volume, quote_volume, trades,
        taker_base, taker_quote, first_trade_id, last_trade_id
    ) SELECT
        'SOLUSDC', interval, number * 60000000, 1, 1, 1, 1, number, 10 * number, 1, 1, 1, 1, 1
    FROM unnest('{1s,1m}'::text[]) AS interval, generate_series(3, 6) AS number
    WHERE number <> 5""",
    "INSERT INTO generations (base, epoch, time) VALUES (1, 1, 1)",
    "UPDATE position SET number = 12, state_hash = 13, epoch = 1, time = 14",
    "UPDATE epoch SET number = 1",
)

CONTROL_ROWS = [
    Asset("SOL", 18),
    Asset("USDC", 8),
    Market(
        symbol="SOLUSDC",
        base="SOL",
        quote="USDC",
        base_decimals=18,
        quote_decimals=8,
        tick=1,
        lot=2,
        price_max=3,
        quantity_min=4,
        quantity_max=5,
        notional_min=6,
        notional_max=7,
        average_price_minutes=2,
        maker_rate=8,
        taker_rate=9,
        created=10,
        rules=Rules(),
    ),
    Counters(symbol="SOLUSDC", order_id=2, trade_id=1, update_id=3, queue=4, last_price=5),
    Account(id=0, name="exchange", created=0),
    Account(id=1, name="alice", created=2),
    Key(api_key="k", account=1, kind=KeyKind.HMAC, secret=b"secret", can_trade=True, created=3),
]
OPEN_ORDERS = [
    Order(
        symbol="SOLUSDC",
        id=2,
        account=1,
        client_order_id="b",
        side=Side.SELL,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price=5,
        quantity=6,
        quote_quantity=0,
        filled=2,
        filled_quote=7,
        locked=4,
        status=OrderStatus.PARTIALLY_FILLED,
        queue=2,
        created=8,
        updated=9,
        request=None,
        deadline=0,
        self_trade=SelfTrade.NONE,
        special=None,
    )
]
