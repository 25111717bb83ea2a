"""Simulated time: one event loop that never waits, shared by all processes of a simulation.

Every callback belongs to a process, the one in whose context it was asked for. Within a process
callbacks run in the order that asyncio promises; between processes the seed decides. When nobody
has anything to do, time moves on to whatever comes next.
"""

import asyncio
from asyncio.events import TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Protocol

START_NS = 1_760_000_000_000_000_000
"""The wall clock of a process whose clock is right, when a simulation begins."""

OWNER: ContextVar["Process | None"] = ContextVar("OWNER", default=None)
"""The process that runs; None outside of all of them, where the simulation itself is at work."""

Work = Callable[[], object]
Call = Callable[..., object]


class Stuck(Exception):
    """Nothing is left to happen, or too much has happened."""


class Connector(Protocol):
    """Where `create_connection` leads."""

    async def connect(
        self, process: "Process", host: str, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...


class SimulatedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address in memory."""

    _number = 0

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedFuture(asyncio.Future[Any]):
    """Likewise; unlike a task's, its constructor does not hash it yet."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class Step(TimerHandle):
    """A callback that a process will run. It does without what asyncio keeps for debugging."""

    __slots__ = ()

    def __init__(
        self, callback: Call, arguments: tuple[Any, ...], context: Context | None, when: float = 0.0
    ) -> None:
        self._callback = callback
        self._args = arguments
        self._context = copy_context() if context is None else context
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        """It is left out when its time comes."""
        self._cancelled = True
        self._args = ()


class Process:
    """Something that has a clock, can be frozen, and can die at any moment.

    Death is that of `kill -9`: nothing of it runs any more, no `finally`, no `except`.
    """

    def __init__(self, loop: "SimulatedLoop", name: str) -> None:
        self.name = name
        self.loop = loop
        self.clock_error_ns = 0
        self.is_dead = False
        self.is_frozen = False
        self.signals: dict[int, Work] = {}
        self.on_death: dict[Work, None] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.ready: deque[Step] = deque()
        self.is_queued = False
        self._late_timers: list[Step] = []
        self._late_arrivals: list[Step] = []
        self._thaws = 0.0
        self.context = copy_context()
        self.context.run(OWNER.set, self)

    def __repr__(self) -> str:
        return self.name

    def clock_ns(self) -> int:
        """What this process takes for the time of day."""
        return START_NS + int(self.loop.time() * 1e9) + self.clock_error_ns

    def start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Run a coroutine as part of this process."""
        return self.loop.create_task(work, context=self.context)

    def arrive(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Let it notice something that came from outside."""
        if self.is_dead:
            return
        step = Step(callback, arguments, self.context)
        if self.is_frozen:
            self._late_arrivals.append(step)
        else:
            self.push(step)

    def expire(self, step: Step) -> None:
        """Let it notice that a timer is due."""
        if self.is_frozen:
            self._late_timers.append(step)
        else:
            self.push(step)

    def push(self, step: Step) -> None:
        if self.is_dead:
            return
        self.ready.append(step)
        if not self.is_queued:
            self._join_the_queue()

    def turn(self) -> None:
        """Run what is ready, as one turn of an event loop of its own would."""
        left = len(self.ready)
        while left and self.ready:
            step = self.ready.popleft()
            left -= 1
            if step._cancelled:
                continue
            try:
                step._context.run(step._callback, *step._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as fault:
                self.loop.call_exception_handler({"message": "in a callback", "exception": fault})

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long; what comes meanwhile waits outside."""
        if self.is_dead:
            return
        self._thaws = max(self._thaws, self.loop.time() + seconds)
        if not self.is_frozen:
            self.is_frozen = True
            self.leave_the_queue()
        self.loop.happen(seconds, self._thaw)

    def thaw(self) -> None:
        self._thaws = self.loop.time()
        self._thaw()

    def kill(self) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        for tell in list(self.on_death):
            tell()
        self.leave_the_queue()
        # What is forgotten is finalized, and its finally blocks would run: it is kept until the end.
        self.loop.graveyard += [self.tasks, self.ready, self._late_timers, self._late_arrivals]
        self.ready = deque()

    def signal(self, number: int) -> None:
        """Deliver a signal that it has a handler for."""
        work = self.signals.get(number)
        if work is not None:
            self.arrive(work)

    def _thaw(self) -> None:
        if not self.is_frozen or self.is_dead or self.loop.time() < self._thaws:
            return
        self.is_frozen = False
        # asyncio looks at its sockets first, libuv at its timers.
        late = [self._late_arrivals, self._late_timers]
        if self.loop.chance.random() < 0.5:
            late.reverse()
        self.ready.extend([*late[0], *late[1]])
        self._late_arrivals, self._late_timers = [], []
        if self.ready:
            self._join_the_queue()

    def _join_the_queue(self) -> None:
        if not self.is_queued and not self.is_frozen:
            self.is_queued = True
            self.loop.runnable.append(self)

    def leave_the_queue(self) -> None:
        if self.is_queued:
            self.is_queued = False
            self.loop.runnable.remove(self)


class SimulatedLoop(asyncio.BaseEventLoop):
    """`happen` is for the simulation itself: servers, networks, faults."""

    def __init__(self, chance: Random, *, events_max: int = 300_000) -> None:
        super().__init__()
        self.chance = chance
        self.runnable: list[Process] = []
        self.graveyard: list[object] = []
        self.connector: Connector | None = None
        self.stall_probability = 0.0
        self.stall_s_max = 0.0
        self.events = 0
        self.faults: list[dict[str, Any]] = []
        self._events_max = events_max
        self._now = 0.0
        self._next: list[tuple[float, int, Process | None, Any, tuple[Any, ...]]] = []
        self._number = count(1).__next__
        self.outside = Process(self, "outside")
        self.outside.context.run(OWNER.set, None)
        self.set_exception_handler(lambda _loop, fault: self.faults.append(fault))

    # --- What asyncio asks for ---

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Call, *args: Any, context: Context | None = None
    ) -> Step:
        owner = OWNER.get() if context is None else context.get(OWNER)
        step = Step(callback, args, context)
        (owner or self.outside).push(step)
        return step

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Call, *args: Any, context: Context | None = None
    ) -> Step:
        owner = OWNER.get() if context is None else context.get(OWNER)
        step = Step(callback, args, context, when)
        heappush(self._next, (when, self._number(), owner or self.outside, step, ()))
        return step

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Call, *args: Any, context: Context | None = None
    ) -> Step:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> SimulatedFuture:
        future = SimulatedFuture(loop=self)
        future._number = self._number()
        return future

    def create_task(
        self, coro: Any, *, name: Any = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        owner = OWNER.get() if context is None else context.get(OWNER)
        # Its constructor hashes it already.
        SimulatedTask._number = self._number()
        task = SimulatedTask(coro, loop=self, name=name, context=context)
        task._number = SimulatedTask._number
        tasks = (owner or self.outside).tasks
        tasks.append(task)
        if len(tasks) > 256:
            tasks[:] = [one for one in tasks if not one.done()]
        return task

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        owner = OWNER.get()
        assert owner is not None
        assert self.connector is not None
        return await self.connector.connect(owner, host, protocol_factory)

    def add_signal_handler(self, sig: int, callback: Call, *args: Any) -> None:  # type: ignore[override]
        owner = OWNER.get()
        assert owner is not None
        owner.signals[sig] = partial(callback, *args)

    def _check_running(self) -> None:
        """While a simulation runs, it is the running one for everybody: surroundings.py."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # --- What the simulation asks for ---

    def happen(self, seconds: float, work: Call, *arguments: Any) -> None:
        """Do something outside of all processes, so many seconds from now."""
        self.happen_at(self._now + seconds, work, *arguments)

    def happen_at(self, when: float, work: Call, *arguments: Any) -> None:
        heappush(self._next, (when, self._number(), None, work, arguments))

    def _run_once(self) -> None:
        """As often as there is something to do: what asyncio does in between is not needed."""
        while not self._stopping:  # type: ignore[attr-defined]
            self.events += 1
            if self.runnable:
                self._take_turn()
                continue
            if not self._next or self.events > self._events_max:
                raise Stuck(f"after {self.events} events and {self._now:.3f} s")
            when, _, owner, what, arguments = heappop(self._next)
            if owner is None:
                if when > self._now:
                    self._now = when
                what(*arguments)
            elif not what._cancelled and not owner.is_dead:
                if when > self._now:
                    self._now = when
                owner.expire(what)

    def _take_turn(self) -> None:
        runnable, draw = self.runnable, self.chance.random
        process = runnable[int(draw() * len(runnable)) if len(runnable) > 1 else 0]
        process.turn()
        if not process.is_queued:
            return
        if not process.ready:
            process.leave_the_queue()
        stalls = self.stall_probability
        if stalls and draw() < stalls and process is not self.outside:
            process.freeze(self.stall_s_max * draw() ** 4)

    def finish(self) -> None:
        """Forget everything without running any of it."""
        for process_tasks in self.graveyard:
            for task in process_tasks if isinstance(process_tasks, list) else ():
                if isinstance(task, asyncio.Task):
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.close()
