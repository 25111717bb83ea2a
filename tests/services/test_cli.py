"""The command line without an exchange: help, wrong use, and what it says when nobody is there."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exchange.services import cli
from exchange.services.embedded import free_port
from exchange.services.run_file import Run, default_folder, write_run

COMMANDS = [
    "up", "account create", "account stop", "account release", "account tier", "account discount",
    "key create", "key revoke", "deposit", "withdraw", "market add", "market rules", "market halt",
    "market break", "market resume", "market cancel-only", "rules", "asset add", "status", "run",
    "db upgrade", "bench", "replay", "verify", "recover", "alarm clear", "backup", "restore",
    "chaos", "client-config", "reset", "account role", "account password", "admin audit",
    "admin withdrawals", "admin approve", "admin reject", "admin finish", "admin freeze",
    "admin thaw", "admin mode", "admin rotate-master-key",
    "snapshot save", "snapshot load", "snapshot fork", "snapshot list", "snapshot delete",
    "faults set", "faults show", "faults clear", "simulate", "secrets kubernetes", "secrets compose",
]  # fmt: skip


def exchange(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ADMIN_")}
    return subprocess.run(
        [sys.executable, "-c", "from exchange.services.cli import main; main()", *arguments],
        env={**inherited, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Its one sentence, if it was refused as it should."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def run_file(folder: Path, port: int) -> None:
    address = f"http://127.0.0.1:{port}"
    write_run(
        folder,
        Run(
            api=address, ws=address, admin=address, admin_token="token",
            redis_url="redis://127.0.0.1:1", database_url="postgresql://exchange@127.0.0.1:1/none",
            pids={},
        ),
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = exchange(*command.split(), "--help")

    assert done.returncode == 0
    # Why an operator does it is said in front of the command.
    example = " ".join(done.stdout.partition("Example:")[2].split())
    assert re.search(rf'exchange (--reason "[^"]+" )?{command}', example), example


def test_every_command_is_listed_above() -> None:
    found = [
        f"{command.name or command.callback.__name__}"
        for command in cli.app.registered_commands
        if command.callback
    ]
    for group in cli.app.registered_groups:
        assert group.typer_instance is not None
        found += [
            f"{group.name} {command.name}" for command in group.typer_instance.registered_commands
        ]

    assert sorted(found) == sorted(COMMANDS)


def test_the_version_is_that_of_the_distribution() -> None:
    assert exchange("--version").stdout == "exchange 0.1.0\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["up", "--api-port", "0"],
        ["up", "--api-port", "65536"],
        ["up", "--ws-port", "many"],
        ["account", "create"],
        ["key", "create", "alice", "--type", "dsa"],
        ["deposit", "alice", "USDC"],
        ["deposit", "alice", "USDC", "-5"],
        ["market", "add", "SOLUSDC", "--base", "SOL"],
        ["market", "rules", "SOLUSDC", "--set", "price_up"],
        ["market", "rules", "SOLUSDC", "--set", "price_up=1", "--set", "price_up=2"],
        ["market", "rules", "SOLUSDC", "--tier", "1", "0.001"],
        ["market", "rules", "SOLUSDC", "--tier", "one", "0.001", "0.001"],
        ["rules", "--set", "discount"],
        ["account", "tier", "alice", "-1"],
        ["account", "discount", "alice", "perhaps"],
        ["asset", "add", "DOGE", "--decimals", "19"],
        ["run", "postgres"],
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    done = exchange(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""


class TestWithoutAnExchange:
    def test_a_folder_where_nothing_runs_is_named(self, tmp_path: Path) -> None:
        done = exchange("status", "--data", str(tmp_path))

        assert f"No exchange runs in {tmp_path}" in refused(done)

    def test_the_default_folder_is_the_users(self, tmp_path: Path) -> None:
        done = exchange("status", "--json", XDG_DATA_HOME=str(tmp_path))

        assert f"No exchange runs in {tmp_path}/exchange" in refused(done)

    def test_a_broken_run_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text("{", encoding="ascii")

        assert "run.json cannot be read" in refused(exchange("status", "--data", str(tmp_path)))
        done = exchange("db", "upgrade", "--data", str(tmp_path))
        assert "cannot be read" in refused(done)

    def test_an_address_without_a_token_is_refused(self) -> None:
        done = exchange("status", ADMIN_URL="http://127.0.0.1:1")

        assert "neither ADMIN_TOKEN nor ADMIN_TOKEN_FILE" in refused(done)

    def test_an_address_where_nobody_answers_is_named(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        done = exchange("status", ADMIN_URL=url, ADMIN_TOKEN="x")

        assert f"{url} cannot be reached" in refused(done)

    def test_an_address_that_is_none_is_refused(self) -> None:
        for url in ("nonsense", "ftp:/x", "http://", "http://127.0.0.1:many"):
            refused(exchange("status", ADMIN_URL=url, ADMIN_TOKEN="x"))

    def test_a_run_file_that_a_killed_launcher_left_is_explained(self, tmp_path: Path) -> None:
        run_file(tmp_path, free_port())

        done = exchange("deposit", "alice", "USDC", "5", "--data", str(tmp_path), "--json")

        assert "cannot be reached" in refused(done)

    def test_the_database_to_upgrade_must_be_named(self, tmp_path: Path) -> None:
        done = exchange("db", "upgrade", XDG_DATA_HOME=str(tmp_path))

        assert "set DATABASE_URL" in refused(done)


class TestWithAStrangeServer:
    """Something answers on the admin port, but not as the admin API does."""

    @pytest.fixture
    def strange(self, request: pytest.FixtureRequest) -> Iterator[str]:
        answer: bytes = request.param
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
            thread.join()

    @pytest.mark.parametrize(
        "strange",
        [
            b"",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
            b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}",
        ],
        indirect=True,
    )
    def test_a_deposit_without_an_answer_says_how_to_make_sure(self, strange: str) -> None:
        done = exchange("deposit", "alice", "USDC", "5", ADMIN_URL=strange, ADMIN_TOKEN="x")

        sentence = refused(done)
        assert "repeat it with --reference " in sentence
        assert len(sentence.split()[-1]) == 32

    @pytest.mark.parametrize(
        "strange",
        [b'HTTP/1.1 409 No\r\nContent-Length: 39\r\n\r\n{"error": "The name alice exists now."}'],
        indirect=True,
    )
    def test_a_refusal_is_shown_as_it_is(self, strange: str) -> None:
        done = exchange("account", "create", "alice", ADMIN_URL=strange, ADMIN_TOKEN="x")

        assert refused(done) == "The name alice exists now.\n"


class TestRules:
    """What an operator sees of rules, and what is asked for: an admin API that writes it down."""

    ANSWER: ClassVar[dict[str, Any]] = {
        "symbol": "SOLUSDC",
        "maker": "0.001",
        "taker": "0.002",
        "tiers": [{"tier": 1, "maker": "0", "taker": "0.0005"}],
        "rules": {
            "order_types": ["LIMIT", "MARKET"],
            "fee_discount": True,
            "features": [],
            "assets_max": {"BTC": "5", "USDC": "1000000"},
            "price_up": "1.3",
            "orders_max": 200,
        },
    }

    @pytest.fixture
    def asked(self) -> Iterator[list[bytes]]:
        """The address of the API first, then the requests that it got."""
        content = json.dumps(self.ANSWER).encode()
        with socket.create_server(("127.0.0.1", 0)) as server:
            requests = [b"http://127.0.0.1:%d" % server.getsockname()[1]]

            def serve() -> None:
                connection, _ = server.accept()
                with connection:
                    requests.append(whole_request(connection))
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
                    )

            thread = threading.Thread(target=serve)
            thread.start()
            yield requests
            thread.join()

    @staticmethod
    def ask(asked: list[bytes], *arguments: str) -> tuple[str, str, Any]:
        """What the command prints, the request line that it sent, and the body."""
        done = exchange(*arguments, ADMIN_URL=asked[0].decode(), ADMIN_TOKEN="x")
        assert done.returncode == 0, done.stderr
        head, _, body = asked[1].partition(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1")
        return done.stdout, line, json.loads(body) if body else None

    def test_rules_are_shown_as_they_can_be_set(self, asked: list[bytes]) -> None:
        output, line, body = self.ask(asked, "market", "rules", "SOLUSDC")

        assert (line, body) == ("GET /admin/markets/SOLUSDC/rules", None)
        assert [row.split() for row in output.splitlines()] == [
            ["symbol", "SOLUSDC"],
            ["maker", "0.001"],
            ["taker", "0.002"],
            ["tier", "1", "0", "0.0005"],
            ["order_types", "LIMIT,MARKET"],
            ["fee_discount", "on"],
            ["features"],
            ["assets_max", "BTC:5,USDC:1000000"],
            ["price_up", "1.3"],
            ["orders_max", "200"],
        ]

    def test_rules_in_json_are_what_the_exchange_says(self, asked: list[bytes]) -> None:
        output, _, _ = self.ask(asked, "market", "rules", "SOLUSDC", "--json")

        assert json.loads(output) == self.ANSWER

    def test_only_what_is_to_change_is_sent(self, asked: list[bytes]) -> None:
        _, line, body = self.ask(
            asked, "market", "rules", "SOLUSDC", "--set", "price_up=1.3", "--set", "features=",
            "--taker-rate", "0", "--tier", "1", "0", "0.0005", "--drop-tier", "2",
        )  # fmt: skip

        assert line == "POST /admin/markets/SOLUSDC/rules"
        assert body == {
            "rules": {"price_up": "1.3", "features": ""},
            "taker": "0",
            "tiers": [{"tier": 1, "maker": "0", "taker": "0.0005"}],
            "dropTiers": [2],
        }

    def test_the_rules_of_the_exchange_have_no_market(self, asked: list[bytes]) -> None:
        output, line, body = self.ask(asked, "rules", "--set", "discount_asset=USDC")

        assert (line, body) == ("POST /admin/rules", {"rules": {"discount_asset": "USDC"}})
        assert output.startswith("order_types ")

    def test_a_new_market_can_have_other_rules(self, asked: list[bytes]) -> None:
        _, line, body = self.ask(
            asked, "market", "add", "SOLUSDC", "--base", "SOL", "--quote", "USDC", "--tick", "0.01",
            "--lot", "0.001", "--set", "iceberg_parts=20",
        )  # fmt: skip

        assert line == "POST /admin/markets"
        assert body["rules"] == {"iceberg_parts": "20"}

    @pytest.mark.parametrize(
        ("command", "body"),
        [
            (["stop", "alice"], {"stopped": True}),
            (["release", "alice"], {"stopped": False}),
            (["tier", "alice", "0"], {"tier": 0}),
            (["discount", "alice", "on"], {"discount": True}),
            (["discount", "alice", "off"], {"discount": False}),
            (["role", "alice", "admin"], {"role": "ADMIN"}),
        ],
    )
    def test_an_account_is_changed_in_one_thing(
        self, asked: list[bytes], command: list[str], body: dict[str, Any]
    ) -> None:
        assert self.ask(asked, "account", *command)[1:] == ("POST /admin/accounts/alice", body)

    def test_why_somebody_acts_goes_with_what_he_does(self, asked: list[bytes]) -> None:
        self.ask(asked, "--reason", "100 % sure", "account", "stop", "alice")

        head = asked[-1].partition(b"\r\n\r\n")[0].lower()
        assert b"x-exchange-reason: 100%20%25%20sure" in head
        assert b"x-exchange-actor: " in head

    def test_a_break_is_a_mode(self, asked: list[bytes]) -> None:
        _, line, body = self.ask(asked, "market", "break", "SOLUSDC")

        assert (line, body) == ("POST /admin/markets/SOLUSDC/mode", {"mode": "BREAK"})


def whole_request(connection: socket.socket) -> bytes:
    """A request up to the end of its body."""
    request = b""
    while True:
        head, separator, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head.lower())
        if separator and len(body) == (int(length[1]) if length else 0):
            return request
        request += connection.recv(65536)


class TestBecoming:
    """Commands that start a part replace themselves by it."""

    def test_a_service_takes_its_settings_from_the_environment(self) -> None:
        done = exchange("run", "engine", METRICS_ADDR="nonsense")

        assert done.returncode == 1
        assert "METRICS_ADDR must be host:port" in done.stderr

    def test_a_service_joins_the_exchange_of_a_folder(self, tmp_path: Path) -> None:
        done = exchange("run", "engine", "--data", str(tmp_path))

        assert f"No exchange runs in {tmp_path}" in refused(done)

    def test_the_database_is_upgraded_twice(self, empty_database_url: str) -> None:
        for _ in range(2):
            done = exchange("db", "upgrade", DATABASE_URL=empty_database_url)
            assert done.returncode == 0, done.stderr


def test_the_default_folder_honours_the_desktop_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert default_folder() == Path("/elsewhere/exchange")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", "/home/alice")
    assert default_folder() == Path("/home/alice/.local/share/exchange")
