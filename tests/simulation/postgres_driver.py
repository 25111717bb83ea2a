"""In the place of asyncpg: what the product uses of it, to a simulated Postgres.

It raises what asyncpg raises, and its transactions are asyncpg's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction
from simulation.loop import OWNER
from simulation.network import Link, Network
from simulation.postgres_rows import Record
from simulation.postgres_server import Answer

HOST = "postgres"


class Driver:
    """`connect` and `create_pool`."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def connect(
        self, _dsn: str, *, timeout: float, command_timeout: float, server_settings: dict[str, str]
    ) -> "Connection":
        process = OWNER.get()
        assert process is not None
        async with asyncio.timeout(timeout):
            link = await self._network.open(process, HOST)
            connection = Connection(link, command_timeout)
            link.up(("start", server_settings))
            await connection.execute("SHOW fsync")
            return connection

    async def create_pool(
        self,
        dsn: str,
        *,
        min_size: int,
        max_size: int,
        timeout: float,
        command_timeout: float,
        server_settings: dict[str, str],
        init: Callable[["Connection"], Any],
        reset: Callable[["Connection"], Any],
    ) -> "Pool":
        async def connect() -> Connection:
            connection = await self.connect(
                dsn,
                timeout=timeout,
                command_timeout=command_timeout,
                server_settings=server_settings,
            )
            await init(connection)
            return connection

        return Pool(connect, reset, max_size)


class Connection:
    """As the product sees it."""

    def __init__(self, link: Link, command_timeout: float) -> None:
        self._link = link
        link.client = self
        self._timeout = command_timeout
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._is_closed = False
        self._is_in_transaction = False
        self._pool_release_ctr = 0
        self._top_xact: Any = None
        self._protocol = self
        self._transport = self

    def is_closed(self) -> bool:
        return self._is_closed

    def is_in_transaction(self) -> bool:
        return self._is_in_transaction

    def get_extra_info(self, _name: str) -> None:
        return None

    async def set_type_codec(self, _name: str, **_options: Any) -> None:
        """Records hold what the codecs would make."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        self._check()
        return Transaction(self, isolation, readonly, deferrable)

    async def execute(self, query: str, *arguments: Any) -> str:
        answer = await self._ask(query, arguments)
        return answer if isinstance(answer, str) else f"SELECT {len(answer)}"

    async def fetch(self, query: str, *arguments: Any) -> list[Record]:
        answer = await self._ask(query, arguments)
        assert isinstance(answer, list)
        return answer

    async def fetchrow(self, query: str, *arguments: Any) -> Record | None:
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        row = await self.fetchrow(query, *arguments)
        return None if row is None else row[0]

    async def copy_to_table(self, table: str, *, columns: list[str], source: memoryview) -> str:
        answer = await self._ask(f"COPY {table}", (bytes(source),))
        assert isinstance(answer, str)
        return answer

    async def close(self, *, timeout: float) -> None:
        if self._is_closed:
            return
        try:
            async with asyncio.timeout(timeout):
                # Whatever is under way is given up first, as asyncpg does.
                if self._waiting:
                    self._link.up(("cancel", self._number))
                    await asyncio.wait(list(self._waiting.values()))
                self._is_closed = True
                self._link.close()
        except BaseException:
            self.terminate()
            raise

    async def reset(self) -> None:
        """End a transaction that somebody left open: one whose beginning was cancelled."""
        if self._waiting:
            await asyncio.wait(list(self._waiting.values()))
        if self._is_in_transaction or self._top_xact is not None:
            self._top_xact = None
            await self.execute("ROLLBACK;")

    def terminate(self) -> None:
        self._is_closed = True
        self._link.close()
        self._fail()

    def data_received(self, data: Any) -> None:
        number, answer, self._is_in_transaction = data
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def connection_lost(self, _fault: Exception | None) -> None:
        self._is_closed = True
        self._fail()

    def _fail(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(
                    asyncpg.ConnectionDoesNotExistError(
                        "connection was closed in the middle of operation"
                    )
                )

    def _check(self) -> None:
        if self._is_closed:
            raise asyncpg.InterfaceError("connection is closed")

    async def _ask(self, query: str, arguments: Sequence[Any]) -> list[Record] | str:
        self._check()
        if self._waiting:
            # One that was cancelled: asyncpg waits until the server has let it go.
            async with asyncio.timeout(self._timeout):
                await asyncio.wait(list(self._waiting.values()))
            self._check()
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[number] = future
        self._link.up((number, query, arguments))
        timer = self._loop.call_later(self._timeout, self._give_up, future)
        try:
            answer = await future
        except BaseException:
            if not self._is_closed:
                if number in self._waiting:
                    # Somebody else may have to wait until the server has let it go.
                    self._waiting[number] = self._loop.create_future()
                self._link.up(("cancel", number))
            raise
        finally:
            timer.cancel()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @staticmethod
    def _give_up(future: asyncio.Future[Answer]) -> None:
        if not future.done():
            future.set_exception(TimeoutError())


class Pool:
    """Connections that are used again."""

    def __init__(
        self,
        connect: Callable[[], Any],
        reset: Callable[[Connection], Any],
        max_size: int,
    ) -> None:
        self._connect = connect
        self._reset = reset
        self._idle: list[Connection] = []
        self._busy: dict[Connection, None] = {}
        self._free = asyncio.Semaphore(max_size)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        async with self._free:
            connection = None
            while self._idle and (connection is None or connection.is_closed()):
                connection = self._idle.pop()
            if connection is None or connection.is_closed():
                connection = await self._connect()
            self._busy[connection] = None
            try:
                yield connection
            finally:
                await asyncio.shield(asyncio.ensure_future(self._release(connection)))

    async def _release(self, connection: Connection) -> None:
        del self._busy[connection]
        if connection.is_closed():
            return
        try:
            await connection.reset()
            await self._reset(connection)
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchval(query, *arguments)

    def terminate(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.terminate()
