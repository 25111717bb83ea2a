"""`exchange verify`: is what is kept what was promised? It reads both stores, and changes nothing.

Three opinions that share as little as they can: SQL over the rows of one snapshot; the outcomes,
followed from those rows to where the journal ends; and the commands, executed again.
"""

from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from exchange.engine.acts import linked
from exchange.engine.invariants import book_doubts, money_doubts
from exchange.engine.reexecution import Reexecution
from exchange.engine.replica import HashMismatch, Replica, load_snapshot
from exchange.engine.report import Check, Report
from exchange.engine.stream_check import StreamCheck
from exchange.postgres_db import audit, epochs
from exchange.postgres_db.snapshot import Snapshot, open_snapshot
from exchange.redis.inspection import Inspection
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check as check_redis
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.failures import OperatorNeeded
from exchange.services.messages import Opened, OutcomeFrame
from exchange.services.rows import Row, Transfer, TransferKind
from exchange.services.settings import Settings

QUERY_S_MAX = 24 * 3_600.0
ROWS_AT_ONCE = 2_000
END = 2**63 - 1

Commands = AsyncGenerator[tuple[int, AnyCommand | Undecodable], None]


class Watch(NamedTuple):
    """Who wants to know: `found` is called with each finished check, `reached` with the check that
    is under way and how many things of it are done."""

    found: Callable[[Check], object]
    reached: Callable[[str, int], object]


async def verify(settings: Settings, watch: Watch) -> Report:
    """Check everything. Raises OperatorNeeded and WorldFailed where the stores cannot be read."""
    async with (
        await Outcomes.open(settings.redis_url) as outcomes,
        await Inspection.open(settings.redis_url) as inspection,
    ):
        return await _Verification(settings, watch, outcomes, inspection).run()


