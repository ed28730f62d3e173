"""Weeks offline at length, behind scripts/simulate --pending: a progress bar, and what it took."""

import logging
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .offline import Result, live_offline

MIB = 1024 * 1024


def run_offline(days: float, pending: int, seed: int, console: Console) -> None:
    """Exits with 1 when something is lost, doubled or out of order."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    directory = Path(tempfile.mkdtemp(prefix="s3d-offline-"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            tasks = {what: bar.add_task(what, total=pending) for what in ("written", "sent")}
            result = live_offline(
                days, pending, directory, seed=seed, told=lambda what, done: bar.update(tasks[what], completed=done)
            )
    except AssertionError:
        console.print(traceback.format_exc(), markup=False, highlight=False)
        console.print(f"[red]broken[/red]; again with --days {days:g} --pending {pending} --first {seed}")
        sys.exit(1)
    finally:
        shutil.rmtree(directory)
    _tell(result, console)


def _tell(result: Result, console: Console) -> None:
    per_second = result.pending / result.drain_seconds
    before, most = result.memory_before / MIB, result.memory / MIB
    said = f"""\
{result.days:g} virtual days offline, {result.pending:,} records pending, in {result.write_seconds:,.0f} s of one core
longest restart {result.restart_seconds:,.1f} s, with the view folded anew {result.refold_seconds:,.0f} s
drained in {result.drained_in:,.0f} virtual and {result.drain_seconds:,.0f} real seconds of one core: \
{per_second:,.0f} records/s, the remote included
{result.sent:,} requests, {result.superseded:,} superseded, none over {result.behind_most:,} records behind a later one
{before:,.0f} MiB of memory at the start, {most:,.0f} MiB at most"""
    console.print(said, highlight=False)
    console.print("[green]nothing was lost, nothing came twice, everything arrived in order[/green]")
