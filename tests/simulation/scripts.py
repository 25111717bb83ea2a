"""The product's Lua scripts, run by Lua itself, as Redis runs them."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from lupa import lua51
from simulation.redis_data import Refused, Status

# One for all simulations: the scripts keep nothing between calls, and Lua must not keep who calls.
_lua = lua51.LuaRuntime(
    encoding=None, register_eval=False, register_builtins=False, unpack_returned_tuples=False
)

Call = Callable[[list[bytes]], Any]


class Scripts:
    """What SCRIPT LOAD has brought; a restarted server has forgotten it."""

    def __init__(self) -> None:
        self._sources: dict[bytes, bytes] = {}

    def load(self, source: bytes) -> bytes:
        name = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
        self._sources[name] = source
        return name

    def run(self, name: bytes, keys: list[bytes], arguments: list[bytes], call: Call) -> Any:
        """Raises Refused where Redis answers with an error."""
        if name not in self._sources:
            raise Refused("NOSCRIPT No matching script. Please use EVAL.")
        function = _compiled(self._sources[name])
        _host.call = call
        try:
            return _reply(function(_lua.table_from(keys), _lua.table_from(arguments)))
        except lua51.LuaError as fault:
            raise Refused(f"ERR {fault}") from None
        finally:
            _host.call = None


class _Host:
    """The server whose script runs."""

    call: Call | None = None

    def serve(self, *words: Any) -> Any:
        assert self.call is not None
        return _value(self.call([_word(word) for word in words]))


_host = _Host()


@cache
def _compiled(source: bytes) -> Any:
    make = _lua.execute(
        b"return function(call) local redis = {call = call}\n"
        b"return function(KEYS, ARGV)\n" + source + b"\nend end"
    )
    return make(_host.serve)


def _word(word: Any) -> bytes:
    """Numbers become text as Lua 5.1 writes them."""
    if isinstance(word, bytes):
        return word
    return b"%d" % word if float(word).is_integer() else b"%.17g" % word


def _value(reply: Any) -> Any:
    """What a script gets for a reply: nil is false, a status is a table."""
    if reply is None:
        return False
    if isinstance(reply, Status):
        return _lua.table_from({b"ok": bytes(reply)})
    if isinstance(reply, list):
        return _lua.table_from([_value(one) for one in reply])
    return reply


def _reply(value: Any) -> Any:
    """What a client gets for what a script returns: an array ends before its first nil."""
    if value is None or value is False:
        return None
    if value is True:
        return 1
    if isinstance(value, float):
        return int(value)
    if isinstance(value, int | bytes):
        return value
    if (status := value[b"ok"]) is not None:
        return Status(status)
    found: list[Any] = []
    while (one := value[len(found) + 1]) is not None:
        found.append(_reply(one))
    return found
