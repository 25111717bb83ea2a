"""`python -m exchange.lab.market`: `exchange simulate`.

Apart from the benches and chaos, which load three times as much: a demo waits for this.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from exchange.lab.chaos import subject as chaos_subject
from exchange.lab.market import simulation
from exchange.services.admin import AdminFault
from exchange.services.recordings import BadRecord, RecordedOrder, read_orders
from exchange.services.run_file import Run, default_folder
from exchange.services.settings import Settings

app = typer.Typer(name="exchange", pretty_exceptions_enable=False)


@app.command()
def simulate(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="The markets. Default: all that trade.")
    ] = None,
    intensity: Annotated[
        float, typer.Option(min=0.01, max=10, help="1: as busy as the real market it is like.")
    ] = 1.0,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this long. Default: at Ctrl-C.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the wishes; not of how they meet.")] = 1,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="ORDERS.csv", help="Play recorded orders instead, in one market."),
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="Of the recording, times as fast as it was.")
    ] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Play it again and again.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the `exchange up` to trade on."),
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of an exchange elsewhere; its admin is ADMIN_URL's."),
    ] = None,
    ws: Annotated[
        str, typer.Option(metavar="URL", help="Of the streams of that one.")
    ] = "ws://127.0.0.1:4000",
) -> None:
    """Let a market live: makers and takers trade over the public API, as in a real one.

    Example: exchange simulate BTCUSDT --intensity 0.5
    Example: exchange simulate BTCUSDT --replay orders.csv --speed max
    """
    try:
        options = simulation.Options(
            tuple(symbols or ()), intensity, seed, minutes,
            _recording(replay), None if speed == "max" else _positive(speed), loop,
        )  # fmt: skip
        if api is not None:
            uvloop.run(simulation.Simulation(_elsewhere(api, ws), options, _say).run())
            return
        with chaos_subject.exchange(data or default_folder()) as subject:
            uvloop.run(simulation.Simulation(subject.run, options, _say).run())
    except (chaos_subject.SubjectFault, simulation.SimulationFault, AdminFault) as fault:
        sys.exit(str(fault))
    except BadRecord as fault:
        sys.exit(str(fault))
    except (OSError, UnicodeDecodeError) as fault:
        sys.exit(f"A file cannot be read: {fault}")


def _recording(path: Path | None) -> list[RecordedOrder]:
    if path is None:
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(read_orders(str(path), file))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"--speed is a positive number or max, not {text!r}.")
    return value


def _elsewhere(api: str, ws: str) -> Run:
    """An exchange that no folder knows, such as one in containers."""
    settings = Settings.from_environment()
    return Run(
        api=api, ws=ws, admin=settings.admin_url, admin_token=settings.admin_token,
        redis_url="", database_url="", pids={},
    )  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


app(prog_name="exchange simulate")
