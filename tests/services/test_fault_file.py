"""Who may have faults on request: what an `exchange up` has started, and nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.services.data_folder import LauncherFault, held
from exchange.services.embedded import free_port
from exchange.services.fault_file import FaultFile, write_script
from exchange.services.fault_script import Rule, Script
from exchange.services.launcher import Options, up
from exchange.services.settings import InvalidSettings, Settings

START = (
    "import sys; from exchange.services.fault_file import *;"
    "FaultFile.open(Settings(faults_file=sys.argv[1]))"
)


def started(path: Path) -> subprocess.CompletedProcess[str]:
    """What becomes of a child of ours that is told to have faults."""
    return subprocess.run(
        [sys.executable, "-c", START, str(path)], capture_output=True, text=True, check=False
    )


def test_without_the_setting_there_are_none() -> None:
    assert FaultFile.open(Settings()) is None


def test_a_child_of_the_launcher_may_have_them(tmp_path: Path) -> None:
    write_script(tmp_path / "faults.json", Script())

    with held(tmp_path):
        done = started(tmp_path / "faults.json")

    assert done.returncode == 0, done.stderr


def test_nobody_else_may_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    write_script(path, Script())

    with pytest.raises(InvalidSettings, match="a production configuration cannot have them"):
        FaultFile.open(Settings(faults_file=str(path)))

    with held(tmp_path):
        pass
    # The lock's file says our number, but nobody holds it.
    assert "InvalidSettings" in started(path).stderr
    with held(tmp_path):
        # It is held, but not by the parent of who asks.
        (tmp_path / "lock").write_text("1\n", encoding="ascii")
        assert "a production configuration cannot have them" in started(path).stderr


@pytest.mark.parametrize("module", ["backend", "websocket"])
def test_a_service_of_a_production_configuration_does_not_start(
    module: str, tmp_path: Path
) -> None:
    write_script(tmp_path / "faults.json", Script())
    address = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "FAULTS_FILE": str(tmp_path / "faults.json")}

    done = subprocess.run(
        [sys.executable, "-m", f"exchange.{module}"],
        env={**environment, "METRICS_ADDR": address},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.strip().endswith("a production configuration cannot have them.")
    assert "Traceback" not in done.stderr


def test_a_script_that_makes_no_sense_ends_who_begins_with_it(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"rule": [{"fault": "flood"}]}', encoding="utf-8")

    with held(tmp_path):
        assert "FAULTS_FILE cannot be used: Rule 1" in started(path).stderr


def test_stores_of_somebody_else_get_no_faults(tmp_path: Path) -> None:
    for options in (
        Options(data=tmp_path, faults=Script(), redis_url="redis://127.0.0.1:1"),
        Options(data=tmp_path, faults=Script(), postgres_url="postgresql://127.0.0.1:1/x"),
    ):
        with pytest.raises(LauncherFault, match="only for an exchange on stores of its own"):
            up(options)


def test_a_replaced_script_is_in_force_at_once_and_counts_anew(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    file = FaultFile(path)
    for code in ("429", "418", "429"):
        file.replace(Script(rule=[Rule(fault=code, count=1)]))

        for expected in (code, None):
            rule = file.faults().of_request(["x"], "", "", can_be_filled=False)
            assert (rule.fault if rule else None) == expected
