"""Many sockets that listen to one stream, for as little of the machine as possible.

They share one buffer and one thread. Messages are counted by their opening braces: a trade has
one, and neither the head of its frame nor a ping has any.
"""

import re
import selectors
import socket
import time

from msgspec import Struct

PLACES_PER_S = 800
"""A server may not take more connections from one address than this."""
BUFFER_BYTES = 256 * 1024
ANSWER_S_MAX = 10.0
ATTEMPTS_MAX = 10
WATCHED_MAX = 10
"""The ages of messages are read at so many sockets, spread over all: reading them is dear."""
DEAF_BYTES = 4 * 1024
PARTING_S_MAX = 5.0

_EVENT_TIME = re.compile(rb'"E":(\d{16}),')


class CrowdFault(Exception):
    """The crowd cannot listen, or not any more; the text says why."""


class Seat(Struct, eq=False):
    """One listener."""

    socket: socket.socket
    is_watched: bool = False


class Crowd:
    """`messages` is how many came, `ages` how old some of them were then, in seconds."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.messages = 0
        self.ages: list[float] = []
        self._selector = selector
        self._buffer = bytearray(BUFFER_BYTES)
        self._seats: list[Seat] = []
        self._deaf: list[socket.socket] = []

    def take_places(self, port: int, path: str, *, listening: int, deaf: int) -> None:
        """Connect them; the deaf are spread among the others, and never read what comes."""
        began = time.monotonic()
        for number in range(listening + deaf):
            is_deaf = number * deaf // (listening + deaf) != (number + 1) * deaf // (
                listening + deaf
            )
            opened = _dial(port, path, is_deaf=is_deaf)
            if is_deaf:
                self._deaf.append(opened)
            else:
                self._seats.append(Seat(opened))
            time.sleep(max(0.0, began + number / PLACES_PER_S - time.monotonic()))
        for seat in self._seats[:: max(1, listening // WATCHED_MAX)]:
            seat.is_watched = True
        for seat in self._seats:
            seat.socket.setblocking(False)
            self._selector.register(seat.socket, selectors.EVENT_READ, seat)

    def hear(self, seat: Seat) -> None:
        """Read what has come to one of them."""
        try:
            size = seat.socket.recv_into(self._buffer)
        except OSError as fault:
            raise CrowdFault(f"a listener was dropped: {fault}") from None
        if not size:
            raise CrowdFault("a listener was closed")
        self.messages += self._buffer.count(b"{", 0, size)
        if seat.is_watched:
            now = time.time_ns() // 1_000
            times = _EVENT_TIME.findall(self._buffer, 0, size)
            self.ages += [(now - int(said)) / 1_000_000 for said in times]

    def leave(self) -> int:
        """Everybody goes; says how many of the deaf had been closed by the server."""
        for seat in self._seats:
            self._selector.unregister(seat.socket)
            seat.socket.close()
        end = time.monotonic() + PARTING_S_MAX
        closed = sum(_is_at_end(one, end) for one in self._deaf)
        for one in self._deaf:
            one.close()
        self._seats, self._deaf = [], []
        return closed


def _dial(port: int, path: str, *, is_deaf: bool) -> socket.socket:
    """A connection that listens; waits where the server does not take so many at once."""
    for _ in range(ATTEMPTS_MAX):
        opened = socket.socket()
        if is_deaf:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BYTES)
        opened.settimeout(ANSWER_S_MAX)
        opened.connect(("127.0.0.1", port))
        opened.sendall(upgrade(path))
        answer = b""
        # Nothing can follow it yet: there is no tick before all have their places.
        while not answer.endswith(b"\r\n\r\n") and (received := opened.recv(4_096)):
            answer += received
        if answer.startswith(b"HTTP/1.1 101 "):
            return opened
        opened.close()
        if not answer.startswith(b"HTTP/1.1 429 "):
            break
        time.sleep(1)
    raise CrowdFault(f"a listener was refused: {answer.decode(errors='replace')}")


def upgrade(path: str) -> bytes:
    """The handshake of a client."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _is_at_end(deaf: socket.socket, end: float) -> bool:
    """Whether there is an end to what waits for it."""
    try:
        while (left_s := end - time.monotonic()) > 0:
            deaf.settimeout(left_s)
            if not deaf.recv(BUFFER_BYTES):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False
