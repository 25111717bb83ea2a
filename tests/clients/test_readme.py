"""What the README and the page tell people to type is what works."""

import re
import subprocess
import sys
from pathlib import Path

from conftest import Exchange

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PROGRAM = ROOT / "web/exchange/web/js/ccxt-program.js"


def test_the_ccxt_example_places_an_order(exchange: Exchange) -> None:
    account = exchange.account(USDC="1000")
    programs = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (example,) = [program for program in programs if "ccxt.binance(" in program]
    example = (
        example.replace("http://127.0.0.1:8080", exchange.rest)
        .replace('"apiKey": "…"', f'"apiKey": "{account.api_key}"')
        .replace('"secret": "…"', f'"secret": "{account.secret}"')
    )

    names: dict = {}
    exec(compile(example, str(README), "exec"), names)

    assert names["order"]["status"] == "open"
    assert names["exchange"].fetch_balance()["USDC"]["used"] == 150
    names["exchange"].cancel_order(names["order"]["id"], "SOL/USDC")


def test_the_program_that_the_page_shows_prints_what_one_has(exchange: Exchange) -> None:
    account = exchange.account(USDC="1000", SOL="2")
    (program,) = re.findall(r"return `(.*?)`;", PROGRAM.read_text("utf-8"), re.DOTALL)
    # Nothing in it is written differently in a template of JavaScript.
    assert "\\" not in program
    values = {"origin": exchange.rest, "apiKey": account.api_key, "secret": account.secret}
    for name, value in values.items():
        assert program.count(f"${{{name}}}") == 1
        program = program.replace(f"${{{name}}}", value)

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "'USDC': 1000.0" in done.stdout
    assert "'SOL': 2.0" in done.stdout
