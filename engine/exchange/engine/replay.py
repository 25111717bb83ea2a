"""`exchange replay`: a recorded market through the engine, in this process, trade by trade.

The engine is the product's own; nothing is journalled. Every recorded order has an account to
itself with all that it needs, so that only matching decides, and fees are zero.
"""

from collections.abc import Iterable
from itertools import zip_longest

from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import AnyCommand, CancelOrder, NewOrder, PlaceOrder
from exchange.services.markets import Asset, Market
from exchange.services.messages import Outcome, Placed, Reason, Rejected
from exchange.services.orders import OrderType
from exchange.services.recordings import CANCEL, DECIMALS, RecordedOrder, RecordedTrade
from exchange.services.rows import Account, Balance, Counters, Trade

_UNIT = 10**DECIMALS
_PLENTY = 10**40

MARKET = Market(
    symbol="RECORDED",
    base="BASE",
    quote="QUOTE",
    base_decimals=DECIMALS,
    # So that all products are whole.
    quote_decimals=2 * DECIMALS,
    tick=_UNIT,
    lot=1,
    price_max=_PLENTY,
    quantity_min=1,
    quantity_max=_PLENTY,
    notional_min=0,
    notional_max=_PLENTY**2,
    maker_rate=0,
    taker_rate=0,
)


class Replay:
    """An engine that is fed a recording, and the trades that it made of it."""

    def __init__(self) -> None:
        self.trades: list[RecordedTrade] = []
        self.commands = 0
        self.refused = 0
        self._engine = MatchingEngine()
        self._names: dict[int, str] = {}
        self._accounts: dict[str, int] = {}
        for asset in (Asset(MARKET.base, DECIMALS), Asset(MARKET.quote, 2 * DECIMALS)):
            self._engine.restore(asset)
        self._engine.restore(MARKET)
        self._engine.restore(Counters(symbol=MARKET.symbol))

    def feed(self, records: Iterable[RecordedOrder]) -> None:
        """Execute some more of the recording."""
        for record in records:
            self.commands += 1
            command, now = self._command(record), record.time_ms * 1_000
            self._take(record, self._engine.apply(self.commands, command, now))

    def _command(self, record: RecordedOrder) -> AnyCommand:
        if record.kind == CANCEL:
            return CancelOrder(
                account=self._accounts.get(record.order, 0),
                symbol=MARKET.symbol,
                client_order_id=record.order,
            )
        assert record.side is not None
        return PlaceOrder(
            account=self._funded_account(record.order),
            symbol=MARKET.symbol,
            order=NewOrder(
                side=record.side,
                type=OrderType(record.kind),
                price=record.price * _UNIT,
                quantity=record.quantity,
                client_order_id=record.order,
            ),
        )

    def _funded_account(self, order: str) -> int:
        """An account of the order's own, as if loaded with the state."""
        account = self._accounts.get(order)
        if account is None:
            account = self._accounts[order] = len(self._accounts) + 1
            self._engine.restore(Account(id=account, name=order, created=0))
            for asset in (MARKET.base, MARKET.quote):
                self._engine.restore(Balance(account=account, asset=asset, free=_PLENTY, locked=0))
        return account

    def _take(self, record: RecordedOrder, outcome: Outcome) -> None:
        if isinstance(outcome.result, Placed):
            self._names[outcome.result.order_id] = record.order
        elif isinstance(outcome.result, Rejected):
            # Its order being gone is how many a recorded cancel ends.
            self.refused += outcome.result.reason is not Reason.UNKNOWN_ORDER
        for row in outcome.rows:
            if isinstance(row, Trade):
                self.trades.append(
                    RecordedTrade(
                        row.price // _UNIT,
                        row.quantity,
                        self._names[row.buy_order],
                        self._names[row.sell_order],
                        row.taker_side,
                    )
                )


def first_difference(
    made: Iterable[RecordedTrade], expected: Iterable[RecordedTrade]
) -> str | None:
    """Where two sequences of trades part, as a sentence."""
    for number, (ours, theirs) in enumerate(zip_longest(made, expected), 1):
        if ours != theirs:
            return (
                f"Trade {number} differs.\n  recorded: {theirs or 'no more trades'}"
                f"\n  made:     {ours or 'no more trades'}"
            )
    return None
