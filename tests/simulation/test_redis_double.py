"""The simulated Redis answers as the real one does, whatever is asked of it in whatever order."""

from random import Random
from typing import Any

import pytest
from simulation.loop import SimulatedLoop
from simulation.redis_data import Refused
from simulation.redis_server import RedisServer, RedisSession

from exchange.redis import scripts
from exchange.redis.connection import CommandRefused, Connection
from exchange.redis.journal import COMMANDS, RUN, TOP
from exchange.redis.outcomes import OUTCOMES
from exchange.redis.scripts import Script

Word = bytes | str | int


class Double:
    """The simulated one, without a network."""

    def __init__(self) -> None:
        self.server = RedisServer(SimulatedLoop(Random(0)), Random(0))
        self._session = RedisSession(self.server, None)  # type: ignore[arg-type]

    async def call(self, *words: Word) -> Any:
        request = [word if type(word) is bytes else str(word).encode() for word in words]
        if request[0] == b"CONFIG":
            self.server.memory_share = 1.1 if request[3] == b"1" else 0.1
            return b"OK"
        before = len(self.server.log)
        self.server._answer(self._session, request)
        if not self.server._replies:
            # A read that would wait: nothing is said until something is there.
            self.server.forget(self._session)
            return None
        ((_, reply, _),) = self.server._replies
        self.server._replies.clear()
        assert len(self.server.log) <= before + 1
        if isinstance(reply, Refused):
            raise CommandRefused(str(reply))
        return reply

    def restart(self) -> None:
        """What is in its log is all that is left."""
        self.server.synced = len(self.server.log)
        self.server.kill()
        self.server.start()


