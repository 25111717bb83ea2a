"""A simulated Postgres: sessions, transactions, one row lock, and advisory locks.

A commit takes its time to be synced; a server that is killed within that time may have it or not.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import asyncpg
from simulation.loop import SimulatedLoop
from simulation.network import Link
from simulation.postgres_rows import Record, Rows, Tables, first_rows
from simulation.postgres_statements import copy_in, known, locks

SYNC_S = 0.0005
LOCK_TIMEOUT_S = 2.0

Answer = list[Record] | str | BaseException


class PostgresServer:
    """`rows` is what is committed. `on_commit` is told of each change of it."""

    def __init__(self, loop: SimulatedLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.is_up = True
        self.is_frozen = False
        self.sync_s = SYNC_S
        self.rows: dict[str, Rows] = first_rows()
        self.on_commit: Callable[[], None] = lambda: None
        self.on_request: Callable[[PostgresSession, str], None] = lambda _session, _text: None
        self.on_answered: Callable[[PostgresSession, str], None] = lambda _session, _text: None
        self.advisory_locks: dict[int, PostgresSession] = {}
        self.position_lock: PostgresSession | None = None
        self.lock_queue: deque[PostgresSession] = deque()
        self._sessions: list[PostgresSession] = []
        self._thaws = 0.0

    def accept(self, link: Link) -> "PostgresSession":
        session = PostgresSession(self, link)
        self._sessions.append(session)
        return session

    def commit(self, changed: dict[str, Rows]) -> None:
        if changed:
            self.rows = {**self.rows, **changed}
            self.on_commit()

    def kill(self) -> None:
        if not self.is_up:
            return
        self.is_up = False
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.die()
            session.link.cut()
        self.advisory_locks.clear()
        self.lock_queue.clear()
        self.position_lock = None

    def start(self) -> None:
        if not self.is_up:
            self.is_up = True
            self.is_frozen = False

    def freeze(self, seconds: float) -> None:
        self.is_frozen = True
        self._thaws = max(self._thaws, self.loop.time() + seconds)
        self.loop.happen(seconds, self._thaw)

    def thaw(self) -> None:
        self._thaws = 0.0
        self._thaw()

    def _thaw(self) -> None:
        if self.is_frozen and self.loop.time() >= self._thaws:
            self.is_frozen = False
            for session in list(self._sessions):
                session.work_soon()

    def forget(self, session: "PostgresSession") -> None:
        """Its session has ended: its locks are free."""
        if session in self._sessions:
            self._sessions.remove(session)
        for key in [key for key, one in self.advisory_locks.items() if one is session]:
            del self.advisory_locks[key]
        if session in self.lock_queue:
            self.lock_queue.remove(session)
        self.unlock(session)

    def unlock(self, session: "PostgresSession") -> None:
        if self.position_lock is not session:
            return
        self.position_lock = None
        if self.lock_queue:
            successor = self.lock_queue.popleft()
            self.position_lock = successor
            successor.go_on()


class PostgresSession:
    """One connection as the server sees it."""

    def __init__(self, server: PostgresServer, link: Link) -> None:
        self.server = server
        self.link = link
        self.is_over = False
        self._requests: deque[tuple[int, str, Sequence[Any]]] = deque()
        self._current: tuple[int, str, Sequence[Any]] | None = None
        self._is_in_transaction = False
        self._is_repeatable = False
        self._is_aborted = False
        self._tables: Tables | None = None
        self._committing: dict[str, Rows] | None = None
        self._idle_limit_s = 60.0
        self._idle_mark = 0

    def receive(self, request: Any) -> None:
        if self.is_over:
            return
        match request:
            case ("start", settings):
                self._idle_limit_s = int(settings["idle_in_transaction_session_timeout"]) / 1000
                return
            case ("cancel", number):
                self._cancel(number)
                return
        self._requests.append(request)
        if self._begins():
            self._work()

    def closed(self) -> None:
        if not self.is_over:
            # A commit that has begun is carried out.
            if self._committing is not None:
                self.server.commit(self._committing)
            self.is_over = True
            self.server.forget(self)

    def die(self) -> None:
        """With the server: a commit that was being synced is there afterwards, or it is not."""
        if self._committing is not None and self.server.chance.random() < 0.5:
            self.server.commit(self._committing)
        self._committing = None
        self.is_over = True

    def work_soon(self) -> None:
        if self._begins():
            self.server.loop.happen(0.0, self._work)

    def _begins(self) -> bool:
        """Whether there is something to do, and nothing in the way: then that is what it does."""
        if not self._requests or self._current is not None or self.server.is_frozen:
            return False
        self._current = self._requests.popleft()
        return True

    def go_on(self) -> None:
        """It has got the lock that it waited for."""
        self.server.loop.happen(0.0, self._execute)

    # --- One statement ---

    def _work(self) -> None:
        if self.is_over:
            return
        assert self._current is not None
        self._idle_mark += 1
        _, text, _ = self._current
        self.server.on_request(self, text)
        if self.is_over:
            return
        if locks(text) and self.server.position_lock is not self and not self._is_aborted:
            if self.server.position_lock is not None:
                self._await_lock()
                return
            self.server.position_lock = self
        self._execute()

    def _await_lock(self) -> None:
        self.server.lock_queue.append(self)
        waiting = self._current

        def give_up() -> None:
            if self._current is waiting and self in self.server.lock_queue:
                self.server.lock_queue.remove(self)
                self._fail(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))

        self.server.loop.happen(LOCK_TIMEOUT_S, give_up)

    def _cancel(self, number: int) -> None:
        is_current = self._current is not None and self._current[0] == number
        if is_current and self in self.server.lock_queue:
            self.server.lock_queue.remove(self)
            self._fail(asyncpg.QueryCanceledError("canceling statement due to user request"))

    def _execute(self) -> None:
        if self.is_over or self._current is None:
            return
        _, text, arguments = self._current
        word = text.split(" ", 1)[0].rstrip(";")
        if self._is_aborted and word not in ("ROLLBACK", "COMMIT"):
            self._answer(asyncpg.InFailedSQLTransactionError("current transaction is aborted"))
            return
        match word:
            case "BEGIN":
                self._is_in_transaction = True
                self._is_repeatable = "REPEATABLE READ" in text
                self._tables = None
                self._answer("BEGIN")
            case "COMMIT" if not self._is_aborted:
                self._commit(self._tables, "COMMIT")
            case "COMMIT" | "ROLLBACK":
                self._end_transaction()
                self._answer("ROLLBACK")
            case _:
                self._do(text, arguments)

    def _do(self, text: str, arguments: Sequence[Any]) -> None:
        tables = self._view()
        try:
            if text.startswith("COPY "):
                answer: Answer = copy_in(tables, text.removeprefix("COPY "), arguments[0])
            elif "pg_try_advisory_lock" in text:
                answer = [(self._try_advisory_lock(arguments[0]),)]
            else:
                answer = known(text)(tables, arguments)
        except asyncpg.PostgresError as fault:
            self._fail(fault)
            return
        if self._is_in_transaction:
            self._answer(answer)
        else:
            self._commit(tables, answer)

    def _view(self) -> Tables:
        """What it sees: in a repeatable transaction always the same, else the newest, and in both
        what it has written itself."""
        if not self._is_in_transaction:
            return Tables(self.server.rows)
        if self._tables is None:
            self._tables = Tables(self.server.rows)
        elif not self._is_repeatable:
            changed = self._tables.changed
            self._tables = Tables({**self.server.rows, **changed})
            self._tables.changed = changed
        return self._tables

    def _commit(self, tables: Tables | None, answer: Answer) -> None:
        if tables is None or not tables.changed:
            self._end_transaction()
            self._answer(answer)
            return
        self._committing = tables.changed
        server = self.server
        delay = server.sync_s * (0.3 + server.chance.random()) / (1.01 - server.chance.random())
        server.loop.happen(delay, lambda: self._committed(answer))

    def _committed(self, answer: Answer) -> None:
        if self.is_over or self._committing is None:
            return
        changed, self._committing = self._committing, None
        self.server.commit(changed)
        self._end_transaction()
        self._answer(answer)

    def _end_transaction(self) -> None:
        self._is_in_transaction = self._is_aborted = False
        self._tables = None
        self.server.unlock(self)

    def _fail(self, fault: asyncpg.PostgresError) -> None:
        if self._is_in_transaction:
            self._is_aborted = True
            self._tables = None
            self.server.unlock(self)
        else:
            self._end_transaction()
        self._answer(fault)

    def _answer(self, answer: Answer) -> None:
        assert self._current is not None
        number, text, _ = self._current
        self._current = None
        self.link.down((number, answer, self._is_in_transaction))
        self.server.on_answered(self, text)
        if self._is_in_transaction:
            self._watch_idleness()
        self.work_soon()

    def _watch_idleness(self) -> None:
        self._idle_mark += 1
        mark = self._idle_mark

        def look() -> None:
            if mark == self._idle_mark and self._is_in_transaction and not self.is_over:
                if self._requests or self._current is not None:
                    return
                self.is_over = True
                self.server.forget(self)
                self.link.cut()

        self.server.loop.happen(self._idle_limit_s, look)

    def _try_advisory_lock(self, key: int) -> bool:
        return self.server.advisory_locks.setdefault(key, self) is self
