"""`exchange up` in one container, as the image runs it: read-only, without capabilities, on one volume."""

import json
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator

import pytest
from manifests import RELEASE

from exchange.services.embedded import free_port

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("EXCHANGE_TEST_COMPOSE"),
        reason="needs a Docker engine and the images: make images compose-test",
    ),
    pytest.mark.timeout(600),
]

HEALTHY_S_MAX = 180.0


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"exchange-test-{uuid.uuid4().hex[:8]}"
    yield name
    docker("volume", "rm", name)


def await_health(container: str) -> None:
    deadline = time.monotonic() + HEALTHY_S_MAX
    while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.5)


def test_it_serves_stops_cleanly_and_keeps_what_it_holds(volume: str) -> None:
    port = free_port()
    container = docker(
        "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--volume", f"{volume}:/data", "--publish", f"127.0.0.1:{port}:8080", f"exchange:{RELEASE}",
    )  # fmt: skip
    try:
        await_health(container)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v3/exchangeInfo") as answer:
            assert {market["symbol"] for market in json.load(answer)["symbols"]} >= {"SOLUSDC"}
        docker("exec", container, "exchange", "account", "create", "alice")

        docker("stop", "--time", "15", container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
        docker("start", container)

        await_health(container)
        # An account that is there cannot be created.
        again = subprocess.run(
            ["docker", "exec", container, "exchange", "account", "create", "alice"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert again.returncode == 1
        assert "exists already" in again.stderr
    finally:
        docker("rm", "--force", "--volumes", container)
