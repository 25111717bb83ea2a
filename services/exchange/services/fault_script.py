"""Faults on request: a script of rules, and what each of them decides.

A script is TOML or JSON. Its decisions are those of its seed: with the same script the same
requests, in the same order, meet the same faults.
"""

import random
import tomllib
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

STREAMS, SOCKET_API = "streams", "ws-api"
SOCKETS = (STREAMS, SOCKET_API)
"""What a rule is `on` that is about connections: of the stream server, of the WebSocket API."""
EVERYTHING = "*"
MAKER = "fault-maker"
"""Who trades with a partly filled order where the script names nobody."""
SHARE = 0.5
_DAY_MS = 86_400_000


class Fault(StrEnum):
    """What happens. Those that are numbers answer with this status, or this error code."""

    TOO_MUCH_WEIGHT = "429"
    BANNED = "418"
    TOO_MANY_REQUESTS = "-1003"
    TOO_MANY_ORDERS = "-1015"
    UNAVAILABLE = "-1001"
    OVERLOADED = "-1008"
    TIMEOUT = "-1007"
    SKEW = "skew"
    """The server's clock is wrong by so many milliseconds, for those that the rule is about."""
    DELAY = "delay"
    DROP = "drop"
    """The connection is cut without a word."""
    STALL = "stall"
    """The connection stays, and nothing comes."""
    PARTIAL_FILL = "partial-fill"
    """A new limit order meets an order of the script's maker for a part of its quantity."""


class ScriptFault(Exception):
    """Why a script cannot be used, as a sentence."""


_WAIT, _HOW_LONG, _EXECUTED = "retry_after", "milliseconds", "executed"
_OPTIONS = {
    Fault.TOO_MUCH_WEIGHT: {_WAIT},
    Fault.BANNED: {_WAIT},
    Fault.TOO_MANY_REQUESTS: {_WAIT},
    Fault.TOO_MANY_ORDERS: {_WAIT},
    Fault.UNAVAILABLE: set[str](),
    Fault.OVERLOADED: set[str](),
    Fault.TIMEOUT: {_EXECUTED},
    Fault.SKEW: {_HOW_LONG},
    Fault.DELAY: {_HOW_LONG, _EXECUTED},
    Fault.DROP: {_EXECUTED},
    Fault.STALL: {_HOW_LONG, _EXECUTED},
    Fault.PARTIAL_FILL: {"share", "maker"},
}
"""What each fault can be told; the answers that promise that nothing has happened keep to it."""
_ALL_OPTIONS = frozenset[str]().union(*_OPTIONS.values())


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What it is about, how often it acts, and how.

    `on` names endpoints as in `POST /api/v3/order` or `order.place`, each of which means both;
    `*` stands for anything. Of what it is about, the first `after` are spared, `probability` says
    how many of the others meet it, and `count` how many at most. On connections `after` counts
    messages of one connection.
    """

    fault: str | int
    on: str | list[str] = EVERYTHING
    key: str | None = None
    account: str | None = None
    stream: str | None = None
    after: int = 0
    count: int | None = None
    probability: float = 1.0
    executed: bool | None = None
    """Whether what was asked for is done all the same; no, where it is not said."""
    milliseconds: int | None = None
    retry_after: int | None = None
    share: float | None = None
    maker: str | None = None

    @property
    def kind(self) -> Fault:
        return Fault(str(self.fault))

    @property
    def patterns(self) -> Sequence[str]:
        return [self.on] if isinstance(self.on, str) else self.on

    @property
    def is_about_sockets(self) -> bool:
        return any(one in SOCKETS for one in self.patterns)

    def is_on(self, names: Iterable[str]) -> bool:
        """Whether it is about something that has one of these names."""
        return any(fnmatchcase(name, one) for name in names for one in self.patterns)


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules in their order: the first one that acts is what happens."""

    seed: int = 0
    rule: list[Rule] = []


def parse_script(content: bytes, *, is_toml: bool) -> Script:
    """Raises ScriptFault."""
    try:
        if is_toml:
            return checked(msgspec.convert(tomllib.loads(content.decode()), Script))
        return checked(msgspec.json.decode(content, type=Script))
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ScriptFault(f"The script cannot be read: {fault}.") from None


