"""The long form, behind scripts/recovery-drill: one drill after the other, and a table of what came of them."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import click
from live import running_daemon
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .drilling import Drilled, drill
from .shells import NOBODY, Shell, Terminal

console = Console(stderr=True)
COUNTS = ("writes", "flips", "records", "bodies", "keys", "arrived", "named", "forged")  # records and bodies: hit
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any-secret"}


@click.command()
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1), help="How many sites die.")
@click.option("--seed", type=int, help="Of the first one, each next one has the next; a fresh one by default.")
@click.option("--writers", default=4, show_default=True, type=click.IntRange(1), help="Clients of each site.")
@click.option("--writes", default=200, show_default=True, type=click.IntRange(20), help="Before it is killed.")
@click.option("--keep", is_flag=True, help="Keep the directory of a drill in which something was wrong.")
@click.option("--show", is_flag=True, help="Show every command of the pages as it was typed, and what it said.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each drill.")
def main(rounds: int, seed: int | None, writers: int, writes: int, keep: bool, show: bool, as_json: bool) -> None:
    """Kill sites, flip bits on their disks, follow docs/recovery.md and docs/audit.md, and compare with the ledger.

    Exit code 1 when anything was wrong: a write that was acknowledged, is whole on the disk, and did not arrive or is
    not named; something at the remote that nobody wrote; a forged export that was believed.
    """
    seed = SystemRandom().randrange(2**31) if seed is None else seed
    done, began = list[Drilled](), time.monotonic()
    columns = (TextColumn("drills"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        TemporaryDirectory(prefix="s3d-recovery-drill-") as place,
        running_daemon(Path(place) / "far", auth=False) as far,
        Progress(*columns, console=console) as progress,
    ):
        os.chmod(place, 0o711)  # whoever follows the page is somebody else
        task = progress.add_task("", total=rounds)
        for number in range(seed, seed + rounds):
            scratch = Path(mkdtemp(prefix=f"{number}-", dir=place))
            scratch.chmod(0o711)
            done.append(drill(scratch, far, number, _shell, writers=writers, writes=writes))
            _tell(done[-1], show=show, as_json=as_json)
            if keep and done[-1].everything_wrong:
                kept = mkdtemp(prefix=f"s3d-recovery-drill-{number}-")
                shutil.copytree(scratch, kept, symlinks=True, dirs_exist_ok=True)
                console.print(f"kept in {kept}")
            shutil.rmtree(scratch)
            progress.update(task, completed=len(done))
    wrong = [one for one in done if one.everything_wrong]
    if not as_json:
        _summarise(done, seed, time.monotonic() - began)
    console.print(
        f"[red]something was wrong in {len(wrong)} of {rounds} drills[/red]"
        if wrong
        else "[green]all that was whole has arrived, the rest is named, and no forgery was believed[/green]"
    )
    sys.exit(1 if wrong else 0)


def _shell(directory: Path, admin: str) -> Shell:
    """As root: of nobody, who owns what is in the directory."""
    shell = Terminal(directory, ENVIRONMENT | {"S3D_ADMIN": admin} if admin else ENVIRONMENT, _other_user())
    shell.give(directory)
    return shell


def _other_user() -> str:
    return NOBODY if os.geteuid() == 0 and os.stat(sys.prefix).st_mode & 0o005 == 0o005 else ""


def _tell(one: Drilled, *, show: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"seed": one.seed, **_row(one), "wrong": one.everything_wrong}))
    if show:
        for ran in one.typed:
            console.print(str(ran), markup=False, highlight=False, soft_wrap=True)
    for wrong in () if as_json else one.everything_wrong:
        console.print(f"seed {one.seed}: {wrong}", style="red", markup=False, soft_wrap=True)


def _row(one: Drilled) -> dict[str, Any]:
    arrived, named = one.told.arrived, one.told.named
    values = (one.writes, one.flips, one.records_hit, one.bodies_hit, arrived + named, arrived, named, one.forgeries)
    return dict(zip(COUNTS, values, strict=True))


def _summarise(done: list[Drilled], seed: int, seconds: float) -> None:
    table = Table(title=f"from seed {seed}, {len(done)} drills in {seconds:,.0f} s")
    for name in ("", *COUNTS, "wrong"):
        table.add_column(name, justify="right")
    rows = [_row(one) for one in done]
    for label, choose in (("least", min), ("most", max), ("all", sum)):
        values = [f"{choose(row[name] for row in rows):,}" for name in COUNTS]
        wrong = sum(bool(one.everything_wrong) for one in done)
        table.add_row(label, *values, f"{wrong}" if label == "all" else "", style="bold" if label == "all" else "")
    Console().print(table)
