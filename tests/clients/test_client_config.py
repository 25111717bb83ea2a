"""What `exchange client-config` prints works as it stands, once key and secret are filled in."""

import pytest
from conftest import Exchange, client_config

SYMBOL = "SOLUSDC"


def run_snippet(client: str, exchange: Exchange) -> dict:
    """The names that it leaves behind, for a new account with a thousand USDC."""
    account = exchange.account(USDC="1000")
    text = client_config(client, exchange, account.api_key, account.secret)
    names: dict = {}
    exec(compile(text, client, "exec"), names)
    return names


def addresses_in(urls: object) -> list[str]:
    if isinstance(urls, dict):
        return [one for value in urls.values() for one in addresses_in(value)]
    return [str(urls)]


def test_ccxt_trades(exchange: Exchange) -> None:
    client = run_snippet("ccxt", exchange)["exchange"]

    order = client.create_order("SOL/USDC", "limit", "buy", 1, 50)

    assert client.fetch_balance()["USDC"]["used"] == 50
    assert client.cancel_order(order["id"], "SOL/USDC")["status"] == "canceled"


@pytest.mark.parametrize("client", ["ccxt", "ccxt.pro"])
def test_ccxt_knows_no_other_address_that_it_could_send_a_key_to(
    exchange: Exchange, client: str
) -> None:
    urls = run_snippet(client, exchange)["exchange"].urls["api"]

    ours = (exchange.rest, exchange.ws, exchange.rest.replace("http", "ws"))
    sockets = urls.pop("ws")
    assert [one for one in addresses_in(urls) if not one.startswith(ours)] == []
    for name in ("spot", "margin", "ws-api"):
        for one in addresses_in(sockets[name]):
            assert one.startswith(ours) or name == "ws-api", one
    assert addresses_in(sockets["ws-api"]["spot"])[0].endswith("/ws-api/v3")


def test_python_binance_trades(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    from binance import BinanceSocketManager
    from binance.base_client import BaseClient

    # The snippet changes classes, for good: what they were comes back afterwards.
    for owner, name in (
        (BaseClient, "API_URL"),
        (BaseClient, "MARGIN_API_URL"),
        (BaseClient, "WS_API_URL"),
        (BinanceSocketManager, "STREAM_URL"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    client = run_snippet("python-binance", exchange)["client"]

    order = client.order_limit_buy(symbol=SYMBOL, quantity="1", price="50")

    assert client.get_asset_balance("USDC")["locked"] == "50.00000000"
    assert client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "CANCELED"
    client.close_connection()


def test_the_official_sdk_trades(exchange: Exchange) -> None:
    client = run_snippet("sdk", exchange)["client"].rest_api

    placed = client.new_order(
        SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity=1, price=50
    ).data()

    assert client.delete_order(SYMBOL, order_id=placed.order_id).data().status == "CANCELED"
