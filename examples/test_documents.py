"""The tests that docs/testing-bots.md shows, as a reader would copy them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "docs/testing-bots.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_shows_runs_as_it_stands(document, tmp_path, exchange):
    text = (ROOT / document).read_text("utf-8")
    shown = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "(venue)" in one]
    (tmp_path / "test_bot.py").write_text("\n\n".join(shown))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "."],
        env=os.environ | {"EXCHANGE_DATA": str(exchange.folder)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert f"{len(shown)} passed" in done.stdout


def test_the_example_of_the_documentation_is_ten_lines_of_test():
    text = (ROOT / "docs/testing-bots.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    assert len([line for line in shown.splitlines() if line]) <= 10
