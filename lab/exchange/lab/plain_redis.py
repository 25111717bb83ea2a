"""A client of Redis as plain as can be: one connection, one command at a time."""

import asyncio
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis


class PlainRedis:
    """Use `PlainRedis.open`, and `close`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._replies = hiredis.Reader()

    @classmethod
    async def open(cls, url: str) -> "PlainRedis":
        parts = urlsplit(url)
        redis = cls(*await asyncio.open_connection(parts.hostname, parts.port or 6379))
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            await redis.call("AUTH", *user, unquote(parts.password))
        return redis

    async def call(self, *arguments: str | bytes) -> Any:
        """One command and its reply."""
        self._writer.write(hiredis.pack_command(cast("Any", arguments)))
        reply = await self.next_reply()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def next_reply(self) -> Any:
        """What comes without being asked for, too, as after SUBSCRIBE."""
        while (reply := self._replies.gets()) is False:
            data = await self._reader.read(65_536)
            if not data:
                raise ConnectionError("Redis has closed the connection")
            self._replies.feed(data)
        return reply

    def close(self) -> None:
        self._writer.close()