def read_script(path: Path) -> Script:
    """Of a file of somebody, in JSON where it is called so. Raises ScriptFault."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise ScriptFault(f"{path} cannot be read: {fault.strerror}.") from None
    return parse_script(content, is_toml=path.suffix != ".json")


def checked(script: Script) -> Script:
    """The script, if every rule makes sense; raises ScriptFault."""
    for number, rule in enumerate(script.rule, 1):
        if sentence := _objection(rule):
            raise ScriptFault(f"Rule {number} {sentence}")
    return script


def _objection(rule: Rule) -> str:
    """What is wrong with a rule; "" if nothing is."""
    if str(rule.fault) not in set(Fault):
        return f"asks for the fault {rule.fault!r}; there are {', '.join(Fault)}."
    kind = rule.kind
    given = {name for name in _ALL_OPTIONS if getattr(rule, name) is not None}
    wrong = sorted(given - (set() if rule.is_about_sockets else _OPTIONS[kind]))
    wait, length = rule.retry_after, rule.milliseconds
    checks = [
        (bool(wrong), f"has `{wrong[0]}`, which means nothing with {kind}." if wrong else ""),
        (not rule.patterns, "is `on` nothing."),
        (rule.after < 0, "has a negative `after`."),
        (rule.count is not None and rule.count < 1, "has a `count` below one: leave it out."),
        (not 0 < rule.probability <= 1, "has a `probability` that is not above 0 and up to 1."),
        (wait is not None and wait < 1, "has a `retry_after` below one second."),
        (rule.share is not None and not 0 < rule.share < 1, "has a `share` not between 0 and 1."),
        (length is None and kind in (Fault.SKEW, Fault.DELAY), "lacks `milliseconds`."),
        (abs(length or 0) > _DAY_MS, "has more `milliseconds` than a day."),
        ((length or 0) < 0 and kind is not Fault.SKEW, "has negative `milliseconds`."),
        (kind is Fault.SKEW and rule.probability < 1, "is a clock that is wrong by chance."),
        (rule.key is not None and rule.account is not None, "names a key and an account."),
        (
            rule.stream is not None and set(rule.patterns) != {STREAMS},
            'names a stream: say on = "streams".',
        ),
    ]
    if rule.is_about_sockets:
        checks += [
            (kind not in (Fault.DROP, Fault.STALL), "is about sockets: they drop or stall."),
            (not set(rule.patterns) <= set(SOCKETS), "mixes sockets and requests."),
            (rule.account is not None, "is about sockets, which are known by their `key` alone."),
        ]
    return next((sentence for is_wrong, sentence in checks if is_wrong), "")


class Chance:
    """One rule while its script is in force: it counts what it met, and decides."""

    def __init__(self, rule: Rule, seed: str) -> None:
        self.rule = rule
        self.acted = 0
        self._met = 0
        # Not for secrets: it must be the same again.
        self._random = random.Random(seed).random  # noqa: S311

    @property
    def is_used_up(self) -> bool:
        return self.rule.count is not None and self.acted >= self.rule.count

    def decide(self) -> bool:
        """Whether it acts on the next thing that it is about."""
        is_spared = not self.rule.is_about_sockets and self._met < self.rule.after
        self._met += 1
        if is_spared or self.is_used_up:
            return False
        if self.rule.probability < 1 and self._random() >= self.rule.probability:
            return False
        self.acted += 1
        return True

    def would_act(self) -> bool:
        """Whether it would act on the next thing, without being asked."""
        return self._met >= self.rule.after and not self.is_used_up


class Faults:
    """A script in force."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._chances = [
            Chance(rule, f"{script.seed}:{number}") for number, rule in enumerate(script.rule)
        ]

    @property
    def acted(self) -> list[int]:
        """How often each rule has acted in this process."""
        return [one.acted for one in self._chances]

    def of_request(
        self, names: Sequence[str], key: str, account: str, *, can_be_filled: bool
    ) -> Rule | None:
        """The rule that acts on a request; `can_be_filled` is one for a new limit order."""
        for one in self._chances:
            kind = one.rule.kind
            if kind is Fault.SKEW or (kind is Fault.PARTIAL_FILL and not can_be_filled):
                continue
            if _is_about(one.rule, names, key, account) and one.decide():
                return one.rule
        return None

    def skew_us(self, names: Sequence[str], key: str, account: str, *, counts: bool) -> int:
        """By how much the clock is wrong for a request; whoever only looks at it does not count."""
        for one in self._chances:
            if one.rule.kind is not Fault.SKEW or not _is_about(one.rule, names, key, account):
                continue
            if one.decide() if counts else one.would_act():
                return (one.rule.milliseconds or 0) * 1_000
        return 0

    def of_socket(self, name: str) -> "Line":
        """What may happen to a new connection of this name."""
        return Line(
            [one for one in self._chances if one.rule.is_about_sockets and one.rule.is_on([name])]
        )


class Line:
    """One connection: which of its messages is the first that does not get through, and how."""

    def __init__(self, chances: list[Chance]) -> None:
        self._chances = chances
        self._sent = 0

    def fault(self, keys: Collection[str] = (), streams: Collection[str] = ()) -> Fault | None:
        """What happens in place of the next message; None where it goes out, and is counted.

        `keys` and `streams` are what the connection is known to be about by now.
        """
        for one in list(self._chances):
            rule = one.rule
            if self._sent < rule.after or not _is_of(rule, keys, streams):
                continue
            # A rule decides once about a connection.
            self._chances.remove(one)
            if one.decide():
                return rule.kind
        self._sent += 1
        return None


def _is_about(rule: Rule, names: Sequence[str], key: str, account: str) -> bool:
    if rule.is_about_sockets or not rule.is_on(names):
        return False
    return rule.key in (None, key) and rule.account in (None, account)


def _is_of(rule: Rule, keys: Collection[str], streams: Collection[str]) -> bool:
    if rule.key is not None and rule.key not in keys:
        return False
    return rule.stream is None or any(fnmatchcase(one, rule.stream) for one in streams)
