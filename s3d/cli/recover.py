"""`s3d recover`: the least that makes a damaged data directory sound, shown first and done when a person says so."""

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from s3d.cli.doctor import looked_at, show_findings
from s3d.cli.exits import OK
from s3d.cli.identity import login
from s3d.cli.options import as_json
from s3d.cli.showing import count_text, printable, show_json

if TYPE_CHECKING:
    from s3d.recovery.plan import Plan

_DONE = "Recovered. What was replaced is in {}; `s3d doctor` looks again, then start the daemon."


@click.command(
    short_help="Repair a damaged data directory.",
    epilog="Exit codes: 0 it is done, or there was nothing to do, 1 it failed, or nothing can be done, 2 mistyped, or "
    "it cannot be looked at. It can be interrupted at any moment, and goes on when it is called again.",
)
@click.argument("data_dir", metavar="DATA_DIR")
@click.option("--dry-run", is_flag=True, help="Print the plan as JSON, and do nothing.")
@click.option("--plan", "plan_file", metavar="FILE", help="Write the plan to FILE as well.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
def recover(data_dir: str, dry_run: bool, plan_file: str | None, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Make the stopped data directory DATA_DIR such that a daemon starts on it, with everything that can be saved.

    It is looked at as by `s3d doctor`. What is done is shown before, and nothing is deleted: what is replaced is moved
    to DATA_DIR/set-aside.
    """
    from journal.disk import RealDisk
    from s3d.app.recovering import Recovery, refuse_without_room, write_plan
    from s3d.clock import SystemClock

    data_dir, disk = os.path.abspath(data_dir), RealDisk()
    plan, begun = _plan_of(data_dir, quiet=dry_run or as_json)
    if plan_file is not None:
        write_plan(disk, plan_file, plan)
    if dry_run:
        show_json(plan)
        return OK
    if not plan.steps:
        return _nothing_to_do(plan, as_json=as_json)
    if not as_json:
        _show(plan, begun=begun)
    refuse_without_room(data_dir, plan, disk)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to be asked whether to do it: say --yes, or --dry-run")
        click.confirm("Do it?", abort=True, err=True)
    done = Recovery(data_dir, plan, disk, SystemClock()).carry_out(
        lambda step: None if as_json else click.echo(f"{click.style('now', dim=True)}  {step.what}")
    )
    if as_json:
        show_json(done)
    else:
        click.echo(_DONE.format(f"{data_dir}/{done.set_aside}"))
    return OK


def _plan_of(data_dir: str, *, quiet: bool) -> "tuple[Plan, bool]":
    """The plan of a recovery that was interrupted, or a new one; and whether it was begun before."""
    from s3d.app.examining import is_in_use, journal_of
    from s3d.app.recovering import read_plan
    from s3d.app.restoring import refuse_unfinished
    from s3d.errors import DataDirectoryError
    from s3d.recovery.findings import findings
    from s3d.recovery.plan import make_plan

    begun = read_plan(data_dir)
    if begun is None:
        journal_of(data_dir)
    refuse_unfinished(data_dir)
    if is_in_use(data_dir):
        raise DataDirectoryError(
            f"a daemon uses the data directory {data_dir}", hint="stop it first; nothing was changed"
        )
    if begun is not None:
        return begun, True
    look = looked_at(data_dir, deep=False)
    if not quiet:
        show_findings(findings(look))
        click.echo()
    return make_plan(look, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), login(os.environ)), False


def _nothing_to_do(plan: "Plan", *, as_json: bool) -> int:
    if as_json:
        show_json(plan)
    else:
        click.echo("There is nothing to recover here: a daemon can start on it.")
    return OK


def _show(plan: "Plan", *, begun: bool) -> None:
    if begun:
        click.echo(f"A recovery was begun and has not ended; {count_text(plan.done, 'step')} of it are done.")
    for number, step in enumerate(plan.steps, 1):
        done = click.style("done  ", fg="green") if number <= plan.done else ""
        click.echo(f"{number}. {done}{printable(step.what)}: {printable(step.why)}")
    if plan.new_epoch:
        click.echo(f"Epoch {plan.epoch + 1} begins: the remote is asked for what is not here.")
        if plan.losses and not plan.base_of_view:
            click.echo("Where there is no remote, that is unknown then (503), until you say `s3d losses accept`.")
    click.echo(f"What is replaced is moved to {plan.data_dir}/{plan.set_aside}.")
