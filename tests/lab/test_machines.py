"""Machines that are none behave as some in one respect: their backends are at several addresses."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from exchange.lab import machines

COMMAND = (sys.executable, "-m", "exchange.lab.machines")


def has_its_needs() -> bool:
    """Root of the whole machine, not of a container that may only look."""
    controller = machines.CGROUPS / "cpu"
    writable = os.access(controller if controller.exists() else machines.CGROUPS, os.W_OK)
    tunnels = os.access("/dev/net/tun", os.W_OK)
    programs = all(map(shutil.which, machines.PROGRAMS))
    return os.geteuid() == 0 and writable and tunnels and programs


@pytest.mark.timeout(200)
@pytest.mark.skipif(not has_its_needs(), reason="needs root, ip, cgroups and tun")
def test_a_backend_on_a_machine_of_its_own_is_measured_and_nothing_is_left() -> None:
    machine = ("1", "--share", "1", "--delay-ms", "0.1")
    options = ("--seconds", "0.5", "--rounds", "1", "--connections", "8", "--json")

    started = subprocess.Popen([*COMMAND, *machine, *options], stdout=subprocess.PIPE)
    said, _ = started.communicate(timeout=150)

    assert started.returncode == 0
    (row,) = json.loads(said)["rows"]
    assert row["per_s"] > 0
    assert set(row["cpu_us"]) == {"backend 1", "engine", "db-processor", "websocket"}
    assert list(machines.CGROUPS.glob(f"**/exchange-{started.pid}-*")) == []


@pytest.mark.parametrize(
    "arguments", [["0"], ["33"], ["1", "--share", "2"], ["1", "--delay-ms", "-1"]]
)
def test_machines_are_bounded(arguments: list[str]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=60, check=False)

    assert done.returncode == 2
