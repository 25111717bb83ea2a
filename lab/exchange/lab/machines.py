"""Machines that are none: network namespaces with an address and a share of a core each.

`python -m exchange.lab.machines 4 --share 0.2` starts an exchange in a network of its own that leads
nowhere, joins four further backends to it by a bridge, and measures these by `exchange bench
scaling --at`, whose other options it takes too. It needs Linux, root, and `ip` of iproute2.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from exchange.lab import running, slow_cable
from exchange.services.embedded import Postgres, Redis, Server
from exchange.services.own_exchange import OwnExchange, own_exchange

HUB = "198.18.0.1"
"""Where all is but the measured backends; its network is set apart for measurements."""
API_PORT, METRICS_PORT = 8080, 9100
PERIOD_US = 100_000
"""In which a machine gets its share once, as containers do unless told otherwise."""
CGROUPS = Path("/sys/fs/cgroup")
PROGRAMS = ("ip", "unshare", "sh")
PARTS = ("engine", "db-processor", "websocket")
_ENTER = """
set -e
echo $$ > "$1/cgroup.procs"
until ip link show port; do sleep 0.05; done
ip link set lo up
ip address add "$2" dev port
ip link set port up
exec "$3" -m exchange.backend
"""
"""What a machine does: take its share, wait for its cable, become a backend."""


class _Postgres(Postgres):
    """One for all machines of the network."""

    @property
    def url(self) -> str:
        return super().url.replace("127.0.0.1", HUB)

    def prepare(self) -> None:
        super().prepare()
        with (self.folder / "pg_hba.conf").open("a", encoding="ascii") as file:
            file.write(f"host all all {HUB}/24 trust\n")

    def command(self) -> list[str]:
        return [*super().command(), "-c", f"listen_addresses={HUB}"]


class _Redis(Redis):
    """One for all machines of the network."""

    @property
    def url(self) -> str:
        return super().url.replace("127.0.0.1", HUB)

    def command(self) -> list[str]:
        return [*super().command(), "--bind", "127.0.0.1", HUB, "--protected-mode", "no"]


def main(
    bench: typer.Context,
    machines: Annotated[int, typer.Argument(min=1, max=32, help="How many, each with a backend.")],
    share: Annotated[float, typer.Option(min=0.05, max=1, help="Of a core, for each.")] = 0.2,
    delay_ms: Annotated[
        float, typer.Option(min=0, max=100, help="Of each cable, one way; for few connections.")
    ] = 0.0,
) -> None:
    """Measure backends as if they were on several machines.

    Example: python -m exchange.lab.machines 4 --share 0.2 --rounds 5 --seconds 10
    """
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        sys.exit(f"It needs Linux, root, and the programs {', '.join(PROGRAMS)}.")
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        command = ["unshare", "--net", sys.executable, "-m", "exchange.lab.machines", *sys.argv[1:]]
        os.execvp(command[0], command)  # noqa: S606
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exchange-machines-")))
        folder.chmod(0o755)
        exchange = _hub(folder, stack)
        addresses = [f"198.18.0.{2 + number}" for number in range(machines)]
        for address in addresses:
            stack.enter_context(_machine(address, share, delay_ms / 1_000, exchange))
        for address in addresses:
            running.wait_for_answer(f"http://{address}:{METRICS_PORT}/ready")
        sys.exit(subprocess.call([*_bench(exchange, addresses), *bench.args]))


def _hub(folder: Path, stack: contextlib.ExitStack) -> OwnExchange:
    """The bridge, and at its own address a whole exchange; nothing limits its share."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "bridge", "type", "bridge")
    _ip("address", "add", f"{HUB}/24", "dev", "bridge")
    _ip("link", "set", "bridge", "up")
    postgres = stack.enter_context(_started(_Postgres(folder / "postgres", log=folder / "pg.log")))
    redis = stack.enter_context(_started(_Redis(folder / "redis", log=folder / "redis.log")))
    servers = ("--postgres", postgres.url, "--redis", redis.url)
    return stack.enter_context(own_exchange(folder / "data", *servers))


@contextlib.contextmanager
def _started(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def _machine(address: str, share: float, delay_s: float, exchange: OwnExchange) -> Iterator[None]:
    """Its network ends with its process."""
    variables = running.backend_variables(
        exchange.folder,
        exchange.run,
        server=f"0.0.0.0:{API_PORT}",
        metrics=f"0.0.0.0:{METRICS_PORT}",
    )
    with _cgroup(f"exchange-{os.getpid()}-{address}", share) as cgroup:
        enter = ["sh", "-c", _ENTER, "sh", str(cgroup), f"{address}/24", sys.executable]
        with running.process(["unshare", "--net", *enter], variables) as machine:
            # Before it has its share it is in our own network still.
            is_apart = (cgroup / "cgroup.procs").read_text
            running.wait_until(lambda: is_apart() != "", f"The machine {address} does not start")
            cable = f"to-{address.rpartition('.')[2]}"
            if delay_s:
                slow_cable.lay(cable, "port", delay_s)
            else:
                _ip("link", "add", cable, "type", "veth", "peer", "name", "port")
            _ip("link", "set", "port", "netns", str(machine.pid))
            _ip("link", "set", cable, "master", "bridge", "up")
            yield


@contextlib.contextmanager
def _cgroup(name: str, share: float) -> Iterator[Path]:
    """Of version 2, or of version 1 where the processor's is that."""
    quota = round(share * PERIOD_US)
    is_new = (CGROUPS / "cgroup.controllers").exists()
    folder = CGROUPS / name if is_new else CGROUPS / "cpu" / name
    folder.mkdir()
    try:
        if is_new:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        yield folder
    finally:
        folder.rmdir()


def _bench(exchange: OwnExchange, addresses: list[str]) -> list[str]:
    ports = json.loads((exchange.folder / "ports.json").read_text(encoding="utf-8"))
    meters = {f"backend {one}": f"{at}:{METRICS_PORT}" for one, at in enumerate(addresses, 1)}
    meters.update({part: f"127.0.0.1:{ports[part]}" for part in PARTS})
    return [
        sys.executable, "-m", "exchange.lab", "bench", "scaling", "--data", str(exchange.folder),
        *(f"--at=http://{address}:{API_PORT}" for address in addresses),
        *(f"--metrics={name}=http://{address}" for name, address in meters.items()),
    ]  # fmt: skip


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(main)
    app()
