"""What the markets and the whole exchange must add up to: pure, like the proof of an account."""

from collections.abc import Iterable, Mapping

from exchange.lab.chaos.evidence import Candle, MarketTrade
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.listener import Tape, fingerprint
from exchange.services.messages import JUMP

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
INTERVALS = {
    "1s": SECOND_US, "1m": 60 * SECOND_US, "1h": 3_600 * SECOND_US, "1d": DAY_US,
}  # fmt: skip

Levels = Mapping[tuple[str, int], int]


class MarketProof:
    """One market's trades, given one by one in the order of their ids, and then the rest."""

    def __init__(self, symbol: str, tape: Tape, last_id: int, findings: Findings) -> None:
        """`last_id` is the one before the first trade that is given; 0: there is none before."""
        self.jumps = 0
        """How many times a generation began with all ids moved on."""
        self._symbol, self._tape, self._findings = symbol, tape, findings
        self._last_id = last_id
        self._candles: dict[tuple[str, int], Candle] = {}
        self._streamed = 0
        self._spans = iter(tape.spans)
        self._span = next(self._spans, None)

    def take(self, trade: MarketTrade) -> None:
        left_out = trade.id - self._last_id - 1
        self._findings.check(
            Promise.TRADES, left_out >= 0 and left_out % JUMP == 0,
            self._symbol, "trade", trade.id, "comes after", self._last_id,
        )  # fmt: skip
        self.jumps += left_out // JUMP
        self._last_id = trade.id
        self._take_stream(trade)
        for interval, width in INTERVALS.items():
            key = (interval, trade.time - trade.time % width)
            self._candles[key] = _with(self._candles.get(key), trade)

    def finish(self, candles: Mapping[tuple[str, int], Candle], generations: int) -> None:
        """When all trades were given."""
        findings = self._findings
        findings.check(
            Promise.TRADES, self.jumps <= generations,
            self._symbol, "ids moved on", self.jumps, "times in", generations, "generations",
        )  # fmt: skip
        for key in candles.keys() | self._candles.keys():
            stored, wanted = candles.get(key), self._candles.get(key)
            findings.check(
                Promise.CANDLES, stored == wanted, self._symbol, key, stored, "should be", wanted
            )
        findings.check(
            Promise.STREAM, self._streamed == len(self._tape.seen),
            self._symbol, len(self._tape.seen), "trades were streamed,", self._streamed, "are there",
        )  # fmt: skip

    def _take_stream(self, trade: MarketTrade) -> None:
        while self._span is not None and self._span[1] < trade.id:
            self._span = next(self._spans, None)
        is_due = self._span is not None and self._span[0] <= trade.id
        mark = self._tape.seen.get(trade.id)
        if mark is None and not is_due:
            # It happened while nobody was connected.
            return
        wanted = fingerprint(trade.price, trade.quantity, trade.time // 1_000, not trade.taker_buys)
        self._streamed += mark is not None
        self._findings.check(
            Promise.STREAM, mark == wanted,
            self._symbol, "was streamed otherwise, or not:", trade,
        )  # fmt: skip


def _with(candle: Candle | None, trade: MarketTrade) -> Candle:
    """A candle after one more trade, of a greater id."""
    bought, bought_quote = (trade.quantity, trade.quote) if trade.taker_buys else (0, 0)
    if candle is None:
        return Candle(
            trade.price, trade.price, trade.price, trade.price, trade.quantity, trade.quote, 1,
            bought, bought_quote, trade.id, trade.id,
        )  # fmt: skip
    return Candle(
        candle.open,
        max(candle.high, trade.price),
        min(candle.low, trade.price),
        trade.price,
        candle.volume + trade.quantity,
        candle.quote_volume + trade.quote,
        candle.trades + 1,
        candle.taker_base + bought,
        candle.taker_quote + bought_quote,
        candle.first_trade_id,
        trade.id,
    )


def prove_sums(sums: Mapping[str, tuple[int, int]], negative: int, findings: Findings) -> None:
    """Nothing has come from nowhere, or gone."""
    for asset, (held, moved) in sums.items():
        findings.check(
            Promise.CONSERVED, held == moved, asset, held, "units are held and", moved, "came in"
        )
    findings.check(Promise.CONSERVED, negative == 0, negative, "balances are below zero")


def prove_depth(symbol: str, shown: Levels, orders: Levels, findings: Findings) -> None:
    """The book that is shown is that of the open orders, and nobody in it would trade at once."""
    for level in shown.keys() | orders.keys():
        findings.check(
            Promise.SAME, shown.get(level) == orders.get(level),
            symbol, level, "shows", shown.get(level), "and has", orders.get(level),
        )  # fmt: skip
    best_bid = max((price for side, price in shown if side == "BUY"), default=0)
    best_ask = min((price for side, price in shown if side == "SELL"), default=None)
    findings.check(
        Promise.LOCKS, best_ask is None or best_bid < best_ask,
        symbol, "is crossed:", best_bid, best_ask,
    )  # fmt: skip


def prove_klines(
    symbol: str,
    shown: Mapping[int, tuple[int, ...]],
    stored: Mapping[tuple[str, int], Candle],
    findings: Findings,
) -> None:
    """The minutes that the API shows are those that are stored."""
    for open_time, values in shown.items():
        candle = stored.get(("1m", open_time))
        wanted = candle and (
            candle.open, candle.high, candle.low, candle.close, candle.volume,
            candle.quote_volume, candle.trades,
        )  # fmt: skip
        findings.check(
            Promise.SAME, values == wanted, symbol, "minute", open_time, values, "is", wanted
        )


def prove_no_strangers(strangers: Iterable[str], findings: Findings) -> None:
    """For an exchange on which nobody else trades."""
    others = list(strangers)
    findings.check(Promise.NOTHING_ELSE, not others, *others)
