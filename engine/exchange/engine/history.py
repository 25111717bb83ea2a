"""A new, empty exchange is given a past: trading that really happened, only that nobody waited.

This is an engine that leads while its clock runs fast: the commands are journalled, executed and
appended by what does so for everybody, at the times at which they would have come. Who starts after
it finds an exchange that ran for so long and was stopped in good order.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from exchange.engine.past_market import Moment, Traders, beginning, funding, trading
from exchange.engine.recovery import diagnose
from exchange.engine.replica import Replica, load
from exchange.postgres_db import epochs
from exchange.redis.journal import FRAME_COMMANDS_MAX, Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.candles import HOUR, MINUTE
from exchange.services.clock import now_us
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.failures import WorldFailed
from exchange.services.messages import Outcome, encode
from exchange.services.rows import Trade
from exchange.services.settings import Settings


class History(Struct, frozen=True):
    """What was made."""

    commands: int
    trades: int


async def make(settings: Settings, *, hours: int, seed: int) -> History | None:
    """Let so many hours pass, up to now; None, and nothing is done, where the exchange is not new."""
    if (await diagnose(settings)).state != "new":
        return None
    dsn = settings.database_dsn()
    async with await Outcomes.open(settings.redis_url) as outcomes:
        await outcomes.cluster(await epochs.cluster_uuid(dsn))
    replica = await load(dsn)
    journal = await Journal.open(settings.redis_url, name="history")
    leadership = await Leadership.open(settings.redis_url)
    try:
        claim = await leadership.claim(await epochs.next_epoch(dsn))
        replica.epoch = claim.epoch
        with leadership.beating():
            past = _Past(journal, leadership, replica)
            await epochs.use_clean_stop(dsn)
            await past.happen(hours, seed)
            if await leadership.close_gate(replica.position):
                await epochs.note_clean_stop(dsn, replica.position)
    finally:
        leadership.close()
        journal.close()
    return History(past.commands, past.trades)


class _Past:
    """What an engine has in its hands while it leads through times that are over."""

    def __init__(self, journal: Journal, leadership: Leadership, replica: Replica) -> None:
        self._journal, self._leadership, self._replica = journal, leadership, replica
        self.commands = 0
        self.trades = 0

    async def happen(self, hours: int, seed: int) -> None:
        """From the opening of the gate to now."""
        end = now_us()
        begin = end - end % MINUTE - hours * HOUR
        await self._leadership.open_gate(self._replica.open(1, begin))
        outcomes = await self._execute([Moment(begin, beginning())])
        maker, taker = (outcome.number for outcome in outcomes[-2:])
        traders = Traders(maker, taker)
        await self._execute([Moment(begin, funding(traders))])
        for moments in _portions(trading(traders, seed=seed, begin=begin, end=end)):
            await self._execute(moments)

    async def _execute(self, moments: Sequence[Moment]) -> list[Outcome]:
        """Journal all of it in one frame; then each moment happens at its time."""
        commands = [command for moment in moments for command in moment.commands]
        expected = self._replica.position + len(commands)
        last = await self._journal.append(encode(commands), len(commands), clock=now_us())
        if last != expected:
            raise WorldFailed("somebody else trades while the past is made")
        frames = []
        for moment in moments:
            waiting: deque[AnyCommand | Undecodable] = deque(moment.commands)
            while waiting:
                frames.append(self._replica.execute(waiting, moment.time))
        await self._leadership.append_all(frames)
        outcomes = [outcome for frame in frames for outcome in frame.outcomes]
        self.commands += len(commands)
        self.trades += sum(isinstance(row, Trade) for one in outcomes for row in one.rows)
        return outcomes


def _portions(moments: Iterable[Moment]) -> Iterator[list[Moment]]:
    """As many as fit a frame of the journal."""
    portion: list[Moment] = []
    size = 0
    for moment in moments:
        if size + len(moment.commands) > FRAME_COMMANDS_MAX:
            yield portion
            portion, size = [], 0
        portion.append(moment)
        size += len(moment.commands)
    yield portion
