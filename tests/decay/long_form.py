"""The trials at length, behind scripts/bitflips: a progress bar, and a table of what was noticed when."""

import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from random import SystemRandom

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .trials import Accepted, Trials

TOGETHER = 5000  # of one directory; the next seed has another
console = Console()


@click.command()
@click.option("--trials", default=1_000_000, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--seed", type=int, help="Where to begin; a fresh one by default.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="At once.")
def main(trials: int, seed: int | None, processes: int) -> None:
    """Damage files of a journal, bodies and bundles at rest; whatever is read must be noticed, or as it was written."""
    seed = SystemRandom().randrange(2**32) if seed is None else seed
    began, counts, wrong = time.monotonic(), Counter[tuple[str, str]](), ""
    columns = (TextColumn("damages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(processes) as pool:
        task = progress.add_task("", total=trials)
        starts = range(0, trials, TOGETHER)
        parts = [(seed + number, min(TOGETHER, trials - start)) for number, start in enumerate(starts)]
        for done in as_completed([pool.submit(run, *part) for part in parts]):
            more, wrong = done.result()
            counts.update(more)
            progress.update(task, completed=counts.total())
            if wrong:
                pool.shutdown(cancel_futures=True)
                break
    _summarise(counts, seed, time.monotonic() - began)
    console.print(
        f"[red]accepted:[/red] {wrong}" if wrong else "[green]no damage was taken for what was written[/green]"
    )
    sys.exit(1 if wrong else 0)


def run(seed: int, count: int) -> tuple[Counter[tuple[str, str]], str]:
    """Trials on the directory of one seed, in a process of their own: counts, and what was accepted."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    wrong = ""
    try:
        trials = Trials(directory, seed)
        for _ in trials.run(count):
            pass
    except Accepted as accepted:
        wrong = str(accepted)
    finally:
        shutil.rmtree(directory)
    return trials.counts, wrong


def _summarise(counts: Counter[tuple[str, str]], seed: int, seconds: float) -> None:
    table = Table(title=f"from seed {seed}")
    for name in ("what", "what came of it"):
        table.add_column(name)
    table.add_column("count", justify="right")
    for (what, outcome), count in sorted(counts.items()):
        table.add_row(what, outcome, f"{count:,}")
    table.add_row("total", "", f"{counts.total():,}", style="bold")
    console.print(table)
    console.print(f"{counts.total() / seconds:,.0f} damages/s")
