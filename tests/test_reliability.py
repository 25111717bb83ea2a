"""docs/reliability.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/reliability.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:: (\w+))?`", TEXT)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_a_test_that_holds_a_fault_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))

    names = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not name or name in names


def test_every_fault_names_what_holds_it_or_says_why_nothing_does() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", TEXT.partition("## Every fault")[2], re.MULTILINE)
    faults = [(fault, held) for fault, held in rows if not set(fault) <= {"-"}][1:]

    assert len(faults) == 47
    for fault, held in faults:
        says_why = re.search(r"[Nn]ot test(ed|able)|by hand|measured in", held)
        assert "chaos" in held or "under load" in held or "`tests/" in held or says_why, fault
