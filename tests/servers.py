"""What a test knows of a server, and the few words it needs to say to one without a driver's loop."""

import asyncio
import socket
import threading
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg


class KillableServer(Protocol):
    """A server that a test may kill and start again; its port and its data stay."""

    @property
    def url(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def remove(self) -> None: ...


def execute_sql(url: str, *statements: str) -> None:
    """Execute statements from a thread of its own: the test's event loop may be running."""

    async def execute() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(execute())
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def ask_redis(url: str, command: str) -> str:
    """The first line of the answer to a command."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.makefile("rb").readline().decode().strip()


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
