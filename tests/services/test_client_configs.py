"""What clients are told: the right addresses, in text that is what it should be."""

import json
from pathlib import Path

import pytest
import typer

from exchange.services import client_configs
from exchange.services.client_configs import Addresses, Client, addresses, snippet
from exchange.services.run_file import Run, write_run

HERE = Addresses(
    rest="https://api.test", streams="wss://ws.test", socket_api="wss://api.test/ws-api/v3"
)
IN_PYTHON = [client for client in Client if client is not Client.freqtrade]


@pytest.mark.parametrize("client", IN_PYTHON)
def test_a_snippet_is_python(client: Client) -> None:
    text = snippet(client, HERE)

    compile(text, client, "exec")
    assert not text.startswith((" ", "\n"))


def test_the_one_of_freqtrade_is_json() -> None:
    config = json.loads(snippet(Client.freqtrade, HERE))

    assert config["exchange"]["name"] == "binance"
    assert config["exchange"]["ccxt_config"]["urls"]["api"]["public"] == "https://api.test/api/v3"


@pytest.mark.parametrize("client", Client)
def test_a_client_learns_all_addresses_that_it_uses(client: Client) -> None:
    text = snippet(client, HERE)

    assert HERE.rest in text
    assert HERE.streams in text
    assert HERE.socket_api in text or client is Client.cryptofeed


@pytest.mark.parametrize("client", [Client.ccxt, Client.ccxt_pro, Client.freqtrade])
def test_ccxt_is_told_where_everything_is_that_it_sends_keys_to(client: Client) -> None:
    text = snippet(client, HERE)

    for name in (
        "public",
        "private",
        "v1",
        "sapi",
        "sapiV2",
        "fapiPublic",
        "fapiPrivate",
        "dapiPublic",
    ):
        assert f'"{name}": "https://api.test/' in text, name


def test_without_anything_it_is_the_usual_exchange_of_this_machine(tmp_path: Path) -> None:
    assert addresses(None, None, None, tmp_path) == Addresses(
        rest="http://127.0.0.1:8080",
        streams="ws://127.0.0.1:4000",
        socket_api="ws://127.0.0.1:8080/ws-api/v3",
    )


def test_what_runs_is_found(tmp_path: Path) -> None:
    run = Run(
        api="http://127.0.0.1:1234", ws="ws://127.0.0.1:5678", admin="", admin_token="",
        redis_url="", database_url="", pids={},
    )  # fmt: skip
    write_run(tmp_path, run)

    assert addresses(None, None, None, tmp_path) == Addresses(
        rest="http://127.0.0.1:1234",
        streams="ws://127.0.0.1:5678",
        socket_api="ws://127.0.0.1:1234/ws-api/v3",
    )


def test_the_others_follow_from_the_one_that_is_given(tmp_path: Path) -> None:
    assert addresses("https://api.test:8443/", None, None, tmp_path) == Addresses(
        rest="https://api.test:8443",
        streams="wss://api.test:4000",
        socket_api="wss://api.test:8443/ws-api/v3",
    )


def test_all_can_be_given(tmp_path: Path) -> None:
    found = addresses(HERE.rest, HERE.streams, HERE.socket_api, tmp_path)

    assert found == HERE


@pytest.mark.parametrize("url", ["api.test", "ftp://api.test", "http://", "/api"])
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter):
        addresses(url, None, None, tmp_path)


def test_the_command_prints_the_snippet(capsys: pytest.CaptureFixture[str]) -> None:
    client_configs.client_config(Client.ccxt, HERE.rest, HERE.streams, HERE.socket_api)

    assert capsys.readouterr().out == snippet(Client.ccxt, HERE)
