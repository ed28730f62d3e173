"""The simulation at length, behind scripts/simulate: a progress bar, and how to see each life again that fails."""

import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .lives import Life, life_called, life_of, short_life_of
from .long_offline import run_offline
from .mutants import MUTANTS, Mutant
from .site import Run
from .thrift import little_garbage
from .world import simulate

TOGETHER, TOGETHER_SHORT = 5, 25
FAILURES_MAX = 20
WORDS_MAX = 200
console = Console()


@dataclass
class Portion:
    """What came of some seeds, or of all: virtual seconds, and seed and traceback of each life that failed."""

    lives: int = 0
    acknowledged: int = 0
    seconds: float = 0.0
    restarts: int = 0
    failures: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, other: "Portion") -> None:
        """Count another one in."""
        self.lives += other.lives
        self.acknowledged += other.acknowledged
        self.seconds += other.seconds
        self.restarts += other.restarts
        self.failures += other.failures


def live(first: int, count: int, long: bool) -> Portion:
    """Some seeds, in a process of their own."""
    portion = Portion()
    with _quietly(), little_garbage():
        for seed in range(first, first + count):
            life, run = _life(seed, long=long), Run()
            error = live_one(seed, life, run)
            portion.lives += 1
            if error is not None:
                text = "".join(traceback.format_exception(error))
                portion.failures.append((seed, f"{life.name}: {type(error).__name__}: {error}", text))
                continue
            portion.acknowledged += run.acknowledged
            portion.seconds += run.seconds
            portion.restarts += run.restarts
    return portion


def live_one(seed: int, life: Life, run: Run) -> Exception | None:
    """What one life failed with; None: it did not. `run` is filled either way."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        simulate(seed, directory, life, run)
    except Exception as error:
        return error
    finally:
        shutil.rmtree(directory)
    return None


@click.command()
@click.option("--seeds", default=1000, show_default=True, type=click.IntRange(min=1), help="How many lives.")
@click.option("--first", type=int, help="The first seed; a fresh one by default.")
@click.option("--long", is_flag=True, help="Days to months each, in place of an hour or two.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Lives at once.")
@click.option("--trace", type=click.Path(path_type=Path), help="Live the first seed alone, and write its trace there.")
@click.option("--mutants", is_flag=True, help="Instead: look for a seed that shows each mutant.")
@click.option("--pending", type=click.IntRange(min=1000), help="Instead: so many records that wait for the link.")
@click.option("--days", default=30.0, show_default=True, help="How long they do.")
def main(
    seeds: int,
    first: int | None,
    long: bool,
    processes: int,
    trace: Path | None,
    mutants: bool,
    pending: int | None,
    days: float,
) -> None:
    """Live SEEDS virtual lives of a daemon between its clients, its remotes and the weather."""
    if mutants:
        _search(seeds)
        return
    first = random.SystemRandom().randrange(2**32) if first is None else first
    if pending is not None:
        run_offline(days, pending, first, console)
    elif trace is not None:
        sys.exit(_traced(first, trace, long=long))
    else:
        sys.exit(_all(first, seeds, processes, long=long))


def _all(first: int, seeds: int, processes: int, *, long: bool) -> int:
    """Live them; the exit code."""
    console.print(f"seeds {first} to {first + seeds - 1}, {'long' if long else 'short'} lives")
    together, total = TOGETHER if long else TOGETHER_SHORT, Portion()
    parts = [(start, min(together, first + seeds - start)) for start in range(first, first + seeds, together)]
    began = time.monotonic()
    with _bar() as bar, ProcessPoolExecutor(processes) as pool:
        task = bar.add_task("", total=seeds, told="")
        for done in as_completed([pool.submit(live, *part, long) for part in parts]):
            if done.cancelled():
                continue
            for seed, what, _ in done.result().failures:
                bar.console.print(f"seed {seed}, {what[:WORDS_MAX]}", style="red", markup=False, highlight=False)
            total.add(done.result())
            rate = total.lives / (time.monotonic() - began)
            told = f"{rate:,.1f} lives/s, {total.seconds / 86_400:,.0f} virtual days, {len(total.failures)} failed"
            bar.update(task, completed=total.lives, told=told)
            if len(total.failures) >= FAILURES_MAX:
                pool.shutdown(cancel_futures=True)
    _tell(total, time.monotonic() - began, long=long)
    return 1 if total.failures else 0


def _tell(total: Portion, seconds: float, *, long: bool) -> None:
    console.print(
        f"{total.lives:,} lives, {total.seconds / 86_400:,.0f} virtual days, {total.restarts:,} kills, "
        f"{total.acknowledged:,} acknowledged writes, {total.lives / seconds:.1f} lives/s",
        highlight=False,
    )
    if not total.failures:
        console.print("[green]nothing was lost, nothing came twice, everything arrived[/green]")
        return
    total.failures.sort()
    console.print(total.failures[0][2], markup=False, highlight=False)
    console.print(f"[red]{len(total.failures)} of {total.lives:,} lives are broken[/red]; each again, with all it did:")
    for seed, _, _ in total.failures:
        console.print(f"  scripts/simulate {'--long ' if long else ''}--first {seed} --trace FILE", highlight=False)


def _traced(seed: int, path: Path, *, long: bool) -> int:
    """Live one seed, and write down everything; the exit code."""
    life, run = _life(seed, long=long), Run()
    with _quietly():
        error = live_one(seed, life, run)
    path.write_text("\n".join(run.trace) + "\n", encoding="utf-8")
    if error is not None:
        console.print("".join(traceback.format_exception(error)), markup=False, highlight=False)
    told = f"seed {seed} ({life.name}): {len(run.trace):,} lines in {path}, fingerprint {run.fingerprint[:16]}"
    console.print(told, highlight=False)
    return 0 if error is None else 1


def _search(seeds: int) -> None:
    """For each mutant the first of so many seeds that shows it: what its line in the table should say."""
    with _bar() as bar:
        task = bar.add_task("", total=len(MUTANTS), told="")
        for name, mutant in MUTANTS.items():
            bar.update(task, advance=1, told=name)
            with _quietly(), little_garbage():
                found = next(_showing(mutant, seeds), None)
            told = "not noticed" if found is None else f"{found[0]:5}  {found[1]:4.0f} ms"
            bar.console.print(f"{name:48} {mutant.life:18} {told}", highlight=False)


def _showing(mutant: Mutant, seeds: int) -> Iterator[tuple[int, float]]:
    """Seeds that show a mutant, and how many milliseconds each takes."""
    for seed in range(seeds):
        began = time.process_time()
        with mutant.make():
            error = live_one(seed, life_called(mutant.life), Run())
        if isinstance(error, AssertionError):
            yield seed, (time.process_time() - began) * 1000


def _life(seed: int, *, long: bool) -> Life:
    return life_of(seed) if long else short_life_of(seed)


@contextmanager
def _quietly() -> Iterator[None]:
    """A life's warnings are not what a failure is understood by: its trace is."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _bar() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"))
    return Progress(*columns, console=console, transient=True)
