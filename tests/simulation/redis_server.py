"""A simulated Redis: it speaks the protocol, syncs before it answers, and can be killed.

One turn executes what has arrived, syncs the disk if anything was written, and only then answers,
as Redis does with `appendfsync always`. What is killed within a turn may keep any part of it. A
disk that lies loses what was synced, too.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import hiredis
from simulation.loop import SimulatedLoop
from simulation.network import Link
from simulation.redis_data import OUT_OF_MEMORY, Data, Refused, Status
from simulation.scripts import Scripts

Request = list[bytes]
Write = list[Request]
"""What one command, or one script, has changed; the log has all of it or nothing."""

START_NS = 1_760_000_000_000_000_000
MAXMEMORY = 1 << 28
SYNC_S = 0.0002


class Hints:
    """How messages on channels go wrong: lost, twice, or late, and so out of order."""

    def __init__(self) -> None:
        self.lost = self.doubled = self.late = 0.0
        self.late_s_max = 0.5

    @property
    def is_reliable(self) -> bool:
        return not (self.lost or self.doubled or self.late)

    def delays(self, chance: Random) -> Iterator[float]:
        """When the copies of one message leave."""
        if chance.random() < self.lost:
            return
        yield chance.random() * self.late_s_max if chance.random() < self.late else 0.0
        if chance.random() < self.doubled:
            yield chance.random() * self.late_s_max


class RedisServer:
    """`log` is the append-only file. `watch` is told what is written and what gets lost."""

    def __init__(self, loop: SimulatedLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.is_up = True
        self.is_frozen = False
        self.is_loading = False
        self.clock_error_ns = 0
        self.memory_share = 0.1
        self.sync_s = SYNC_S
        self.hints = Hints()
        self.log: list[Write] = []
        self.synced = 0
        self.on_request: Callable[[RedisSession, Request], None] = lambda _session, _request: None
        self.on_written: Callable[[Write], None] = lambda _write: None
        self.on_lost: Callable[[list[Write], int], None] = lambda _writes, _synced: None
        self.on_executed: Callable[[RedisSession, Request, Any], None] = lambda *_: None
        self.on_answered: Callable[[RedisSession, Request], None] = lambda _session, _request: None
        self._sessions: list[RedisSession] = []
        self._inbox: deque[tuple[RedisSession, Request]] = deque()
        self._is_busy = self._is_synced_late = False
        self._life = 0
        self._thaws = 0.0
        self._start(0)

    def accept(self, link: Link) -> "RedisSession":
        session = RedisSession(self, link)
        self._sessions.append(session)
        return session

    # --- Faults ---

    def kill(self, *, lie: int = 0) -> None:
        """Die now. `lie`: so many writes that were synced are lost as well."""
        if not self.is_up:
            return
        self.is_up = False
        keep = self.synced + self.chance.randrange(len(self.log) - self.synced + 1)
        self._die(max(0, keep - lie))

    def stop(self) -> None:
        """Shut down in order."""
        if self.is_up:
            self.is_up = False
            self._die(len(self.log))

    def start(self, *, loading_s: float = 0.0) -> None:
        if self.is_up:
            return
        self.is_up = True
        self._start(loading_s)

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
            if self._is_synced_late:
                self._is_synced_late = False
                self._synced(self._life)
            self._work_soon()

    def _start(self, loading_s: float) -> None:
        self._life += 1
        self.run_id = hashlib.sha1(b"%d" % self._life, usedforsecurity=False).hexdigest().encode()
        self.is_frozen = self._is_busy = self._is_synced_late = False
        self._pending: Write = []
        self._waiting: list[RedisSession] = []
        self._replies: list[tuple[RedisSession, Any, Request | None]] = []
        self._late: list[tuple[float, RedisSession, Any]] = []
        self.scripts = Scripts()
        self.data = Data(lambda _command: None)
        for write in self.log:
            for command in write:
                self.data.execute(command)
        self.data = _watched(self.data, self._pending.append)
        self.is_loading = loading_s > 0
        if self.is_loading:
            life = self._life
            self.loop.happen(loading_s, lambda: self._loaded(life))

    def _loaded(self, life: int) -> None:
        if life == self._life:
            self.is_loading = False

    def _die(self, keep: int) -> None:
        lost, synced = self.log[keep:], max(0, self.synced - keep)
        del self.log[keep:]
        self.synced = keep
        self._life += 1
        self._is_synced_late = False
        self._inbox.clear()
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.is_over = True
            session.link.cut()
        if lost:
            self.on_lost(lost, synced)

    # --- Turns ---

    def ask(self, session: "RedisSession", request: Request) -> None:
        self._inbox.append((session, request))

    def work(self) -> None:
        if self._begins():
            self._turn(self._life)

    def forget(self, session: "RedisSession") -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        if session in self._waiting:
            self._waiting.remove(session)
        session.wanted = None

    def _work_soon(self) -> None:
        if self._begins():
            self.loop.happen(0.0, self._turn, self._life)

    def _begins(self) -> bool:
        """Whether there is something to do, and nothing in the way: then a turn begins."""
        if not self._inbox or self._is_busy or self.is_frozen or not self.is_up:
            return False
        self._is_busy = True
        return True

    def _turn(self, life: int) -> None:
        if life != self._life:
            return
        if self.is_frozen:
            self._is_busy = False
            return
        while self._inbox:
            session, request = self._inbox.popleft()
            if session.is_over:
                continue
            self.on_request(session, request)
            if life != self._life:
                return
            self._answer(session, request)
        if len(self.log) > self.synced:
            delay = self.sync_s * (0.3 + self.chance.random()) / (1.01 - self.chance.random())
            self.loop.happen(delay, self._synced, life)
        else:
            self._flush(life)

    def _synced(self, life: int) -> None:
        if life != self._life:
            return
        if self.is_frozen:
            self._is_synced_late = True
            return
        self.synced = len(self.log)
        self._flush(life)

    def _flush(self, life: int) -> None:
        replies, self._replies = self._replies, []
        late, self._late = self._late, []
        for delay, session, message in late:
            self.loop.happen(delay, session.send, message)
        for session, reply, request in replies:
            session.send(reply)
            if request is not None:
                self.on_answered(session, request)
            if life != self._life:
                return
        self._is_busy = False
        self._work_soon()

    def _answer(self, session: "RedisSession", request: Request) -> None:
        try:
            reply = self._execute(session, request)
        except Refused as refusal:
            reply = refusal
        if self._pending:
            write = list(self._pending)
            self._pending.clear()
            self.log.append(write)
            self.on_written(write)
            self._serve_waiting()
        self.on_executed(session, request, reply)
        if reply is not _NOTHING_YET:
            self._replies.append((session, reply, request))

    # --- Commands ---

    def _execute(self, session: "RedisSession", request: Request) -> Any:
        name = request[0].upper()
        if self.is_loading and name != b"CLIENT":
            raise Refused("LOADING Redis is loading the dataset in memory")
        self.data.is_full = self.memory_share > 1
        match name:
            case b"EVALSHA":
                count = int(request[2])
                return self.scripts.run(
                    request[1], request[3 : 3 + count], request[3 + count :], self._in_script
                )
            case b"SCRIPT":
                return self.scripts.load(request[2])
            case b"XREAD":
                return self._read(session, request)
            case b"SUBSCRIBE":
                session.channels.update(dict.fromkeys(request[1:]))
                return [b"subscribe", request[1], len(session.channels)]
            case b"PING":
                return Status(b"PONG")
            case b"CLIENT" | b"AUTH" | b"SELECT":
                return Status(b"OK")
            case b"CONFIG":
                found = _CONFIGURATION.get(request[2])
                return [request[2], found] if found is not None else []
        return self._in_script(request)

    def _in_script(self, request: Request) -> Any:
        match request[0].upper():
            case b"INFO":
                return self._information(request)
            case b"TIME":
                now = START_NS + int(self.loop.time() * 1e9) + self.clock_error_ns
                return [b"%d" % (now // 1_000_000_000), b"%d" % (now // 1_000 % 1_000_000)]
            case b"PUBLISH":
                return self._publish(request[1], request[2])
        return self.data.execute(request)

    def _information(self, request: Request) -> bytes:
        section = request[1] if len(request) > 1 else b"default"
        if section == b"memory":
            used = int(MAXMEMORY * self.memory_share)
            return b"# Memory\r\nused_memory:%d\r\nmaxmemory:%d\r\n" % (used, MAXMEMORY)
        return b"# Server\r\nredis_version:7.2.0\r\nrun_id:%s\r\n" % self.run_id

    def _read(self, session: "RedisSession", request: Request) -> Any:
        _, _, count, _, milliseconds, _, key, identifier = request
        number = int(identifier.removeprefix(b"0-"))
        found = self.data.stream_after(key, number, int(count))
        if found:
            return [[key, found]]
        session.wanted = (key, number, int(count))
        self._waiting.append(session)
        life, wanted = self._life, session.wanted
        self.loop.happen(int(milliseconds) / 1000, lambda: self._give_up(life, session, wanted))
        return _NOTHING_YET

    def _serve_waiting(self) -> None:
        for session in list(self._waiting):
            assert session.wanted is not None
            key, number, count = session.wanted
            if found := self.data.stream_after(key, number, count):
                self._waiting.remove(session)
                session.wanted = None
                self._replies.append((session, [[key, found]], None))

    def _give_up(self, life: int, session: "RedisSession", wanted: object) -> None:
        if life != self._life or session.wanted is not wanted:
            return
        if self._is_busy or self.is_frozen:
            pause = max(0.0, self._thaws - self.loop.time()) + 1e-4
            self.loop.happen(pause, lambda: self._give_up(life, session, wanted))
            return
        session.wanted = None
        self._waiting.remove(session)
        session.send(None)

    def _publish(self, channel: bytes, data: bytes) -> int:
        listeners = [one for one in self._sessions if channel in one.channels]
        hints, chance = self.hints, self.chance
        message = [b"message", channel, data]
        for session in listeners:
            if not hints.is_reliable:
                for delay in hints.delays(chance):
                    self._late.append((delay, session, message))
            else:
                self._replies.append((session, message, None))
        return len(listeners)


class RedisSession:
    """One client's connection."""

    def __init__(self, server: RedisServer, link: Link) -> None:
        self.server = server
        self.link = link
        self.channels: dict[bytes, None] = {}
        self.wanted: tuple[bytes, int, int] | None = None
        self.is_over = False
        self._reader = hiredis.Reader()

    def receive(self, data: bytes) -> None:
        if self.is_over:
            return
        self._reader.feed(data)
        while (request := self._reader.gets()) is not False:
            self.server.ask(self, request)
        self.server.work()

    def closed(self) -> None:
        self.is_over = True
        self.server.forget(self)

    def send(self, reply: Any) -> None:
        if not self.is_over:
            self.link.down(encode(reply))


def encode(reply: Any) -> bytes:
    """A reply as it goes over the wire."""
    kind = type(reply)
    if kind is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if kind is list:
        return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
    if kind is int:
        return b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n"
    if kind is Status:
        return b"+%b\r\n" % reply
    assert isinstance(reply, Refused), reply
    return b"-%s\r\n" % str(reply).encode()


def _watched(data: Data, on_write: Callable[[Request], None]) -> Data:
    """The same data, whose changes are told from now on."""
    watched = Data(on_write)
    watched.strings, watched.hashes, watched.streams = data.strings, data.hashes, data.streams
    return watched


_NOTHING_YET = object()
_CONFIGURATION = {
    b"appendonly": b"yes",
    b"appendfsync": b"always",
    b"maxmemory-policy": b"noeviction",
    b"maxmemory": b"%d" % MAXMEMORY,
}
__all__ = ["OUT_OF_MEMORY", "Hints", "RedisServer", "RedisSession", "encode"]
