"""What `exchange client-config` prints for clients that need an environment of their own works too."""

import json
import subprocess
from pathlib import Path

from conftest import BOTS, Account, Exchange, client_config

HERE = Path(__file__).parent
PATIENCE_S = 110


def use(client: str, exchange: Exchange, account: Account, folder: Path, *more: str) -> dict:
    """What a client has come to know, told where to go by its snippet and by nothing else."""
    config, result = folder / "client_config.py", folder / "result.json"
    config.write_text(client_config(client, exchange, account.api_key, account.secret))
    script = HERE / f"use_{client.replace('-', '_')}.py"
    done = subprocess.run(
        [BOTS / "others/bin/python", script, config, result, *more],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(result.read_text())


def test_binance_connector_trades_and_listens(exchange: Exchange, tmp_path: Path) -> None:
    account = exchange.account(USDC="1000")

    known = use("binance-connector", exchange, account, tmp_path)

    assert known["placed"] == known["resting"]
    assert known["canceled"] == "CANCELED"
    assert known["book"] == ["1.00000000", "0.00000000"]


def test_unicorn_trades_and_listens(exchange: Exchange, tmp_path: Path) -> None:
    account = exchange.account(USDC="1000")

    known = use("unicorn", exchange, account, tmp_path, account.api_key, account.secret)

    assert known["canceled"] == known["placed"]
    assert known["states"] == [[known["placed"], "NEW"], [known["placed"], "CANCELED"]]
