"""From a command to its outcome: the only way from the backend into the engine.

What arrives in one turn of the event loop, or while earlier frames are still being written, is
journalled as one frame. Answers come with the outcomes, which every backend follows.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import prometheus_client
import structlog
from msgspec import Struct
from msgspec.structs import replace

from exchange.redis.connection import ConnectionLost
from exchange.redis.journal import (
    FRAME_BYTES_MAX,
    FRAME_COMMANDS_MAX,
    LAG_MAX,
    NO_LAG_LIMIT,
    Closed,
    Journal,
    NotIngested,
)
from exchange.redis.outcomes import Outcomes
from exchange.redis.written import WrittenOutcomes
from exchange.services import tracing
from exchange.services.clock import now_us
from exchange.services.commands import ADDS_EXPOSURE, AnyCommand
from exchange.services.messages import Opened, Outcome, encode

APPENDS_MAX = 2
WAITING_MAX = 20_000
ORDERS_WAITING_MAX = 2_000
"""With so many commands under way new orders are refused: an answer that comes late helps nobody."""
ANSWER_S_MAX = 10.0
MEMORY_POLL_S = 1.0
MEMORY_SHARE_FOR_ORDERS = 0.70
MEMORY_SHARE_FOR_ANYTHING = 0.85

# Two commands must not share one by chance; nobody gains by guessing one.
_new_uid = partial(random.Random().getrandbits, 63)  # noqa: S311

ORDER_SECONDS = prometheus_client.Histogram(
    "exchange_gateway_answer_seconds",
    "From handing a command in to its outcome.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0),
)
UNKNOWN = prometheus_client.Counter(
    "exchange_gateway_unknown_total", "Commands whose fate could not be told in time."
)

log = structlog.get_logger()


class NotExecuted(Exception):
    """The command was not journalled and never will be."""

    def __init__(self, reason: Closed) -> None:
        super().__init__(reason)
        self.reason = reason


_NUL = b"\\u0000"
"""As JSON has it."""


class OutcomeUnknown(Exception):
    """The command may or may not have been executed; the client has to ask."""


class _Request(Struct, eq=False):
    """A command under way. `number` is 0 until the journal has said it.

    `began` is for the statistics, `expires` is the loop's time.
    """

    command: AnyCommand
    payload: bytes
    future: asyncio.Future[Outcome]
    began: float
    expires: float
    number: int = 0
    outcome: Outcome | None = None


class Gateway:
    """Give it commands with `submit`, and let `run` follow the outcomes."""

    def __init__(
        self,
        journal: Journal,
        outcomes: Outcomes,
        views: Sequence[Callable[[Outcome], object]],
        written: WrittenOutcomes | None = None,
    ) -> None:
        """Each of `views` is called with every outcome, in order, before anybody is answered.

        With `written` all of them hear of an outcome only when it is in Postgres.
        """
        self._journal = journal
        self._outcomes = outcomes
        self._views = views
        self._written = written
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Request] = deque()
        self._by_uid: dict[int, _Request] = {}
        self._by_number: dict[int, _Request] = {}
        self._appends: set[asyncio.Task[None]] = set()
        self._memory_share = 0.0
        self._broken: asyncio.Future[None] = self._loop.create_future()

    async def submit(self, command: AnyCommand) -> Outcome:
        """Have a command executed.

        Raises NotExecuted, which is definite, or OutcomeUnknown, which is neither yes nor no. A
        caller that goes away changes nothing: what was handed in is executed once.
        """
        self._refuse_if_full(command)
        if not command.uid:
            command = replace(command, uid=_new_uid())
        payload = encode(command)
        assert _NUL not in payload, "Postgres could not keep what comes of it"
        request = _Request(
            command,
            payload,
            self._loop.create_future(),
            time.perf_counter(),
            self._loop.time() + ANSWER_S_MAX,
        )
        # Registered before it is sent: its outcome can be here before the journal's own answer.
        self._by_uid[command.uid] = request
        if not self._waiting and len(self._appends) < APPENDS_MAX:
            self._loop.call_soon(self._send)
        self._waiting.append(request)
        kind, result = type(command).__name__, "the client went away"
        try:
            outcome = await request.future
            result = type(outcome.result).__name__
        except NotExecuted as refusal:
            result = f"not executed: {refusal.reason}"
            raise
        except OutcomeUnknown:
            result = "unknown"
            # With these it is found in the journal, if it is there.
            log.warning("outcome unknown", command=kind, uid=command.uid, number=request.number)
            raise
        finally:
            tracing.note_answer(kind, command.uid, request.number, result, began=request.began)
        return outcome

    async def find(self, number: int) -> Outcome | None:
        """The outcome of an earlier command, as long as the stream still has it."""
        return await self._outcomes.find(number)

    async def run(self, position: int) -> None:
        """Follow the outcomes after `position`; ends only by raising what broke.

        Whoever still waits then is told that the outcome is unknown.
        """
        work = [self._follow(position), self._expire(), self._watch_memory()]
        tasks = [self._loop.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait([*tasks, self._broken], return_when="FIRST_COMPLETED")
            for one in done:
                one.result()
        finally:
            for task in (*tasks, *self._appends, self._broken):
                task.cancel()
            await asyncio.gather(*tasks, *self._appends, return_exceptions=True)
            self._give_up(list(self._by_uid.values()))

    async def _follow(self, position: int) -> None:
        followed = self._written or self._outcomes
        async for frames in followed.follow(position):
            for frame in frames:
                for outcome in frame.outcomes:
                    self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        """Let everyone see an outcome, then answer the request that it belongs to."""
        for view in self._views:
            view(outcome)
        request = self._by_number.pop(outcome.number, None)
        if request is None:
            # Not ours, or faster than the journal's answer, which will say the number.
            request = self._by_uid.get(outcome.uid)
            if request is not None and not request.number:
                request.outcome = outcome
        elif request.command.uid == outcome.uid:
            self._answer(request, outcome)
        else:
            # The journal lost its tail, and somebody else's command has our number.
            self._give_up([request])
        if isinstance(outcome.result, Opened):
            self._give_up(list(self._by_number.values()))

    def _answer(self, request: _Request, outcome: Outcome) -> None:
        self._by_uid.pop(request.command.uid, None)
        if not request.future.done():
            request.future.set_result(outcome)
            ORDER_SECONDS.observe(time.perf_counter() - request.began)

    def _refuse_if_full(self, command: AnyCommand) -> None:
        adds_exposure = isinstance(command, ADDS_EXPOSURE)
        limit = MEMORY_SHARE_FOR_ORDERS if adds_exposure else MEMORY_SHARE_FOR_ANYTHING
        if self._broken.done():
            raise NotExecuted(Closed.CLOSED)
        if adds_exposure and self._written is not None and self._written.is_behind:
            raise NotExecuted(Closed.BUSY)
        if self._memory_share > limit:
            raise NotExecuted(Closed.MEMORY)
        if len(self._by_uid) >= (ORDERS_WAITING_MAX if adds_exposure else WAITING_MAX):
            raise NotExecuted(Closed.BUSY)

    def _send(self) -> None:
        """Journal what waits, at most two frames at a time: the rest makes the next frame larger."""
        while self._waiting and len(self._appends) < APPENDS_MAX:
            append = self._loop.create_task(self._append(self._next_frame()))
            self._appends.add(append)
            append.add_done_callback(self._appended)

    def _next_frame(self) -> list[_Request]:
        requests: list[_Request] = []
        size = 0
        while self._waiting and len(requests) < FRAME_COMMANDS_MAX:
            size += len(self._waiting[0].payload)
            if requests and size > FRAME_BYTES_MAX:
                break
            requests.append(self._waiting.popleft())
        return requests

    def _appended(self, append: asyncio.Task[None]) -> None:
        self._appends.discard(append)
        if not append.cancelled() and (fault := append.exception()) is not None:
            self._break(fault)
        self._send()

    async def _append(self, requests: list[_Request], *, lag_max: int = LAG_MAX) -> None:
        """Journal one frame and learn its numbers, or tell its senders what became of it."""
        try:
            last = await self._ingest(requests, lag_max=lag_max)
        except NotIngested as refusal:
            if refusal.reason is not Closed.BUSY:
                self._refuse(requests, refusal.reason)
                return
            # Overload sheds what adds exposure; cancels and transfers go on, in their order.
            self._refuse([one for one in requests if _adds_exposure(one)], Closed.BUSY)
            rest = [one for one in requests if not _adds_exposure(one)]
            if rest:
                await self._append(rest, lag_max=NO_LAG_LIMIT)
        except ConnectionLost as fault:
            # Perhaps journalled, perhaps not: it is never sent again.
            self._give_up(requests)
            self._break(fault)
        else:
            for number, request in enumerate(requests, last - len(requests) + 1):
                self._expect(request, number)

    def _expect(self, request: _Request, number: int) -> None:
        request.number = number
        if request.outcome is not None and request.outcome.number == number:
            self._answer(request, request.outcome)
        else:
            self._by_number[number] = request

    async def _ingest(self, requests: list[_Request], *, lag_max: int) -> int:
        payload = b"[" + b",".join(request.payload for request in requests) + b"]"
        return await self._journal.append(payload, len(requests), clock=now_us(), lag_max=lag_max)

    def _refuse(self, requests: list[_Request], reason: Closed) -> None:
        for request in requests:
            self._end(request, NotExecuted(reason))

    def _give_up(self, requests: list[_Request]) -> None:
        for request in requests:
            UNKNOWN.inc()
            self._end(request, OutcomeUnknown())

    def _end(self, request: _Request, fault: Exception) -> None:
        self._by_uid.pop(request.command.uid, None)
        self._by_number.pop(request.number, None)
        if not request.future.done():
            request.future.set_exception(fault)

    def _break(self, fault: BaseException) -> None:
        """Make `run` raise this; nothing more is accepted."""
        if not self._broken.done():
            self._broken.set_exception(fault)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            now = self._loop.time()
            self._give_up([late for late in self._by_uid.values() if late.expires < now])

    async def _watch_memory(self) -> None:
        while True:
            used, limit = await self._outcomes.memory()
            self._memory_share = used / limit if limit else 0.0
            await asyncio.sleep(MEMORY_POLL_S)


def _adds_exposure(request: _Request) -> bool:
    return isinstance(request.command, ADDS_EXPOSURE)
