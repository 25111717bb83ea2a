"""Images, compose and manifests as data, by the names of the system that operators already run."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
RELEASE = "0000000000000000000000000000000000000000"
"""The commit whose images the manifests name; `make tags` writes it."""

Manifest = dict[str, Any]


class Part(NamedTuple):
    """A deployed folder, by the names of the system that operators already run."""

    folder: str
    app: str
    image: str
    port: int | None
    service_ports: tuple[int, ...]


SERVICES = [
    Part("backend", "exchange-router", f"exchange-router:{RELEASE}", 8080, (80,)),
    Part("websocket", "exchange-ws-stream", f"exchange-ws-stream:{RELEASE}", 4000, (80,)),
    Part("engine", "exchange-engine", f"exchange-engine:{RELEASE}", None, ()),
    Part("db-processor", "exchange-db-processor", f"exchange-db-processor:{RELEASE}", None, ()),
]
SERVERS = [
    Part("postgres-db", "exchange-postgres", "postgres:12.2", 5432, (80, 5432)),
    Part("redis", "exchange-redis", "redis:6.2-alpine", 6379, (80, 6379)),
]
PARTS = [*SERVICES, *SERVERS]


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A development tool of this environment."""
    return subprocess.run(
        [Path(sys.executable).with_name(name), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def manifests(folder: str) -> Iterator[Manifest]:
    """All that a folder gives to a cluster, its kustomization included."""
    for path in sorted((ROOT / folder).glob("*.yml")):
        yield from yaml.safe_load_all(path.read_text("utf-8"))


def of_kind(folder: str, kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests(folder) if manifest["kind"] == kind]


def deployment(folder: str) -> Manifest:
    (found,) = of_kind(folder, "Deployment")
    return found


def pod(folder: str) -> Manifest:
    found: Manifest = deployment(folder)["spec"]["template"]["spec"]
    return found


def containers(folder: str) -> list[Manifest]:
    return [*pod(folder).get("initContainers", []), *pod(folder)["containers"]]


def compose() -> Manifest:
    found: Manifest = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found
