"""The containers' commands with their variables, as processes here: what their probes answer when.

One story for all four: nothing to lean on, then both servers, then nothing again; and one of a rolling
update, in which the second of each is there before the first has gone.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from manifests import ROOT, SERVICES, Part, containers, of_kind, pod
from servers import KillableServer

from exchange.services.deployment_secrets import PARTS, make
from exchange.services.embedded import free_port
from exchange.services.probe import main as probe

WAIT_S_MAX = 60.0
FOLDERS = {part.app: part.folder for part in PARTS}


class Answer(NamedTuple):
    """What a probe is told."""

    status: int
    sentence: str


class Container:
    """A container's process, without a container around it."""

    def __init__(self, part: Part, folder: Path, secrets: dict[str, dict[str, str]]) -> None:
        self._definition = pod(part.folder)["containers"][0]
        self.grace_s = pod(part.folder)["terminationGracePeriodSeconds"]
        self.port, self.public_port, self.admin_port = free_port(), free_port(), free_port()
        self._log = folder / f"{part.folder}-{self.port}.log"
        environment = {
            **self._variables(secrets, folder),
            # Several pods on one machine cannot all have the same ports.
            "METRICS_ADDR": f"127.0.0.1:{self.port}",
            "SERVER_ADDR": f"127.0.0.1:{self.public_port}",
            "ADMIN_ADDR": f"127.0.0.1:{self.admin_port}",
            "WS_STREAM_URL": f"127.0.0.1:{self.public_port}",
        }
        with self._log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, *entry_point(part)[1:]],
                env={"PATH": os.environ["PATH"], **environment},
                cwd=folder,
                stderr=log,
            )

    def _variables(self, secrets: dict[str, dict[str, str]], folder: Path) -> dict[str, str]:
        """As the kubelet would: values, keys of ConfigMaps and Secrets, and mounted files."""
        found: dict[str, str] = {}
        for variable in self._definition["env"]:
            source = variable.get("valueFrom", {})
            if reference := source.get("secretKeyRef"):
                holder = reference["name"].removesuffix("-secret")
                found[variable["name"]] = secrets[FOLDERS[holder]][reference["key"]]
            elif reference := source.get("configMapKeyRef"):
                found[variable["name"]] = config_maps()[reference["name"]][reference["key"]]
            else:
                found[variable["name"]] = variable["value"]
        if "MASTER_KEY_FILE" in found:
            path = folder / "master_key"
            if not path.exists():
                path.write_text(secrets["backend"]["master_key"], "utf-8")
                path.chmod(0o400)
            found["MASTER_KEY_FILE"] = str(path)
        return found

    def ask(self, kind: str) -> Answer:
        """What the kubelet asks for with this kind of probe, but on this machine's port."""
        wanted = self._definition[f"{kind}Probe"]["httpGet"]
        assert wanted["port"] == 9100
        url = f"http://127.0.0.1:{self.port}{wanted['path']}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read().decode())

    def await_answer(self, kind: str, status: int) -> Answer:
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            assert self.process.poll() is None, self.log
            try:
                found = self.ask(kind)
            except OSError:
                found = Answer(0, "it does not answer yet")
            if found.status == status:
                return found
            assert time.monotonic() < deadline, (found, self.log)
            time.sleep(0.05)

    def await_sentence(self, sentence: str) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while self.ask("readiness").sentence != sentence:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self) -> int:
        """As the kubelet does; its exit code."""
        self.process.terminate()
        return self.process.wait(self.grace_s)

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")


def migrate(secrets: dict[str, dict[str, str]]) -> None:
    """What the init container of db-processor does."""
    upgrade, _ = containers("db-processor")
    done = subprocess.run(
        [sys.executable, *upgrade["command"][1:]],
        env={**os.environ, "DATABASE_URL": secrets["db-processor"]["database_url"]},
        check=False,
        timeout=WAIT_S_MAX,
    )
    assert done.returncode == 0


def admin_status(backend: Container, token: str) -> Answer:
    """What the backend's other port answers to `exchange status`."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{backend.admin_port}/admin/status",
        headers={"Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.read().decode())


def entry_point(part: Part) -> list[str]:
    """The image's, since the manifest gives no other."""
    assert "command" not in containers(part.folder)[-1]
    text = (ROOT / part.folder / "Dockerfile").read_text("utf-8")
    (found,) = re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    command: list[str] = json.loads(found)
    assert command[:2] == ["python", "-m"]
    return command


