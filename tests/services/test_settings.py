"""Settings: where each value comes from, and what is said of those that cannot be."""

from pathlib import Path

import pytest

from exchange.services.settings import Address, InvalidSettings, Settings, parse_address


def test_without_an_environment_everything_has_a_default() -> None:
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert settings.database_dsn() == "postgresql://exchange@127.0.0.1:5432/exchange-db"
    assert settings.admin_token == ""


def test_a_variable_is_the_name_in_capitals() -> None:
    settings = Settings.from_environment(
        {"SERVER_ADDR": "0.0.0.0:80", "CREATE_DEFAULT_MARKETS": "1", "UNKNOWN": "ignored"}
    )

    assert settings.server_addr == "0.0.0.0:80"
    assert settings.create_default_markets is True


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False)])
def test_a_switch_is_one_or_zero(text: str, value: bool) -> None:
    found = Settings.from_environment({"CREATE_DEFAULT_MARKETS": text})

    assert found.create_default_markets is value


def test_a_secret_can_come_from_a_file_which_is_preferred(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from the file\n", encoding="utf-8")

    settings = Settings.from_environment({"ADMIN_TOKEN_FILE": str(file), "ADMIN_TOKEN": "other"})

    assert settings.admin_token == "from the file"


def test_the_master_key_file_is_a_path_and_not_its_content(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_text("secret", encoding="utf-8")

    assert Settings.from_environment({"MASTER_KEY_FILE": str(file)}).master_key_file == str(file)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LOG_LEVEL": "LOUD"}, "log_level"),
        ({"LOG_FORMAT": ""}, "log_format"),
        ({"CREATE_DEFAULT_MARKETS": "perhaps"}, "create_default_markets"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSettings, match=named):
        Settings.from_environment(variables)


@pytest.mark.parametrize("variable", ["SERVER_ADDR", "WS_STREAM_URL", "ADMIN_ADDR"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "", "10.1.2.3"])
def test_what_other_machines_can_reach_is_not_for_tests(variable: str, host: str) -> None:
    with pytest.raises(InvalidSettings, match=f"TESTING .* {variable} must be 127.0.0.1:PORT"):
        Settings.from_environment({"TESTING": "1", variable: f"{host}:8080"})


def test_what_only_this_machine_can_reach_may_be_for_tests() -> None:
    addresses = {
        "SERVER_ADDR": "localhost:1",
        "WS_STREAM_URL": "[::1]:2",
        "ADMIN_ADDR": "127.0.0.1:3",
    }

    assert Settings.from_environment({"TESTING": "1", **addresses}).testing


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\xff")

    for path in (tmp_path / "missing", tmp_path, binary):
        with pytest.raises(InvalidSettings, match="DATABASE_URL_FILE cannot be read"):
            Settings.from_environment({"DATABASE_URL_FILE": str(path)})


@pytest.mark.parametrize(
    "url",
    ["postgres://a:b@host/db", "postgresql://a:b@host/db", "postgresql+asyncpg://a:b@host/db"],
)
def test_every_spelling_of_postgres_is_understood(url: str) -> None:
    settings = Settings.from_environment({"DATABASE_URL": url})

    assert settings.database_dsn() == "postgresql://a:b@host/db"


@pytest.mark.parametrize("url", ["", "mysql://host/db", "host:5432", "postgresql:/host"])
def test_another_database_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL must begin with postgresql://"):
        Settings.from_environment({"DATABASE_URL": url}).database_dsn()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("http://0.0.0.0:80/", Address("0.0.0.0", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        (":9100", Address("", 9100)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert parse_address("SERVER_ADDR", text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "localhost", "host:", "host:port", "host:-1", "host:+80", "host:65536", "host:8_0",
        "host: 80", "host:80 ", "host:1e3", "host:\u0668\u0660", "host:\u00b2", "host:" + "9" * 30,
    ],
)  # fmt: skip
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(InvalidSettings, match="SERVER_ADDR must be host:port"):
        parse_address("SERVER_ADDR", text)


def test_an_address_prints_as_it_is_written() -> None:
    assert str(Address("127.0.0.1", 8080)) == "127.0.0.1:8080"


def test_an_unchecked_journal_needs_a_stricter_acknowledgement() -> None:
    unchecked = {"JOURNAL_UNCHECKED": "1"}

    assert not Settings.from_environment(unchecked).may_be_unchecked
    assert Settings.from_environment({**unchecked, "ACK": "postgres"}).may_be_unchecked
    with pytest.raises(InvalidSettings, match="ack"):
        Settings.from_environment({"ACK": "nobody"})
