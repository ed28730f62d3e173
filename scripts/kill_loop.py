"""The rounds of tests/kill, as many as asked for, with a progress bar. Exit code 1 when something was lost."""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from random import Random

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

sys.path.append(os.path.join(os.path.dirname(__file__), os.pardir, "tests"))

from forking import StartFailed
from kill.ledger import Lost
from kill.nursery import Nursery
from kill.rounds import Rounds, Tally, fresh_seed
from lazydisk.mount import LazyDisk, why_not


@click.command()
@click.argument("rounds", type=click.IntRange(min=1))
@click.option("--seed", type=int, help="Which operations; a fresh one by default.")
@click.option("--keep", is_flag=True, help="Leave the data directory behind also when all is well.")
@click.option("--lazy-disk", is_flag=True, help="On a file system that forgets, at each kill, what was not synced.")
def main(rounds: int, seed: int | None, keep: bool, lazy_disk: bool) -> None:  # noqa: FBT001 - click's way of flags
    """Kill a daemon under load ROUNDS times; nothing acknowledged may be lost."""
    if lazy_disk and (missing := why_not()):
        raise click.ClickException(f"no forgetful file system here: {missing}")
    seed = fresh_seed() if seed is None else seed
    directory = tempfile.mkdtemp(prefix="s3d-kill-")
    console = Console()
    console.print(f"seed {seed}, directory {directory}")
    with LazyDisk(Path(directory) / "data") if lazy_disk else nullcontext() as disk:
        wrong = _kill(directory, rounds, seed, console, disk)
        if disk is not None:
            console.print(f"{disk.syncs:,} syncs; {disk.lost:,} writes and names were not synced, and were lost")
    if not wrong and not keep:
        shutil.rmtree(directory)
    sys.exit(1 if wrong else 0)


def _kill(directory: str, rounds: int, seed: int, console: Console, disk: LazyDisk | None) -> str:
    """What was lost; empty: nothing."""
    nursery, cuts = Nursery(), Random(seed)
    killed = (lambda: disk.cut(cuts.getrandbits(32))) if disk is not None else (lambda: None)
    killing = Rounds(nursery, f"{directory}/data", seed, killed=killed)
    wrong = ""
    try:
        asyncio.run(_run(killing, rounds, console))
    except (Lost, StartFailed) as error:
        wrong = str(error)
    finally:
        nursery.close()
        _tell(console, killing.tally, wrong)
    return wrong


async def _run(killing: Rounds, rounds: int, console: Console) -> None:
    columns = (
        TextColumn("kills"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[acknowledged]:,} acknowledged"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("kills", total=rounds, acknowledged=0)

        def told(tally: Tally) -> None:
            bar.update(task, completed=tally.rounds, acknowledged=tally.acknowledged)

        await killing.run(rounds, told)


def _tell(console: Console, tally: Tally, wrong: str) -> None:
    console.print(f"{tally.rounds:,} kills, {tally.while_starting:,} of them while the daemon was recovering")
    console.print(f"{tally.acknowledged:,} operations acknowledged")
    console.print(
        f"{tally.uncertain_kept + tally.uncertain_gone:,} unanswered: {tally.uncertain_kept:,} had happened, "
        f"{tally.uncertain_gone:,} had not, none by half"
    )
    console.print(f"[red]LOST[/red] {wrong}" if wrong else "[green]nothing was lost[/green]", soft_wrap=True)


if __name__ == "__main__":
    main()