class Journal:
    """What the product's scripts are called with, right most of the time."""

    def __init__(self, redis: Any) -> None:
        self._call = redis.call

    async def open(self) -> None:
        for script in (scripts.INGEST, scripts.CLAIM, scripts.APPEND, scripts.OPEN, scripts.CLOSE):
            await self._call("SCRIPT", "LOAD", script._source)

    async def step(self, chance: Random) -> Any:
        act = chance.choice(
            (self._ingest, self._ingest, self._claim, self._append, self._append, self._append,
             self._open, self._close, self._read, self._write)
        )  # fmt: skip
        return await act(chance)

    async def _ingest(self, chance: Random) -> Any:
        seconds, microseconds = await self._call("TIME")
        clock = int(seconds) * 1_000_000 + int(microseconds)
        clock += chance.choice((0, 0, 0, 1_900_000, -1_900_000, 3_000_000, -3_000_000))
        count, lag = chance.randrange(1, 4), chance.choice((5, 20, 2**53))
        payload = b"p" * chance.randrange(5)
        return await self._run(
            scripts.INGEST, [RUN, COMMANDS, TOP], clock, 2_000_000, lag, count, payload
        )

    async def _claim(self, chance: Random) -> Any:
        epoch = await self._epoch() + chance.choice((-1, 0, 1, 1, 1, 3))
        return await self._run(scripts.CLAIM, [TOP, RUN, COMMANDS, OUTCOMES], epoch)

    async def _append(self, chance: Random) -> Any:
        top = await self._top("out") + chance.choice((0, 0, 0, 0, -1, 1))
        count = chance.randrange(1, 4)
        payload = f"outcomes {top} {count}"
        return await self._run(
            scripts.APPEND, [OUTCOMES, TOP], *await self._leader(chance), top, top + count, count,
            7, payload,
        )  # fmt: skip

    async def _open(self, chance: Random) -> Any:
        top = await self._top("out")
        number = max(top, await self._top("cmd")) + chance.choice((1, 100, 0))
        payload = f"opened {top} {number}"
        return await self._run(
            scripts.OPEN, [OUTCOMES, TOP, RUN, COMMANDS], *await self._leader(chance), top, number,
            7, payload,
        )  # fmt: skip

    async def _close(self, chance: Random) -> Any:
        last = await self._top("out") + chance.choice((0, 0, 1))
        epoch = await self._epoch() + chance.choice((0, 0, 0, 1))
        return await self._run(scripts.CLOSE, [TOP, RUN], epoch, last)

    async def _read(self, chance: Random) -> Any:
        stream = chance.choice((COMMANDS, OUTCOMES))
        low, high = sorted(f"0-{chance.randrange(40)}" for _ in range(2))
        count = chance.choice(([], ["COUNT", 2]))
        match chance.randrange(6):
            case 0:
                return _entries(await self._call("XRANGE", stream, low, "+", *count))
            case 1:
                return _entries(await self._call("XRANGE", stream, low, high, *count))
            case 2:
                return await self._call("HMGET", TOP, "cmd", "out", "epoch", "other")
            case 3:
                return (await self._call("HGET", TOP, "out"), await self._call("GET", "none"))
            case 4:
                reply = await self._call(
                    "XREAD", "COUNT", 2, "BLOCK", 1, "STREAMS", stream, f"0-{chance.randrange(9)}"
                ) if await self._call("EXISTS", stream) else []  # fmt: skip
                return [(key, _entries(found)) for key, found in reply or ()]
        return await self._call("EXISTS", stream, "none", TOP)

    async def _write(self, chance: Random) -> Any:
        match chance.randrange(7):
            case 0:
                number = chance.randrange(30)
                return await self._call(
                    "XTRIM", chance.choice((COMMANDS, OUTCOMES)), "MINID", "=", f"0-{number}"
                )
            case 1:
                return await self._call("SET", "uuid", "first", "NX")
            case 2:
                return await self._call("SET", "uuid", str(chance.randrange(9)))
            case 3:
                return await self._call("DEL", chance.choice(("uuid", RUN, "none", OUTCOMES)))
            case 4:
                return await self._call("CONFIG", "SET", "maxmemory", "1")
            case 5:
                return await self._call("HSET", "hash", "a", "1", "b", "2")
        return await self._call("CONFIG", "SET", "maxmemory", "0")

    async def _leader(self, chance: Random) -> tuple[str, int]:
        run_id = await self.run_id() if chance.random() < 0.9 else "another"
        return run_id, await self._epoch() + chance.choice((0, 0, 0, 0, 1))

    async def run_id(self) -> str:
        information = (await self._call("INFO", "server")).decode()
        return str(information.partition("run_id:")[2].split()[0])

    async def _top(self, field: str) -> int:
        return int(await self._call("HGET", TOP, field) or 0)

    async def _epoch(self) -> int:
        return await self._top("epoch")

    async def _run(self, script: Script, keys: list[str], *arguments: Word) -> Any:
        reply = await self._call("EVALSHA", script._hash, len(keys), *keys, *arguments)
        run_id = (await self.run_id()).encode()
        return [b"the run id" if one == run_id else one for one in reply]

    async def everything(self) -> Any:
        streams = [
            _entries(await self._call("XRANGE", key, "-", "+")) for key in (COMMANDS, OUTCOMES)
        ]
        tops = await self._call("HMGET", TOP, "cmd", "out", "epoch")
        return streams, tops, await self._call("GET", "uuid")


async def outcome(journal: Journal, seed: int) -> Any:
    try:
        return await journal.step(Random(seed))
    except CommandRefused as refusal:
        return "out of memory" if refusal.out_of_memory else str(refusal).split()[0]


def _entries(entries: Any) -> Any:
    """Without their times, which no two servers share."""
    found = []
    for identifier, fields in entries:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        found.append((identifier, {name: values[name] for name in values if name != b"t"}))
    return found


@pytest.mark.parametrize("history", range(8))
async def test_both_answer_alike(redis_url: str, history: int) -> None:
    double = Double()
    real = await Connection.open(redis_url, name="test")
    journals = Journal(real), Journal(double)
    try:
        for journal in journals:
            await journal.open()
        for step in range(100):
            seed = history * 1_000 + step
            answers = [await outcome(journal, seed) for journal in journals]

            assert answers[0] == answers[1], (step, seed)
        await real.call("CONFIG", "SET", "maxmemory", "0")
        await double.call("CONFIG", "SET", "maxmemory", "0")
        assert await journals[0].everything() == await journals[1].everything()
    finally:
        await real.call("CONFIG", "SET", "maxmemory", "0")
        real.close()


async def test_what_was_synced_is_there_after_a_restart() -> None:
    double = Double()
    journal = Journal(double)
    await journal.open()
    for seed in range(300):
        await outcome(journal, seed)
    await double.call("CONFIG", "SET", "maxmemory", "0")
    before, run_id = await journal.everything(), await journal.run_id()

    double.restart()

    assert await journal.everything() == before
    assert await journal.run_id() != run_id
