"""The secrets of a new exchange: each part's own, made once."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from exchange.services.deployment_secrets import PARTS, make, secrets_app
from exchange.services.settings import Settings

FILES = {
    "backend": {"server_addr", "database_url", "redis_url", "admin_token", "master_key"},
    "websocket": {"database_url", "redis_url"},
    "engine": {"database_url", "redis_url"},
    "db-processor": {"database_url", "redis_url"},
    "postgres": {"password", "reader_password"},
    "redis": {"password"},
}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "complete"
    }


def write(folder: Path) -> None:
    assert CliRunner().invoke(secrets_app, ["compose", str(folder)]).exit_code == 0


def test_values_fit_to_each_other_and_to_settings() -> None:
    values = make("postgres:5432", "redis:6379")

    database = values["postgres"]["password"]
    writer = f"postgresql://exchange:{database}@postgres:5432/exchange-db"
    for name in ("backend", "engine", "db-processor"):
        assert values[name]["database_url"] == writer
    assert values["postgres"]["reader_password"] in values["websocket"]["database_url"]
    assert database not in values["websocket"]["database_url"]
    for name in ("backend", "engine", "db-processor", "websocket"):
        assert values[name]["redis_url"] == f"redis://:{values['redis']['password']}@redis:6379"
    assert len(bytes.fromhex(values["backend"]["master_key"])) == 32
    settings = Settings.from_environment({"DATABASE_URL": values["backend"]["database_url"]})
    assert settings.database_dsn() == writer


def test_no_two_are_alike() -> None:
    assert make("a:1", "b:2")["redis"] != make("a:1", "b:2")["redis"]


def test_compose_gets_a_folder_for_each_part_that_only_its_owner_reads(tmp_path: Path) -> None:
    write(tmp_path)

    assert {path.name: {f.name for f in path.iterdir()} - {"complete"} for path in tmp_path.iterdir()} == FILES  # fmt: skip
    for path in contents(tmp_path):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o400


def test_a_second_start_keeps_them(tmp_path: Path) -> None:
    write(tmp_path)
    before = contents(tmp_path)

    write(tmp_path)

    assert contents(tmp_path) == before


def test_a_start_that_was_cut_short_begins_again(tmp_path: Path) -> None:
    write(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "backend" / "complete").unlink()

    write(tmp_path)

    assert contents(tmp_path).keys() == before.keys()
    assert contents(tmp_path)["redis/password"] != before["redis/password"]


@pytest.mark.parametrize("option", [[], ["--postgres", "db.example:5432"]])
def test_a_cluster_refuses_to_change_them(option: list[str]) -> None:
    printed = CliRunner().invoke(secrets_app, ["kubernetes", *option]).stdout

    secrets = list(yaml.safe_load_all(printed))
    assert [one["metadata"]["name"] for one in secrets] == [f"{part.app}-secret" for part in PARTS]
    assert all(one["immutable"] is True and one["type"] == "Opaque" for one in secrets)
    host = option[1] if option else "exchange-postgres-service:80"
    assert f"@{host}/" in json.dumps(secrets)
