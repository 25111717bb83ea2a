"""What `exchange verify` found: one check for each promise, in plain words."""

from typing import Any

import msgspec

DOUBTS_SHOWN = 5


class Check(msgspec.Struct, kw_only=True):
    """`promise` was looked at for so many `things`; `examples` are the first doubts of it."""

    name: str
    promise: str
    things: str
    checked: int = 0
    doubtful: int = 0
    examples: list[str] = []

    @property
    def is_ok(self) -> bool:
        return self.doubtful == 0

    def doubt(self, sentence: str) -> None:
        self.doubtful += 1
        if len(self.examples) < DOUBTS_SHOWN:
            self.examples.append(sentence)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`database` is the position that was checked, `journal` the last outcome that was followed."""

    database: int
    journal: int
    checks: list[Check]

    @property
    def is_ok(self) -> bool:
        return all(check.is_ok for check in self.checks)


def as_builtins(report: Report) -> dict[str, Any]:
    """For `--json`."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    for check, described in zip(report.checks, found["checks"], strict=True):
        described["ok"] = check.is_ok
    return {"ok": report.is_ok, **found}


def as_text(check: Check) -> str:
    """One line, and the examples below it."""
    lines = [
        f"{'ok   ' if check.is_ok else 'DOUBT'}  {check.promise} ({check.checked:,} {check.things})"
    ]
    lines += [f"       {example}" for example in check.examples]
    if check.doubtful > len(check.examples):
        lines.append(f"       … and {check.doubtful - len(check.examples):,} more")
    return "\n".join(lines)


def conclusion(report: Report) -> str:
    count, doubtful = len(report.checks), sum(not check.is_ok for check in report.checks)
    if doubtful:
        return f"{doubtful} of {count} promises are in doubt, at {report.journal}."
    return f"All {count} promises hold, at {report.journal}."
