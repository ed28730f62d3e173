"""The simulation at length, behind scripts/simulate: a progress bar, and the end of the trace of a life that fails."""

import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .long_offline import run_offline
from .world import simulate

TOGETHER = 10
console = Console()


def live(first: int, count: int) -> tuple[int, float, int, str]:
    """Some seeds, in a process of their own: acknowledged writes, virtual seconds, restarts, and what went wrong."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    acknowledged, seconds, restarts = 0, 0.0, 0
    memory = Path("/dev/shm")
    for seed in range(first, first + count):
        directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        try:
            run = simulate(seed, directory)
        except Exception:
            return acknowledged, seconds, restarts, traceback.format_exc()
        finally:
            shutil.rmtree(directory)
        acknowledged += run.acknowledged
        seconds += run.seconds
        restarts += run.restarts
    return acknowledged, seconds, restarts, ""


@click.command()
@click.option("--seeds", default=1000, show_default=True, type=click.IntRange(min=1), help="How many lives.")
@click.option("--first", type=int, help="The first seed; a fresh one by default.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Lives at once.")
@click.option("--pending", type=click.IntRange(min=1000), help="Instead: so many records that wait for the link.")
@click.option("--days", default=30.0, show_default=True, help="How long they do.")
def main(seeds: int, first: int | None, processes: int, pending: int | None, days: float) -> None:
    """Live SEEDS virtual lives of a daemon between its clients, its remote and the weather; or weeks offline."""
    first = random.SystemRandom().randrange(2**32) if first is None else first
    if pending is not None:
        run_offline(days, pending, first, console)
        return
    console.print(f"seeds {first} to {first + seeds - 1}")
    began, acknowledged, days, restarts = time.monotonic(), 0, 0.0, 0
    columns = (
        TextColumn("lives"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[days]:,.0f} virtual days"),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console, transient=True) as bar,
        ProcessPoolExecutor(processes) as pool,
    ):
        task = bar.add_task("", total=seeds, days=0.0)
        parts = [(start, min(TOGETHER, first + seeds - start)) for start in range(first, first + seeds, TOGETHER)]
        for done in as_completed(futures := {pool.submit(live, *part): part for part in parts}):
            more, seconds, again, wrong = done.result()
            if wrong:
                bar.stop()
                console.print(wrong, markup=False, highlight=False)
                console.print(f"[red]broken[/red]; again with --first {futures[done][0]} --seeds {futures[done][1]}")
                pool.shutdown(cancel_futures=True)
                sys.exit(1)
            acknowledged, days, restarts = acknowledged + more, days + seconds / 86_400, restarts + again
            bar.update(task, advance=futures[done][1], days=days)
    rate = seeds / (time.monotonic() - began)
    console.print(
        f"{seeds:,} lives, {days:,.0f} virtual days, {restarts:,} kills, {acknowledged:,} acknowledged writes, "
        f"{rate:.1f} lives/s"
    )
    console.print("[green]nothing was lost, nothing came twice, everything arrived[/green]")
