"""`python -m simulation`: thousands of seeds, or one of them again with everything that it did.

Run it in tests/, or through `make seeds`. Each seed that breaks a promise is printed
with the command that replays it exactly.
"""

import os
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from simulation.search import reports
from simulation.simulation import Report, simulate

app = typer.Typer(add_completion=False)


@app.command()
def run(
    seeds: Annotated[int, typer.Option(help="How many seeds to try.")] = 1000,
    first: Annotated[int | None, typer.Option(help="The first one; default: by the clock.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this one, and tell what happens.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one for each CPU.")] = 0,
    lying_disk: Annotated[
        bool | None,
        typer.Option(
            "--lying-disk/--honest-disk",
            help="Whether Redis' disk loses what it has synced; default: as the seed says.",
        ),
    ] = None,
) -> None:
    """Look for a seed that breaks a promise."""
    if seed is not None:
        sys.exit(_replay(seed, lying_disk))
    begin = first if first is not None else int(time.time()) * 10_000
    sys.exit(_search(range(begin, begin + seeds), jobs or os.cpu_count() or 1, lying_disk))


def _replay(seed: int, lying_disk: bool | None) -> int:
    report = simulate(seed, lying_disk=lying_disk, verbose=True)
    print(_summary(report))
    for sentence in report.broken:
        print(f"  {sentence}")
    return 1 if report.broken else 0


def _search(seeds: range, jobs: int, lying_disk: bool | None) -> int:
    failed = commands = events = 0
    restored = []
    began = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for seed, report in reports(seeds, jobs, lying_disk=lying_disk):
            progress.advance(task)
            if isinstance(report, str) or report.broken:
                failed += 1
                progress.update(task, description=f"seeds, {failed} bad")
                _complain(seed, report, lying_disk)
            if isinstance(report, Report):
                commands += report.commands
                events += report.events
                restored.append((report.restored_after_s, seed))
    seconds = time.monotonic() - began
    slowest = ", ".join(f"{after:.1f} s ({seed})" for after, seed in sorted(restored)[-3:])
    print(
        f"{len(seeds)} seeds from {seeds[0]}, {failed} of them bad; {commands} commands,"
        f" {events} events; {seconds:.0f} s, {len(seeds) / seconds * 60:.0f} seeds a minute;"
        f" slowest to answer after everything was healed: {slowest}"
    )
    return 1 if failed else 0


def _complain(seed: int, report: Report | str, lying_disk: bool | None) -> None:
    flag = {None: "", True: " --lying-disk", False: " --honest-disk"}[lying_disk]
    print(f"seed {seed} is bad; again: (cd tests && python -m simulation --seed {seed}{flag})")
    sentences = [report] if isinstance(report, str) else report.broken[:5]
    for sentence in sentences:
        print(f"  {sentence[:1500]}")
    sys.stdout.flush()


def _summary(report: Report) -> str:
    return (
        f"seed {report.seed}: {report.commands} commands, {report.answered} answers,"
        f" {report.seconds:.1f} simulated seconds, {report.events} events,"
        f" answering again {report.restored_after_s:.2f} s after everything was healed,"
        f" digest {report.digest}"
    )


if __name__ == "__main__":
    app()