class _Verification:
    def __init__(
        self, settings: Settings, watch: Watch, outcomes: Outcomes, inspection: Inspection
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._outcomes = outcomes
        self._inspection = inspection
        self._checks: list[Check] = []

    async def run(self) -> Report:
        await self._check_servers()
        async with open_snapshot(
            self._settings.database_dsn(),
            application_name="exchange-verify",
            query_timeout_s=QUERY_S_MAX,
        ) as snapshot:
            # Later than the snapshot, so that it reaches at least as far.
            top = await self._outcomes.top()
            await audit.take_time(snapshot)
            for question in (*audit.CHEAP, *audit.THOROUGH):
                await self._ask(snapshot, question)
            await self._check_record(snapshot)
            replica = await self._load(snapshot)
            stream = await self._check_streams(snapshot, top)
            again = None
            if stream.reaches_back_to_the_beginning():
                again = Reexecution.from_genesis()
            elif replica is not None:
                again = await self._second(snapshot)
        if replica is not None:
            await self._follow(replica, top)
        if again is not None:
            await self._execute(again, top)
        return Report(database=snapshot.position.number, journal=top, checks=self._checks)

    def _found(self, check: Check) -> None:
        self._checks.append(check)
        self._watch.found(check)

    async def _check_servers(self) -> None:
        check = Check(
            name="redis",
            promise="Redis keeps what it acknowledges, and its journal is this database's",
            things="servers",
            checked=1,
        )
        try:
            await check_redis(
                self._settings.redis_url, may_be_unchecked=self._settings.may_be_unchecked
            )
        except OperatorNeeded as fault:
            check.doubt(str(fault))
        uuid = await epochs.cluster_uuid(self._settings.database_dsn())
        if (mark := await self._outcomes.mark()) != uuid:
            check.doubt(f"the journal is marked as that of {mark}, the database is {uuid}")
        self._found(check)

    async def _ask(self, snapshot: Snapshot, question: audit.Question) -> None:
        self._watch.reached(question.promise, 0)
        answer = await audit.ask(snapshot, question)
        self._found(
            Check(
                name=question.name,
                promise=question.promise,
                things=question.things,
                checked=answer.checked,
                doubtful=answer.doubtful,
                examples=answer.examples,
            )
        )

    async def _check_record(self, snapshot: Snapshot) -> None:
        """Each act with its link to the one before; that the last one is there, the state says."""
        check = Check(
            name="record",
            promise="No act was changed, left out or put in since it was done",
            things="acts",
        )
        link, last = "", 0
        while acts := await snapshot.acts(last, ROWS_AT_ONCE):
            for act in acts:
                # The oldest may be of a time without links.
                if (act.link or link) and linked(act, link) != act:
                    check.doubt(f"act {act.number} is not what was done, or one before it is gone")
                link, last = act.link, act.number
            check.checked += len(acts)
            self._watch.reached(check.promise, check.checked)
        self._found(check)

    async def _load(self, snapshot: Snapshot) -> Replica | None:
        """The state in Postgres, if it is the one that was journalled."""
        position = snapshot.position
        check = Check(
            name="state",
            promise=f"The rows in Postgres are the state that was journalled at {position.number}",
            things="live rows",
        )
        self._watch.reached(check.promise, 0)
        replica = None
        try:
            replica = await load_snapshot(snapshot)
            check.checked = len(replica.state_hash)
        except OperatorNeeded as fault:
            check.doubt(str(fault))
        except LookupError as fault:
            check.doubt(f"a row speaks of {fault}, which is not there")
        self._found(check)
        return replica

    async def _second(self, snapshot: Snapshot) -> Reexecution:
        """The same state once more, for the commands that come after it."""
        replica = await load_snapshot(snapshot)
        return Reexecution(replica.engine, replica.state_hash, replica.position)

    async def _check_streams(self, snapshot: Snapshot, top: int) -> StreamCheck:
        """Everything that Redis still holds: the chain, its commands, and the rows made of it."""
        position = snapshot.position.number
        reach = Check(
            name="reach",
            promise="The journal reaches at least as far as the database",
            things="positions",
            checked=1,
        )
        if top < position:
            reach.doubt(
                f"it ends at {top}, the database stands at {position}: what Redis has lost of it"
                " the next start leaves behind"
            )
        self._found(reach)
        stream = StreamCheck(position)
        stored = Check(
            name="stored",
            promise="What was traded, moved, amended or prevented in Redis is in the database",
            things="rows",
        )
        commands = self._inspection.commands(0, until=END)
        pairing = _Pairing(stream, commands)
        rows: list[Row] = []
        async for frame in self._inspection.outcomes(0, until=top):
            await self._take(stream, frame)
            await pairing.take(frame)
            if frame.last <= position:
                rows += [row for outcome in frame.outcomes for row in outcome.rows]
            if len(rows) > ROWS_AT_ONCE:
                await _compare(snapshot, rows, stored)
                rows = []
            self._watch.reached(stream.chain.promise, stream.chain.checked)
        await _compare(snapshot, rows, stored)
        await commands.aclose()
        for check in (stream.chain, stream.answers, stored):
            self._found(check)
        return stream

    async def _take(self, stream: StreamCheck, frame: OutcomeFrame) -> None:
        if not stream.follows(frame):
            first = await self._inspection.first_outcome()
            if first is not None and stream.position is not None and first.last > stream.position:
                stream.skip(frame)
        stream.take(frame)

    async def _follow(self, replica: Replica, top: int) -> None:
        """From the rows to the last outcome, and what is true there."""
        check = Check(
            name="follow",
            promise=f"From there the outcomes lead to the state that was journalled at {top}",
            things="outcomes after it",
        )
        conserved = Check(
            name="money-in-motion",
            promise="Not one of them has made or destroyed money, or left a wrong lock",
            things="outcomes after it",
        )
        async for frame in self._inspection.outcomes(replica.position, until=top):
            if frame.previous != replica.position:
                check.doubt(f"an outcome follows {frame.previous}, not {replica.position}")
                break
            supply = dict(replica.engine.ledger.supply)
            try:
                replica.follow([frame])
            except HashMismatch as fault:
                check.doubt(str(fault))
                break
            check.checked += len(frame.outcomes)
            conserved.checked += len(frame.outcomes)
            _check_supply(supply, frame, replica, conserved)
            self._watch.reached(check.promise, check.checked)
        if check.is_ok and replica.position < top:
            check.doubt(f"they end at {replica.position}")
        for sentence in money_doubts(replica.engine):
            conserved.doubt(sentence)
        books = Check(
            name="books",
            promise="No book is crossed, and orders wait by price and time",
            things="open orders",
            checked=sum(len(book.orders) for book in replica.engine.books.values()),
        )
        for sentence in book_doubts(replica.engine):
            books.doubt(sentence)
        for one in (check, conserved, books):
            self._found(one)

    async def _execute(self, again: Reexecution, top: int) -> None:
        origin = f"from {again.position}" if again.position else "from the very beginning"
        check = Check(
            name="execution",
            promise=f"Executed again {origin}, every command comes out as it was journalled",
            things="commands",
        )
        commands = self._inspection.commands(again.position, until=END)
        async for frame in self._inspection.outcomes(again.position, until=top):
            asked: dict[int, AnyCommand | Undecodable] = {}
            opens = isinstance(frame.outcomes[0].result, Opened)
            while not opens and len(asked) < len(frame.outcomes):
                numbered = await anext(commands, None)
                if numbered is None or numbered[0] > frame.last:
                    break
                if numbered[0] > frame.previous:
                    asked[numbered[0]] = numbered[1]
            difference = again.take(frame, asked)
            check.checked += len(frame.outcomes)
            self._watch.reached(check.promise, check.checked)
            if difference is not None:
                check.doubt(difference)
                break
        await commands.aclose()
        self._found(check)


class _Pairing:
    """The outcomes and the commands side by side, by their numbers."""

    def __init__(self, stream: StreamCheck, commands: Commands) -> None:
        self._stream = stream
        self._commands = commands
        self._next: tuple[int, AnyCommand | Undecodable] | None = None
        self._has_begun = False

    async def take(self, frame: OutcomeFrame) -> None:
        if not self._has_begun:
            self._has_begun = True
            await self._advance()
        for outcome in frame.outcomes:
            while self._next is not None and self._next[0] < outcome.number:
                self._stream.miss_outcome(self._next[0])
                await self._advance()
            if isinstance(outcome.result, Opened):
                continue
            if self._next is not None and self._next[0] == outcome.number:
                self._stream.pair(outcome, self._next[1])
                await self._advance()
            else:
                self._stream.miss_command(outcome.number)

    async def _advance(self) -> None:
        self._next = await anext(self._commands, None)


async def _compare(snapshot: Snapshot, rows: list[Row], stored: Check) -> None:
    for kind in audit.ADDED_ONCE:
        if found := [row for row in rows if isinstance(row, kind)]:
            stored.checked += len(found)
            for sentence in await audit.not_stored(snapshot, found):
                stored.doubt(sentence)


def _check_supply(
    before: dict[str, int], frame: OutcomeFrame, replica: Replica, check: Check
) -> None:
    """Hold what a frame's transfers moved against what its balances say."""
    expected = dict(before)
    for outcome in frame.outcomes:
        for row in outcome.rows:
            if isinstance(row, Transfer):
                sign = _SIGNS[row.kind]
                expected[row.asset] = expected.get(row.asset, 0) + sign * row.amount
    for asset, units in replica.engine.ledger.supply.items():
        if units != expected.get(asset, 0):
            check.doubt(
                f"{units - expected.get(asset, 0)} units of {asset} came from nowhere"
                f" at {frame.last}"
            )


_SIGNS = {TransferKind.DEPOSIT: 1, TransferKind.WITHDRAWAL: -1, TransferKind.TRANSFER: 0}
