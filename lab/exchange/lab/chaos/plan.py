"""The plan of faults: what is done to which processes, drawn from a seed."""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

PARTS = ("engine", "backend", "websocket", "db-processor", "redis", "postgres")


class Kind(StrEnum):
    """What can be done to processes."""

    KILL = "killed"
    KILL_TWO = "two killed at once"
    KILL_HEALING = "killed one after the other"
    KILL_ALL = "all killed at once"
    STOP = "stopped for a moment"
    STOP_LONG = "stopped for seconds"
    STOP_AND_KILL = "killed while another one is stopped"
    END = "asked to end"


KILLS_MAX = {
    Kind.KILL: 1,
    Kind.KILL_TWO: 2,
    Kind.KILL_HEALING: 6,
    Kind.KILL_ALL: len(PARTS),
    Kind.STOP_AND_KILL: 1,
}
"""How many processes a fault kills at most; the others kill none."""

_FREQUENCIES = {
    Kind.KILL: 34,
    Kind.KILL_TWO: 14,
    Kind.KILL_HEALING: 29,
    Kind.KILL_ALL: 7,
    Kind.STOP: 7,
    Kind.STOP_LONG: 2,
    Kind.STOP_AND_KILL: 4,
    Kind.END: 3,
}


class Fault(Struct, frozen=True):
    """One thing to do. `seconds` is how long a stop lasts, or what lies between two kills;
    `whole_tree` is whether Postgres' own children are meant too; `pause` comes after it has healed.
    """

    kind: Kind
    parts: tuple[str, ...]
    seconds: float
    whole_tree: bool
    pause: float

    @property
    def name(self) -> str:
        """What recoveries from it are listed under."""
        if len(self.parts) == 1:
            return f"{self.parts[0]} {self.kind}"
        return self.kind.value


def faults(seed: int, parts: Sequence[str]) -> Iterator[Fault]:
    """Faults without end; the same for the same seed and parts.

    First each part is killed once, then all of them together.
    """
    chance = random.Random(seed)
    yield from chance.sample([_fault(chance, Kind.KILL, (part,)) for part in parts], len(parts))
    yield _fault(chance, Kind.KILL_ALL, tuple(parts))
    while True:
        (kind,) = chance.choices(list(_FREQUENCIES), list(_FREQUENCIES.values()))
        yield _fault(chance, kind, _draw_parts(chance, kind, parts))


def _draw_parts(chance: random.Random, kind: Kind, parts: Sequence[str]) -> tuple[str, ...]:
    match kind:
        case Kind.KILL | Kind.STOP | Kind.STOP_LONG:
            return (chance.choice(parts),)
        case Kind.KILL_ALL:
            return tuple(parts)
        case Kind.END:
            # Postgres takes this for the wish to wait until all its clients have gone.
            return (chance.choice([part for part in parts if part != "postgres"]),)
        case Kind.KILL_HEALING:
            # It may be the same one again, as it starts.
            return tuple(chance.choices(parts, k=chance.randint(2, KILLS_MAX[kind])))
        case _:
            return tuple(chance.sample(parts, 2))


def _fault(chance: random.Random, kind: Kind, parts: tuple[str, ...]) -> Fault:
    longest = {Kind.STOP: 1.0, Kind.STOP_LONG: 7.0}.get(kind, 1.5)
    shortest = 3.0 if kind is Kind.STOP_LONG else 0.05
    return Fault(
        kind=kind,
        parts=parts,
        seconds=round(chance.uniform(shortest, longest), 3),
        whole_tree=chance.random() < 0.5,
        pause=round(chance.uniform(0.0, 0.5), 3),
    )