def config_maps() -> dict[str, dict[str, str]]:
    return {
        found["metadata"]["name"]: found["data"]
        for part in SERVICES
        for found in of_kind(part.folder, "ConfigMap")
    }


def secrets_for(postgres: str, redis: str) -> dict[str, dict[str, str]]:
    """Real ones, for the servers of the tests: these have no passwords, and another user."""
    values = make("127.0.0.1:1", "127.0.0.1:1")
    for part in values.values():
        part |= {"database_url": postgres} if "database_url" in part else {}
        part |= {"redis_url": redis} if "redis_url" in part else {}
    return values


def test_pods_start_serve_and_stop_as_their_manifests_say(
    tmp_path: Path, empty_database_url: str, own_redis: KillableServer
) -> None:
    secrets = secrets_for(empty_database_url, own_redis.url)
    token = secrets["backend"]["admin_token"]
    # The other pods do not wait for the one that migrates, nor for Redis.
    own_redis.kill()
    pods = {part.folder: Container(part, tmp_path, secrets) for part in SERVICES}
    try:
        for one in pods.values():
            one.await_answer("startup", 200)
            assert one.ask("liveness").status == 200
            assert one.ask("readiness").status == 503

        own_redis.start()
        migrate(secrets)
        for one in pods.values():
            one.await_answer("readiness", 200)
        pods["engine"].await_sentence("leading")
        assert admin_status(pods["backend"], token).status == 200
        assert admin_status(pods["backend"], "a guess").status == 401

        own_redis.kill()
        pods["engine"].await_answer("readiness", 503)
        for folder in ("backend", "websocket"):
            # They still answer: the documented errors, and nothing is gained by sending nobody there.
            assert pods[folder].ask("readiness").status == 200
        for one in pods.values():
            assert one.ask("liveness").status == 200

        own_redis.start()
        for one in pods.values():
            one.await_answer("readiness", 200)
        pods["engine"].await_sentence("leading")
        for folder in ("backend", "websocket", "engine", "db-processor"):
            assert pods[folder].stop() == 0, pods[folder].log
    finally:
        for one in pods.values():
            one.process.kill()
            one.process.wait()

    for folder, one in pods.items():
        lines = [json.loads(line) for line in one.log.splitlines()]
        assert lines, folder
        assert {line["service"] for line in lines} == {folder}
        for secret in (token, secrets["backend"]["master_key"]):
            assert secret not in one.log


def test_the_second_of_each_is_ready_before_the_first_has_gone(
    tmp_path: Path, empty_database_url: str, own_redis: KillableServer
) -> None:
    secrets = secrets_for(empty_database_url, own_redis.url)
    migrate(secrets)
    old = {part.folder: Container(part, tmp_path, secrets) for part in SERVICES}
    new: dict[str, Container] = {}
    try:
        for one in old.values():
            one.await_answer("readiness", 200)
        old["engine"].await_sentence("leading")

        # As a Deployment rolls with maxSurge 1 and maxUnavailable 0.
        new |= {part.folder: Container(part, tmp_path, secrets) for part in SERVICES}
        for one in new.values():
            one.await_answer("readiness", 200)
        assert new["engine"].ask("readiness").sentence == "standing by"
        assert "standing by" in new["db-processor"].ask("readiness").sentence
        assert old["engine"].ask("readiness").sentence == "leading"

        for one in old.values():
            one.process.terminate()
        for one in old.values():
            assert one.process.wait(one.grace_s) == 0, one.log
        new["engine"].await_sentence("leading")
        new["db-processor"].await_sentence("writing")
        for folder in ("backend", "websocket"):
            assert new[folder].ask("readiness").status == 200
        assert admin_status(new["backend"], secrets["backend"]["admin_token"]).status == 200
    finally:
        for one in (*old.values(), *new.values()):
            one.process.kill()
            one.process.wait()


def test_a_health_check_is_the_answer_of_its_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Sick(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/live" else 503)
            self.end_headers()
            self.wfile.write(b"waits for Postgres")

        def log_message(self, format: str, *args: object) -> None:
            """It is asked twice, and says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Sick)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("METRICS_ADDR", f"0.0.0.0:{server.server_port}")

    monkeypatch.setattr(sys, "argv", ["probe", "live"])
    assert probe() == 0
    monkeypatch.setattr(sys, "argv", ["probe", "ready"])
    assert probe() == 1
    assert "waits for Postgres" in capsys.readouterr().err
    server.shutdown()
    server.server_close()
    assert probe() == 1
    assert "does not answer" in capsys.readouterr().err
