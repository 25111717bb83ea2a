"""freqtrade, unmodified, trades once: it buys, keeps a stop on the exchange, takes it back, sells."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
from conftest import BOTS, SYMBOL, Exchange, ccxt_client, client_config, free_port

HERE = Path(__file__).parent
ANSWER_S_MAX = 60.0
NAME, PASSWORD = "operator", "only of this test"


class Freqtrade:
    """A running bot as its operator sees it: the REST API of its own."""

    def __init__(self, port: int, process: subprocess.Popen, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._process = process
        self._log = log

    def ask(self, path: str, **body: object) -> Any:
        """GET, or POST where there is a body."""
        name = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self._url}/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Basic {name}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def until(self, what: str, is_so: Callable[[], Any]) -> Any:
        """What `is_so` says once it says something."""
        end = time.monotonic() + ANSWER_S_MAX
        while time.monotonic() < end:
            assert self._process.poll() is None, f"freqtrade has ended:\n{self.log()}"
            try:
                if found := is_so():
                    return found
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.2)
        raise AssertionError(f"never {what}:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text("utf-8")


@pytest.fixture
def owner(exchange: Exchange) -> ccxt.binance:
    """The account that the bot trades for, as its owner sees it at the exchange."""
    client = ccxt_client(exchange.rest, exchange.account(USDC="1000"))
    client.load_markets()
    return client


@pytest.fixture
def bot(exchange: Exchange, owner: ccxt.binance, tmp_path: Path) -> Iterator[Freqtrade]:
    port, log = free_port(), tmp_path / "freqtrade.log"
    (tmp_path / "bot.json").write_text(json.dumps(configuration(port)))
    (tmp_path / "exchange.json").write_text(
        client_config("freqtrade", exchange, owner.apiKey, owner.secret)
    )
    command = [
        BOTS / "freqtrade/bin/freqtrade", "trade",
        "--config", "bot.json", "--config", "exchange.json", "--userdir", str(tmp_path),
        "--strategy", "OneTrade", "--strategy-path", str(HERE),
        "--db-url", f"sqlite:///{tmp_path}/trades.sqlite",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
        try:
            bot = Freqtrade(port, process, log)
            bot.until("runs", lambda: bot.ask("show_config")["state"] == "running")
            yield bot
        finally:
            process.terminate()
            process.wait(30)


def configuration(port: int) -> dict[str, Any]:
    """What is the bot's own business; where it trades stands in a file of its own."""
    at_the_other_side = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    return {
        "dry_run": False,
        "initial_state": "running",
        "stake_currency": "USDC",
        "stake_amount": 200,
        "max_open_trades": 1,
        "force_entry_enable": True,
        "entry_pricing": at_the_other_side,
        "exit_pricing": at_the_other_side,
        "exchange": {"pair_whitelist": [SYMBOL]},
        "pairlists": [{"method": "StaticPairList"}],
        "api_server": {
            "enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port,
            "username": NAME, "password": PASSWORD, "jwt_secret_key": PASSWORD * 2,
            "ws_token": PASSWORD,
        },
        "internals": {"process_throttle_secs": 1},
    }  # fmt: skip


def test_it_buys_protects_itself_and_sells(
    bot: Freqtrade, owner: ccxt.binance, alice: ccxt.binance, bob: ccxt.binance
) -> None:
    alice.create_order(SYMBOL, "limit", "sell", 5, 100)
    bob.create_order(SYMBOL, "limit", "buy", 5, 99)

    bot.ask("forceenter", pair=SYMBOL, side="long")
    trade = bot.until("has bought, and protected itself", lambda: protected(bot.ask("status")))
    (stop,) = owner.fetch_open_orders(SYMBOL)
    held = owner.fetch_balance()["SOL"]
    bot.ask("forceexit", tradeid=str(trade["trade_id"]))
    bot.until("has sold", lambda: bot.ask("trades")["trades_count"] and not bot.ask("status"))

    (closed,) = bot.ask("trades")["trades"]
    bought, sold = owner.fetch_my_trades(SYMBOL)
    # What the exchange says of it.
    assert (bought["side"], bought["price"], bought["amount"]) == ("buy", 100, 2)
    assert (sold["side"], sold["price"]) == ("sell", 99)
    assert stop["status"] == "open"
    assert held["used"] == stop["amount"]
    assert owner.fetch_order(stop["id"], SYMBOL)["status"] == "canceled"
    assert owner.fetch_open_orders(SYMBOL) == []
    # What the bot says of it.
    orders = {one["ft_order_side"]: one["order_id"] for one in closed["orders"]}
    assert (closed["pair"], closed["open_rate"], closed["close_rate"]) == (SYMBOL, 100, 99)
    assert orders == {"buy": bought["order"], "sell": sold["order"]}
    assert stop_of(trade) == stop["id"]
    assert not closed["is_open"]
    # Both know of the same money.
    received = Decimal(str(sold["cost"])) - Decimal(str(sold["fee"]["cost"]))
    balances = {one["asset"]: one for one in owner.fetch_balance()["info"]["balances"]}
    assert Decimal(balances["USDC"]["free"]) == 1000 - 200 + received
    assert closed["close_profit_abs"] == pytest.approx(float(received - 200), abs=0.01)


def protected(trades: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one that has its stop, of those that are open."""
    return next((trade for trade in trades if stop_of(trade)), None)


def stop_of(trade: dict[str, Any]) -> str | None:
    sides = {one["ft_order_side"]: one["order_id"] for one in trade["orders"] if one["order_id"]}
    return sides.get("stoploss")
