"""The Lua scripts that alone write the journal, each atomic: it checks everything, then writes."""

import hashlib
from importlib.resources import files
from typing import Any

from exchange.redis.connection import Connection


class Script:
    """One file of lua/, called by its hash."""

    def __init__(self, name: str) -> None:
        self._source = files("exchange.redis").joinpath(f"lua/{name}.lua").read_bytes()
        # Redis names scripts by SHA-1; nothing here depends on its strength.
        self._hash = hashlib.sha1(self._source, usedforsecurity=False).hexdigest()

    async def load(self, connection: Connection) -> None:
        """Needed once per connection: a restarted server has forgotten its scripts."""
        await connection.call("SCRIPT", "LOAD", self._source)

    async def run(
        self, connection: Connection, keys: list[str], *arguments: bytes | str | int
    ) -> list[Any]:
        """The script's answer: a word, then its values."""
        word, *values = await connection.call("EVALSHA", self._hash, len(keys), *keys, *arguments)
        return [word.decode(), *values]


INGEST = Script("ingest")
CLAIM = Script("claim")
APPEND = Script("append")
OPEN = Script("open")
CLOSE = Script("close")
