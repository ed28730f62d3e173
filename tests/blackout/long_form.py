"""The sweep over the whole daemon, behind `scripts/powercut-sweep --whole`: every I/O index, some damages each."""

import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from random import Random

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .life import SOUND, Life
from .mutants import MUTANTS
from .oracle import Violation
from .recording import RecordedVfs
from .sweep import Sweep

DRAWS = 3
SLICES = 50  # of the I/O indexes of two lives: each is a piece of work of its own
CASES_OF_A_SLICE = 400  # about
console = Console()


def sweep_whole(cases: int, seed: int, mutant: str | None, processes: int) -> int:
    """About so many cases, from this seed on; the exit code."""
    started, counts, lives = time.monotonic(), Counter[str](), 0
    columns = (TextColumn("daemons"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    wrong = ""
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(processes) as pool:
        task = progress.add_task("", total=cases)
        slices = range(-(-cases // CASES_OF_A_SLICE))
        working = [pool.submit(run, seed + number // SLICES, number % SLICES, mutant) for number in slices]
        for done in as_completed(working):
            more, wrong = done.result()
            counts.update(more)
            lives += 1
            progress.update(task, completed=min(counts["cases"], cases))
            if wrong:
                pool.shutdown(cancel_futures=True)
                break
    _summarise(counts, seed, lives / SLICES, time.monotonic() - started)
    console.print(f"[red]violation:[/red] {wrong}" if wrong else "[green]nothing acknowledged was lost[/green]")
    return 1 if wrong else 0


def run(seed: int, part: int, mutant: str | None) -> tuple[Counter[str], str]:
    """Every I/O index of two lives that leaves this rest, in a process of its own: counts, and what was wrong."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.unraisablehook = lambda _unraisable: None  # apsw tells of the errors that SQLite ignores
    fault = next((one.fault for one in MUTANTS if one.name == mutant), SOUND)
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    wrong = ""
    try:
        with RecordedVfs() as vfs:
            sweep = Sweep(vfs, directory, seed, fault=fault, choose=partial(_slice, part), draws=DRAWS)
            for _ in sweep.run(10**9, rounds=(0,)):
                pass
    except Violation as violation:
        wrong = str(violation)
    finally:
        shutil.rmtree(directory)
    return sweep.counts, wrong


def _slice(part: int, life: Life, _draw: Random) -> range:
    return range(part, life.volume.index + 1, SLICES)


def _summarise(counts: Counter[str], seed: int, share: float, seconds: float) -> None:
    table = Table(title=f"seed {seed}, {share:.2f} times every I/O index of two lives")
    table.add_column("case")
    table.add_column("count", justify="right")
    total = counts.pop("cases", 0)
    for kind, count in counts.items():
        table.add_row(kind, f"{count:,}")
    table.add_row("total", f"{total:,}", style="bold")
    console.print(table)
    console.print(f"{total / seconds:,.1f} daemons/s")
