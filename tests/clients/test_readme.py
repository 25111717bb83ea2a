"""What the README tells readers to type is what works."""

import re
from pathlib import Path

from conftest import Exchange

README = Path(__file__).resolve().parents[2] / "README.md"


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
