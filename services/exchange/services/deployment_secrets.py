"""`exchange secrets`: the random secrets of a new exchange in containers, each part's own.

They are made once. Kubernetes refuses to change what it got (the Secrets are immutable), and in a
compose volume the first ones stay: new ones would lock the exchange out of its own stores.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from exchange.services.parts import Fault

secrets_app = typer.Typer(
    help="Random secrets for a new exchange in containers.", no_args_is_help=True
)

SERVICE_USER = (10001, 10001)
POSTGRES_USER = (999, 999)
REDIS_USER = (999, 1000)
COMPLETE = "complete"


class Part(NamedTuple):
    """Whoever has secrets: its folder in a volume, its name in a cluster, its user in both."""

    folder: str
    app: str
    owner: tuple[int, int]


PARTS = (
    Part("backend", "exchange-router", SERVICE_USER),
    Part("websocket", "exchange-ws-stream", SERVICE_USER),
    Part("engine", "exchange-engine", SERVICE_USER),
    Part("db-processor", "exchange-db-processor", SERVICE_USER),
    Part("postgres", "exchange-postgres", POSTGRES_USER),
    Part("redis", "exchange-redis", REDIS_USER),
)


def make(postgres: str, redis: str) -> dict[str, dict[str, str]]:
    """New values by folder and key, for servers at these addresses (`host:port`)."""
    password, reader, journal = (secrets.token_hex(32) for _ in range(3))
    redis_url = f"redis://:{journal}@{redis}"
    writer_url = f"postgresql://exchange:{password}@{postgres}/exchange-db"
    reader_url = f"postgresql://exchange_reader:{reader}@{postgres}/exchange-db"
    return {
        "backend": {
            "server_addr": "0.0.0.0:8080",
            "database_url": writer_url,
            "redis_url": redis_url,
            "admin_token": secrets.token_hex(32),
            "master_key": secrets.token_hex(32),
        },
        "websocket": {"database_url": reader_url, "redis_url": redis_url},
        "engine": {"database_url": writer_url, "redis_url": redis_url},
        "db-processor": {"database_url": writer_url, "redis_url": redis_url},
        "postgres": {"password": password, "reader_password": reader},
        "redis": {"password": journal},
    }


@secrets_app.command("kubernetes")
def print_for_kubernetes(
    postgres: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Of a Postgres outside this folder's manifests."),
    ] = "exchange-postgres-service:80",
    redis: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Of a Redis outside this folder's manifests.")
    ] = "exchange-redis-service:80",
) -> None:
    """Print all Secrets with new random values; a cluster that has them refuses other ones.

    Example: exchange secrets kubernetes | kubectl apply -f -
    """
    values = make(postgres, redis)
    print("---\n".join(_manifest(part.app, values[part.folder]) for part in PARTS), end="")


@secrets_app.command("compose")
def write_for_compose(
    folder: Annotated[Path, typer.Argument(help="One folder below it for each part.")],
) -> None:
    """Write all secrets as files, unless they are there: what the init service of compose does.

    Example: exchange secrets compose /secrets
    """
    mark = folder / "backend" / COMPLETE
    if mark.exists():
        return
    values = make("postgres:5432", "redis:6379")
    try:
        for part in PARTS:
            _write(folder / part.folder, values[part.folder], part.owner)
        # Last: a run that was cut short starts over, before anything has used its values.
        mark.touch()
    except OSError as fault:
        raise Fault(f"{fault.filename} cannot be written: {fault.strerror}.") from None


def _manifest(app: str, values: dict[str, str]) -> str:
    lines = [
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {app}-secret",
        "  labels:",
        f"    app: {app}",
        "    app.kubernetes.io/part-of: exchange",
        "type: Opaque",
        # A second run must not lock the services out of what the first one's passwords opened.
        "immutable: true",
        "stringData:",
        *(f"  {key}: {json.dumps(value)}" for key, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def _write(folder: Path, values: dict[str, str], owner: tuple[int, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in values.items():
        path = folder / key
        path.unlink(missing_ok=True)
        path.touch(mode=0o400)
        path.write_text(value, encoding="utf-8")
        _give(path, owner)
    _give(folder, owner)


def _give(path: Path, owner: tuple[int, int]) -> None:
    """Anybody but root keeps what he writes: a trial run on a developer's machine."""
    if os.geteuid() == 0:
        os.chown(path, *owner)
