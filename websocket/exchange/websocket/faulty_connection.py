"""A connection to the stream server that may break or fall silent, as a script of faults says."""

from exchange.services.fault_file import FaultFile
from exchange.services.fault_script import STREAMS, Fault
from exchange.websocket.connection import Server, Socket
from exchange.websocket.frames import split_frames


class FaultySocket(Socket):
    """Pings go on while it is stalled: it looks alive."""

    def __init__(self, server: Server, *, file: FaultFile) -> None:
        super().__init__(server)
        self._line = file.faults().of_socket(STREAMS)
        self._is_silent = False

    def send(self, frames: bytes) -> None:
        for frame in split_frames(frames):
            if self._is_silent:
                return
            keys = self._server.users.api_keys(self)
            fault = self._line.fault(keys, self.subscriptions.streams)
            if fault is None:
                super().send(frame)
                continue
            self._is_silent = True
            if fault is Fault.DROP:
                self.flush()
                self.abort()

    def send_when_drained(self, name: str, frames: bytes) -> None:  # noqa: ARG002
        self.send(frames)
