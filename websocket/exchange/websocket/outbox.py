"""What a socket still has to write: frames in order, and the newest of those that may be skipped.

Frames are shared with all others who get them, so that a slow reader costs references, not copies.
"""

CHUNK_BYTES = 64 * 1024
"""About as much as a transport is given at once."""


class Outbox:
    """Frames that wait for the end of the turn, or for a full transport to drain."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self._frames: list[bytes] = []
        self._newest: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: bytes) -> None:
        self._frames.append(frame)
        self.waiting_bytes += len(frame)

    def keep_newest(self, name: str, frame: bytes) -> None:
        """Hold a frame in place of the one before it of the same name, until `add_newest`."""
        self._newest[name] = frame

    def forget_newest(self, name: str) -> None:
        self._newest.pop(name, None)

    def add_newest(self) -> None:
        """Line up what was held."""
        for frame in self._newest.values():
            self.add(frame)
        self._newest.clear()

    def take(self) -> list[bytes]:
        """The next frames, at least one and about CHUNK_BYTES; there must be one."""
        if self.waiting_bytes <= CHUNK_BYTES:
            frames, self._frames, self.waiting_bytes = self._frames, [], 0
            return frames
        size = count = 0
        while size < CHUNK_BYTES:
            size += len(self._frames[count])
            count += 1
        frames = self._frames[:count]
        del self._frames[:count]
        self.waiting_bytes -= size
        return frames

    def clear(self) -> None:
        self._frames, self.waiting_bytes = [], 0
        self._newest.clear()
