"""nautilus_trader, unmodified, trades once: it buys, lets an order rest and takes it back, sells."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path

import ccxt
from conftest import BOTS, SYMBOL, Exchange, ccxt_client, client_config

HERE = Path(__file__).parent
PATIENCE_S = 110


def test_it_buys_takes_an_order_back_and_sells(
    exchange: Exchange, alice: ccxt.binance, bob: ccxt.binance, tmp_path: Path
) -> None:
    account = exchange.account(USDC="1000", SOL="10")
    alice.create_order(SYMBOL, "limit", "sell", 5, 100)
    bob.create_order(SYMBOL, "limit", "buy", 5, 99)

    known = run_node(exchange, account.api_key, account.secret, tmp_path)

    owner = ccxt_client(exchange.rest, account)
    owner.load_markets()
    bought, sold = owner.fetch_my_trades(SYMBOL)
    (canceled,) = owner.fetch_canceled_orders(SYMBOL)
    # What the exchange says of it.
    assert (bought["side"], bought["price"], bought["amount"]) == ("buy", 100, 1.5)
    assert (sold["side"], sold["price"], sold["amount"]) == ("sell", 99, 1.5)
    assert canceled["price"] == 89.1
    assert owner.fetch_open_orders(SYMBOL) == []
    # What the bot says of it.
    orders = [
        (one["id"], one["side"], one["status"], Decimal(one["filled"])) for one in known["orders"]
    ]
    assert set(orders) == {
        (bought["order"], "BUY", "FILLED", Decimal("1.5")),
        (canceled["id"], "BUY", "CANCELED", 0),
        (sold["order"], "SELL", "FILLED", Decimal("1.5")),
    }
    assert {one["clientOrderId"] for one in known["orders"]} == {
        one["clientOrderId"] for one in owner.fetch_orders(SYMBOL)
    }
    # Both know of the same money.
    held = owner.fetch_balance()["info"]["balances"]
    known_balances = {asset: Decimal(total) for asset, total in known["balances"].items()}
    assert known_balances == {one["asset"]: Decimal(one["free"]) for one in held}


def run_node(exchange: Exchange, api_key: str, secret: str, folder: Path) -> dict:
    """What a node knows after its one trade; it runs in nautilus' own environment."""
    config, result = folder / "nautilus_config.py", folder / "result.json"
    config.write_text(client_config("nautilus", exchange, api_key, secret))
    done = subprocess.run(
        [BOTS / "nautilus/bin/python", str(HERE / "nautilus_cycle.py"), str(config), str(result)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR" not in done.stdout, done.stdout
    return json.loads(result.read_text())
