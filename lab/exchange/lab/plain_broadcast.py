"""What the streams are measured against: a server that hands every message to `broadcast`.

`python -m exchange.lab.plain_broadcast PORT UPDATES`: whoever dials /go asks for a tick with each
message that he sends; everybody else gets UPDATES messages per tick, of a trade's form and length.
"""

import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


class PlainBroadcast:
    """The loop that everybody writes first."""

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._listeners: set[ServerConnection] = set()
        self._trades = 100_000

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path == "/go":
            async for _ in connection:
                self._tick()
            return
        self._listeners.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._listeners.discard(connection)

    def _tick(self) -> None:
        now = time.time_ns() // 1_000
        for _ in range(self._updates):
            self._trades += 1
            broadcast(
                self._listeners,
                f'{{"e":"trade","E":{now},"s":"SOLUSDC","t":{self._trades},"p":"100.00000000",'
                f'"q":"0.10000000","T":{now},"m":false,"M":true}}',
            )


async def run(port: int, updates: int) -> None:
    server = PlainBroadcast(updates)
    async with serve(server.handle, "127.0.0.1", port, compression=None, backlog=1_024) as serving:
        await serving.serve_forever()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))
