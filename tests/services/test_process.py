"""The shell of every service: probes, signals, and starting again when the world fails."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from exchange.services import process
from exchange.services.embedded import free_port
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.process import Health, until_stopped

_HEAD = """
import asyncio, time
from exchange.services import process
from exchange.services.process import OperatorNeeded, WorldFailed, wait
"""


class Program:
    """A service written by a test, running as its own process."""

    def __init__(self, body: str, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{_HEAD}{body}\nprocess.run('sample', service)"],
                env={**os.environ, "METRICS_ADDR": f"127.0.0.1:{self.port}"},
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionError:
            return 0, ""
        finally:
            connection.close()

    def get_until(self, path: str, wanted: tuple[int, str]) -> None:
        deadline = time.monotonic() + 20
        while (found := self.get(path)) != wanted:
            assert time.monotonic() < deadline, (found, self.log)
            time.sleep(0.05)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    programs: list[Program] = []

    def start(body: str) -> Program:
        programs.append(Program(body, tmp_path))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()


def test_a_service_is_ready_when_it_says_so_and_ends_on_sigterm(
    run: Callable[[str], Program],
) -> None:
    program = run("""
async def service(settings, health, stop):
    await asyncio.sleep(0.3)
    health.set(True, "serving")
    await stop.wait()
""")

    program.get_until("/ready", (503, "starting"))
    program.get_until("/ready", (200, "serving"))
    assert program.get("/live") == (200, "live")
    assert program.get("/nonsense")[0] == 404
    status, metrics = program.get("/metrics")
    assert status == 200
    assert "exchange_restarts_total 0.0" in metrics

    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(10) == 0


def test_a_service_may_have_more_clients_than_the_usual_limit_on_files(
    run: Callable[[str], Program],
) -> None:
    program = run("""
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(1_024, hard - 1), hard))
async def service(settings, health, stop):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    health.set(True, "all" if soft == hard else f"{soft} of {hard}")
    await stop.wait()
""")

    program.get_until("/ready", (200, "all"))


@pytest.mark.parametrize("fault", ["WorldFailed", "ConnectionResetError", "TimeoutError"])
def test_when_the_world_fails_the_service_starts_again_in_the_same_process(
    run: Callable[[str], Program], fault: str
) -> None:
    program = run(f"""
starts = 0
async def service(settings, health, stop):
    global starts
    starts += 1
    if starts < 3:
        raise {fault}("gone")
    health.set(True, f"start {{starts}}")
    await stop.wait()
""")

    program.get_until("/ready", (200, "start 3"))
    assert "exchange_restarts_total 2.0" in program.get("/metrics")[1]
    assert f"{fault}: gone" in program.log

    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(10) == 0


def test_a_service_that_waits_for_the_world_says_once_what_for(
    run: Callable[[str], Program],
) -> None:
    program = run("""
faults = ["no Redis", "no Redis", "no Redis", "no Postgres"]
async def service(settings, health, stop):
    if faults:
        raise WorldFailed(faults.pop(0))
    health.set(True, "serving")
    await stop.wait()
""")

    program.get_until("/ready", (200, "serving"))

    assert program.log.count("no Redis") == 1
    assert program.log.count("no Postgres") == 1


def test_where_an_operator_is_needed_the_process_stays_and_says_so(
    run: Callable[[str], Program],
) -> None:
    program = run("""
async def service(settings, health, stop):
    health.set(True, "serving")
    raise OperatorNeeded("give me a disk")
""")

    program.get_until("/ready", (503, "give me a disk"))
    assert program.get("/live") == (200, "live")

    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(10) == 0
    assert "give me a disk" in program.log


@pytest.mark.parametrize(
    "body", ["assert False, 'the book is crossed'", "raise KeyError('the book is crossed')"]
)
def test_a_fault_of_ours_ends_the_process(run: Callable[[str], Program], body: str) -> None:
    program = run(f"""
async def service(settings, health, stop):
    {body}
""")

    assert program.process.wait(20) == 1
    assert "the book is crossed" in program.log


def test_a_service_that_returns_unasked_is_a_fault(run: Callable[[str], Program]) -> None:
    program = run("""
async def service(settings, health, stop):
    pass
""")

    assert program.process.wait(20) == 1
    assert "without being told to stop" in program.log


def test_a_stuck_loop_is_not_live_although_it_is_still_reached(
    run: Callable[[str], Program],
) -> None:
    program = run("""
process.LOOP_SILENT_S = 1.5
async def service(settings, health, stop):
    health.set(True, "serving")
    await asyncio.sleep(0.1)
    time.sleep(60)
""")

    program.get_until("/live", (200, "live"))
    program.get_until("/live", (503, "stuck"))


def test_a_setting_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for value, sentence in (
        ("nonsense", "METRICS_ADDR must be host:port"),
        ("192.0.2.1:80", "METRICS_ADDR 192.0.2.1:80 cannot be used"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"{_HEAD}\nprocess.run('sample', None)"],
            env={**os.environ, "METRICS_ADDR": value},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert done.returncode == 1
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_a_beat_too_long_ago_is_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    assert health.live

    health.beat_time -= process.LOOP_SILENT_S

    assert not health.live


async def test_waiting_ends_at_the_stop_or_in_time() -> None:
    stop = asyncio.Event()

    assert await process.wait(stop, 0.01) is False
    stop.set()
    assert await process.wait(stop, 60) is True


async def test_work_side_by_side_ends_at_the_stop() -> None:
    stop = asyncio.Event()
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    asyncio.get_running_loop().call_later(0.01, stop.set)
    await until_stopped(stop, work("one"), work("two"))

    assert sorted(ended) == ["one", "two"]


@pytest.mark.parametrize("fault", [WorldFailed("gone"), OperatorNeeded("help"), AssertionError()])
async def test_work_side_by_side_fails_as_one(fault: BaseException) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("work")

    async def fail() -> None:
        raise fault

    with pytest.raises(type(fault)):
        await until_stopped(asyncio.Event(), work(), fail())

    assert ended == ["work"]


def test_a_line_of_the_log_names_its_request_and_nothing_of_the_next(tmp_path: Path) -> None:
    program = """
import json, structlog
from exchange.services.settings import Settings
process.configure_logs("sample", Settings(log_format="json"))

async def request(number):
    structlog.contextvars.bind_contextvars(request=number)
    await asyncio.sleep(0)
    structlog.get_logger().warning("outcome unknown", number=7)

async def main():
    await asyncio.gather(*(asyncio.create_task(request(number)) for number in (1, 2)))
    structlog.get_logger().warning("later")

asyncio.run(main())
"""

    done = subprocess.run(
        [sys.executable, "-c", _HEAD + program], capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line.get("request") for line in lines] == [1, 2, None]
    assert [line["event"] for line in lines] == ["outcome unknown", "outcome unknown", "later"]
    assert lines[0]["number"] == 7
    assert {line["service"] for line in lines} == {"sample"}


def test_a_recovery_is_measured_from_what_made_it_necessary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([100.0, 104.0, 200.0, 207.0, 300.0, 301.0])
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def took() -> float | None:
        return REGISTRY.get_sample_value("exchange_recovery_seconds")

    health = Health()
    health.set(True, "serving")
    assert took() == 4
    health.set(True, "still serving")
    health.note_failure()
    health.set(False, "waiting for Redis")
    health.note_failure()
    health.set(True, "serving")
    assert took() == 7
