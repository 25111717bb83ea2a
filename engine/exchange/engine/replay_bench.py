"""How fast an engine that starts, or stands by, takes over what another one has done.

A part of `exchange bench recovery`. Outcomes are read as they stand in the stream, their rows taken
over, and the hash of the whole state compared after every frame; nothing is executed again.
"""

import random
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from exchange.engine.cost_bench import NOW
from exchange.engine.replica import Replica
from exchange.engine.stream_bench import LEVELS, Stream, as_command, found
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.messages import decode_frame, encode

PORTION = 20_000
"""Entries that are executed, and then taken over: all of them would not fit into memory."""


class Report(Struct, frozen=True):
    """Seconds by the clock, and of the processor, for so many entries in so many bytes."""

    entries: int
    megabytes: int
    seconds: float
    processor_s: float


def measure(entries: int, progress: Callable[[int], object]) -> Report:
    """A follower of an engine that executes a seeded stream; `progress` is told of each portion."""
    leader, follower = Replica(epoch=1), Replica(epoch=1)
    for replica in (leader, follower):
        found(replica.engine)
    stream = Stream(random.Random("replay"))  # noqa: S311
    commands: deque[AnyCommand | Undecodable] = deque()
    commands.extend(as_command(stream.rest(place)) for place in range(LEVELS))
    done = size = 0
    seconds = processor_s = 0.0
    while done < entries:
        while len(commands) < min(PORTION, entries - done):
            commands.append(as_command(stream.next()))
        portion = len(commands)
        done += portion
        frames = []
        while commands:
            frames.append(encode(leader.execute(commands, NOW + done)))
        size += sum(map(len, frames))
        began, processor_began = time.perf_counter(), time.process_time()
        for frame in frames:
            follower.follow([decode_frame(frame)])
        seconds += time.perf_counter() - began
        processor_s += time.process_time() - processor_began
        progress(portion)
    assert follower.position == leader.position == done
    return Report(done, size // 2**20, round(seconds, 3), round(processor_s, 3))
