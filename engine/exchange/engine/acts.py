"""What is put on record of an act: who did what to whom and why, and what it was before and after."""

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.services.commands import AnyCommand, Note
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.rows import Account, Act, Author, Key, Row, Transfer, Withdrawal

SECRET_FIELDS = ("secret",)

Changes = list[tuple[Row | None, Row]]
"""Rows of control, each as it was before, None where there was none, and as it is now."""


def author_of(command: AnyCommand) -> Author | None:
    """Who is responsible; None for what users do with what is their own."""
    return getattr(command, "author", None)


class Record:
    """The acts so far, of which only the last link has to be known to go on."""

    def __init__(self) -> None:
        self.link = ""

    def add(
        self, command: AnyCommand, author: Author, changes: Changes, number: int, now: int
    ) -> Act:
        """The act that a command was, after it was executed."""
        act = linked(_describe(command, author, changes, number, now), self.link)
        self.link = act.link
        return act

    def restore(self, act: Act) -> None:
        self.link = act.link


def linked(act: Act, before: str) -> Act:
    """The act with its link to the one whose link is `before`, "" for the first."""
    told = (
        act.number, act.time, act.actor, act.act, act.subject, act.reason, act.before, act.after,
        before,
    )  # fmt: skip
    return replace(act, link=hashlib.sha256(msgspec.json.encode(told)).hexdigest())


def _describe(command: AnyCommand, author: Author, changes: Changes, number: int, now: int) -> Act:
    if isinstance(command, Note):
        act, subject, before, after = command.act, command.subject, "", ""
    else:
        act = type(command).__name__
        told = [(_subject(row), *_difference(known, row)) for known, row in changes]
        subject = ", ".join(name for name, _, _ in told)
        before = _text({name: one for name, one, _ in told if one})
        after = _text({name: one for name, _, one in told if one})
    return Act(
        number=number,
        time=now,
        actor=author.name,
        act=act,
        subject=subject,
        reason=author.reason,
        before=before,
        after=after,
    )


def _subject(row: Row) -> str:
    match row:
        case Account():
            return f"account {row.name}"
        case Key():
            return f"key {row.api_key}"
        case Market():
            return f"market {row.symbol}"
        case Asset():
            return f"asset {row.name}"
        case ExchangeRules():
            return "exchange"
        case Withdrawal():
            return f"withdrawal {row.reference}"
        case Transfer():
            return f"transfer {row.reference}"
    raise AssertionError(row)


def _difference(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that are not the same, on both sides; all of them where there was nothing."""
    was: dict[str, Any] = {}
    becomes: dict[str, Any] = {}
    for name in after.__struct_fields__:
        new = getattr(after, name)
        old = None if before is None else getattr(before, name)
        if name in SECRET_FIELDS or (before is not None and old == new):
            continue
        if isinstance(new, msgspec.Struct) and isinstance(old, msgspec.Struct):
            old, new = _difference(old, new)
        becomes[name] = new
        if before is not None:
            was[name] = old
    return was, becomes


def _text(told: dict[str, dict[str, Any]]) -> str:
    """What is about one thing needs not say again about which."""
    if not told:
        return ""
    shown: Any = next(iter(told.values())) if len(told) == 1 else told
    return msgspec.json.encode(shown).decode()
