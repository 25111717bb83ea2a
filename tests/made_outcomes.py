"""Outcomes made by hand, as an engine would write them."""

import msgspec

from exchange.services.candles import MINUTE
from exchange.services.market_view import MarketViews
from exchange.services.markets import Market, default_markets
from exchange.services.messages import Done, Opened, Outcome, OutcomeFrame
from exchange.services.orders import Side
from exchange.services.rows import Beginning, Counters, Level, Row, Trade

START = 1_700_000_000_000_000 - 1_700_000_000_000_000 % MINUTE
_, MARKETS = default_markets()
BTCUSDT = next(market for market in MARKETS if market.symbol == "BTCUSDT")
UNIT = 10**8


def views(*markets: Market) -> MarketViews:
    rows: list[Row] = [*markets, *(Counters(symbol=market.symbol) for market in markets)]
    return MarketViews.load(0, rows=rows, levels=[], candles=[], trades=[])


def outcome(number: int, *rows: Row, opened: bool = False) -> Outcome:
    return Outcome(
        number=number,
        time=START,
        uid=0,
        request=None,
        deadline=0,
        result=Opened(epoch=1, base=number) if opened else Done(),
        rows=rows,
    )


def level(side: Side, price: int, quantity: int, symbol: str = "BTCUSDT") -> Level:
    return Level(symbol=symbol, side=side, price=price, quantity=quantity)


def trade(
    id: int, price: int, quantity: int, time: int, *, side: Side = Side.BUY, symbol: str = "BTCUSDT"
) -> Trade:
    return Trade(
        symbol=symbol,
        id=id,
        price=price,
        quantity=quantity,
        quote_quantity=price * quantity // UNIT,
        time=time,
        taker_side=side,
        buy_order=1,
        sell_order=2,
        buy_account=1,
        sell_account=2,
        buy_fee=0,
        sell_fee=0,
    )


def frame(previous: int, *outcomes: Outcome) -> OutcomeFrame:
    return OutcomeFrame(epoch=1, previous=previous, time=START, state_hash=0, outcomes=outcomes)


class MadeMarket:
    """Writes the frames of one market with dense numbers and ids, one outcome each."""

    def __init__(self, symbol: str = "BTCUSDT") -> None:
        self.counters = Counters(symbol=symbol)
        self.number = 0

    def frame(
        self, *levels: tuple[Side, int, int], trades: tuple[tuple[int, int], ...] = ()
    ) -> OutcomeFrame:
        """Levels are side, price, quantity; trades are price, quantity."""
        known = self.counters
        symbol, time = known.symbol, START + self.number
        made = [
            trade(known.trade_id + place, price, quantity, time, symbol=symbol)
            for place, (price, quantity) in enumerate(trades, 1)
        ]
        self.counters = msgspec.structs.replace(
            known,
            update_id=known.update_id + bool(levels),
            trade_id=known.trade_id + len(made),
            last_price=made[-1].price if made else known.last_price,
        )
        return self._frame(
            self.number + 1, *(level(*one, symbol) for one in levels), *made, self.counters
        )

    def opening(self, jump: int = 1 << 20) -> OutcomeFrame:
        """A new generation."""
        moved = self.counters.update_id + jump
        self.counters = msgspec.structs.replace(self.counters, update_id=moved)
        return self._frame(self.number + jump, self.counters, opened=True)

    def reset(self, *levels: tuple[Side, int]) -> OutcomeFrame:
        """The market begins anew; levels are side and price of what was open."""
        known = self.counters
        self.counters = msgspec.structs.replace(
            known, update_id=known.update_id + bool(levels), last_price=0
        )
        ended = [level(side, price, 0, known.symbol) for side, price in levels]
        beginning = Beginning(symbol=known.symbol, trade_id=known.trade_id)
        return self._frame(self.number + 1, *ended, self.counters, beginning)

    def _frame(self, number: int, *rows: Row, opened: bool = False) -> OutcomeFrame:
        previous, self.number = self.number, number
        return frame(previous, outcome(number, *rows, opened=opened))
