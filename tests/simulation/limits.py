"""The product's limits, made small for some seeds, so that their edges are met in a few seconds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from types import ModuleType
from typing import Any
from unittest import mock

from exchange.backend import gateway
from exchange.backend.gateway import Gateway
from exchange.db_processor import retention
from exchange.db_processor import service as db_processor
from exchange.engine import horizon, replica
from exchange.redis import journal, outcomes

Limit = tuple[ModuleType, str, tuple[Any, ...]]

_SIZES: tuple[Limit, ...] = (
    (gateway, "FRAME_COMMANDS_MAX", (1, 2)),
    (gateway, "APPENDS_MAX", (1,)),
    (gateway, "WAITING_MAX", (2,)),
    (replica, "FRAME_OUTCOMES_MAX", (1, 2)),
    (replica, "FRAME_ROWS_MAX", (3,)),
    (journal, "_READ_FRAMES", (1, 2)),
    (outcomes, "_READ_FRAMES", (1, 2)),
    (outcomes, "FRAMES_WAITING_MAX", (1, 2)),
    (db_processor, "BATCH_COMMANDS", (1, 3)),
    (db_processor, "BUSY_ROWS", (1,)),
    (db_processor, "FRAMES_WAITING_MAX", (1, 2)),
)
_TRIMMING: tuple[Limit, ...] = (
    (retention, "KEEP_S", (0.1, 1.0)),
    (retention, "KEEP_COMMANDS", (1, 10)),
    (db_processor, "TIDY_S", (0.1, 0.5)),
)


class Limits:
    """What is small this time. `trims`: streams are cut to a few commands, behind Postgres.

    Requests are forgotten soon only where clocks are right: else that may be too soon.
    """

    def __init__(self, chance: Random, *, clocks_are_right: bool) -> None:
        self.trims = chance.random() < 0.2
        self.lag_max = chance.choice((1, 3)) if chance.random() < 0.15 else None
        share = chance.choice((0.0, 0.0, 0.3, 0.8))
        self._chosen = [
            (module, name, chance.choice(choices))
            for module, name, choices in _SIZES
            if chance.random() < share
        ]
        if self.trims:
            self._chosen += [
                (module, name, chance.choice(choices)) for module, name, choices in _TRIMMING
            ]

        if clocks_are_right and chance.random() < 0.3:
            self._chosen.append((horizon, "SPAN_S", 0.1))

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module, name, value in self._chosen:
                stack.enter_context(mock.patch.object(module, name, value))
            if self.lag_max is not None:
                defaults: Any = Gateway._append.__kwdefaults__
                stack.enter_context(mock.patch.dict(defaults, {"lag_max": self.lag_max}))
            yield

    def __str__(self) -> str:
        chosen = [f"{name}={value}" for _, name, value in self._chosen]
        return ", ".join([*chosen, *([f"lag {self.lag_max}"] if self.lag_max else [])]) or "usual"
