"""The sweep's long form, behind scripts/powercut-sweep: a progress bar, and a table at the end."""

import logging
import sys
import time

import click
from blackout.long_form import sweep_whole
from blackout.mutants import MUTANTS as MUTANTS_OF_THE_DAEMON
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .mutants import MUTANTS
from .oracle import Violation
from .simulated_vfs import SimulatedVfs
from .sweep import Sweep

console = Console()


@click.command()
@click.option("--cases", default=1_000_000, show_default=True, help="How many cases to run.")
@click.option("--seed", default=None, type=int, help="Where to begin; the time of day when left out.")
@click.option("--whole", is_flag=True, help="Under the whole daemon, not under the journal alone: ten cases a second.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Daemons at once.")
@click.option("--mutant", help="Break it in this way; an unknown name is answered with those that there are.")
def main(cases: int, seed: int | None, whole: bool, processes: int, mutant: str | None) -> None:
    """Cut the power at every I/O index of many lives, and look what the next life finds."""
    logging.disable(logging.CRITICAL)  # the journal reports every injected failure,
    sys.unraisablehook = lambda _unraisable: None  # and apsw those that SQLite ignores
    seed = int(time.time()) if seed is None else seed
    names = [one.name for one in (MUTANTS_OF_THE_DAEMON if whole else MUTANTS)]
    if mutant is not None and mutant not in names:
        raise click.BadParameter(f"one of {', '.join(names)}", param_hint="--mutant")
    if whole:
        sys.exit(sweep_whole(cases, seed, mutant, processes))
    started = time.monotonic()
    with SimulatedVfs() as vfs:
        chosen = next((one for one in MUTANTS if one.name == mutant), None)
        if chosen is None:
            sweep = Sweep(vfs, seed)
            violation = run(sweep, cases)
        else:
            with chosen.applied() as setting:
                sweep = Sweep(vfs, seed, setting, chosen.kinds)
                violation = run(sweep, cases)
    summarise(sweep, seed, time.monotonic() - started, violation)
    sys.exit(0 if violation is None else 1)


def run(sweep: Sweep, cases: int) -> Violation | None:
    """Show how far it is; the first violation, if there is one."""
    columns = (TextColumn("power cuts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=cases)
        try:
            for done in sweep.run(cases):
                progress.update(task, completed=min(done, cases))
        except Violation as violation:
            return violation
    return None


def summarise(sweep: Sweep, seed: int, seconds: float, violation: Violation | None) -> None:
    """What was run, and what came of it."""
    counts = dict(sweep.counts)
    total = counts.pop("cases", 0)
    refused = counts.pop("refused", 0)
    table = Table(title=f"seed {seed}")
    table.add_column("case")
    table.add_column("count", justify="right")
    for kind, count in counts.items():
        table.add_row(kind, f"{count:,}")
    table.add_row("total", f"{total:,}", style="bold")
    console.print(table)
    console.print(f"{total / seconds:,.0f} cases/s; {refused:,} damaged logs were refused, as they must be")
    if violation is None:
        console.print("[green]nothing acknowledged was lost[/green]")
    else:
        console.print(f"[red]violation:[/red] {violation}")
