"""What a Redis holds, and the commands that the exchange uses, as Redis executes them.

Commands and answers are those of the protocol: lists of bytes in; bytes, integers, lists, None and
`Status` out; `Refused` for errors.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """An error reply; the text begins with its kind."""


class Status(bytes):
    """A simple string, such as OK."""


OK = Status(b"OK")
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."


class Stream:
    """Entries with the ids `0-number`; others are not ours."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.fields: list[list[bytes]] = []
        self.last = 0
        self.groups: set[bytes] = set()

    def after(self, number: int, count: int) -> list[Any]:
        start = bisect_right(self.numbers, number)
        return self._entries(range(start, min(start + count, len(self.numbers))))

    def between(self, low: int, high: int) -> range:
        return range(bisect_left(self.numbers, low), bisect_right(self.numbers, high))

    def _entries(self, places: range) -> list[Any]:
        return [[b"0-%d" % self.numbers[place], self.fields[place]] for place in places]

    def entries(self, places: range, count: int) -> list[Any]:
        return self._entries(places[:count])


class Data:
    """All keys. A command that changes something calls `on_write` with what to do again later."""

    def __init__(self, on_write: Callable[[list[bytes]], None]) -> None:
        self.strings: dict[bytes, bytes] = {}
        self.hashes: dict[bytes, dict[bytes, bytes]] = {}
        self.streams: dict[bytes, Stream] = {}
        self.is_full = False
        self._on_write = on_write
        self._commands: dict[bytes, Callable[[list[bytes]], Any]] = {
            name.removeprefix("_do_").upper().encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }

    def execute(self, command: list[bytes]) -> Any:
        """Raises Refused."""
        name = command[0].upper()
        if name not in self._commands:
            raise Refused(f"ERR unknown command '{name.decode()}'")
        if self.is_full and name in _NEEDS_MEMORY:
            raise Refused(OUT_OF_MEMORY)
        return self._commands[name](command)

    def stream_after(self, key: bytes, number: int, count: int) -> list[Any]:
        stream = self.streams.get(key)
        return stream.after(number, count) if stream is not None else []

    # --- Strings ---

    def _do_get(self, command: list[bytes]) -> bytes | None:
        return self.strings.get(command[1])

    def _do_set(self, command: list[bytes]) -> Status | None:
        _, key, value, *options = command
        if options and (options != [b"NX"] or key in self.strings):
            return None
        self.strings[key] = value
        self._on_write(command[:3])
        return OK

    def _do_del(self, command: list[bytes]) -> int:
        count = 0
        for key in command[1:]:
            for kind in (self.strings, self.hashes, self.streams):
                count += kind.pop(key, None) is not None
        if count:
            self._on_write(command)
        return count

    def _do_exists(self, command: list[bytes]) -> int:
        kinds = (self.strings, self.hashes, self.streams)
        return sum(any(key in kind for kind in kinds) for key in command[1:])

    # --- Hashes ---

    def _do_hget(self, command: list[bytes]) -> bytes | None:
        return self.hashes.get(command[1], {}).get(command[2])

    def _do_hmget(self, command: list[bytes]) -> list[bytes | None]:
        found = self.hashes.get(command[1], {})
        return [found.get(field) for field in command[2:]]

    def _do_hset(self, command: list[bytes]) -> int:
        found = self.hashes.setdefault(command[1], {})
        before = len(found)
        found.update(zip(command[2::2], command[3::2], strict=True))
        self._on_write(command)
        return len(found) - before

    # --- Streams ---

    def _do_xadd(self, command: list[bytes]) -> bytes:
        _, key, identifier, *fields = command
        number = _number(identifier)
        stream = self.streams.get(key) or Stream()
        if number == 0:
            raise Refused("ERR The ID specified in XADD must be greater than 0-0")
        if number <= stream.last:
            raise Refused(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            )
        self.streams[key] = stream
        stream.numbers.append(number)
        stream.fields.append(fields)
        stream.last = number
        self._on_write(command)
        return identifier

    def _do_xrange(self, command: list[bytes]) -> list[Any]:
        _, key, low, high, *options = command
        stream = self.streams.get(key)
        if stream is None:
            return []
        return stream.entries(_places(stream, low, high), _count(options))

    def _do_xtrim(self, command: list[bytes]) -> int:
        """Exactly, where Redis may leave what shares a node with entries that stay."""
        _, key, _, _, identifier = command
        stream = self.streams.get(key)
        if stream is None:
            return 0
        count = bisect_left(stream.numbers, _number(identifier))
        del stream.numbers[:count], stream.fields[:count]
        if count:
            self._on_write(command)
        return count

    def _do_xsetid(self, command: list[bytes]) -> Status:
        _, key, identifier = command
        stream = self.streams.get(key)
        if stream is None:
            raise Refused("ERR no such key")
        number = _number(identifier)
        if stream.numbers and number < stream.numbers[-1]:
            raise Refused(
                "ERR The ID specified in XSETID is smaller than the target stream top item"
            )
        stream.last = number
        self._on_write(command)
        return OK

    def _do_xgroup(self, command: list[bytes]) -> Status | int:
        _, action, key, name, *options = command
        stream = self.streams.get(key)
        if action == b"CREATE":
            if stream is None:
                if b"MKSTREAM" not in options:
                    raise Refused("ERR The XGROUP subcommand requires the key to exist.")
                stream = self.streams[key] = Stream()
            stream.groups.add(name)
        else:
            assert action == b"DESTROY", action
            if stream is None or name not in stream.groups:
                return 0
            stream.groups.remove(name)
        self._on_write(command)
        return OK if action == b"CREATE" else 1

    def _do_xinfo(self, command: list[bytes]) -> list[Any]:
        stream = self.streams.get(command[2])
        if stream is None:
            raise Refused("ERR no such key")
        return [b"length", len(stream.numbers), b"last-generated-id", b"0-%d" % stream.last]


_NEEDS_MEMORY = {b"SET", b"HSET", b"XADD", b"XSETID"}


def _number(identifier: bytes) -> int:
    time, _, number = identifier.partition(b"-")
    assert time == b"0", identifier
    return int(number)


def _places(stream: Stream, low: bytes, high: bytes) -> range:
    return stream.between(
        0 if low == b"-" else _bound(low, 1), 2**63 if high == b"+" else _bound(high, -1)
    )


def _bound(identifier: bytes, inward: int) -> int:
    if identifier.startswith(b"("):
        return _number(identifier[1:]) + inward
    return _number(identifier)


def _count(options: list[bytes]) -> int:
    return int(options[1]) if options else 2**31
