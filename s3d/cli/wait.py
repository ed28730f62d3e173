"""`s3d wait`: return when the remote has it.

The daemon is asked again and again, each time for a bounded while: neither side holds a request open for hours, and a
terminal sees how it goes. The first answer fixes which records this wait is about; later writes do not prolong it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import NO_REMOTE, OK, PARKED, PAUSED, TIMED_OUT
from s3d.cli.obstacles import obstacle_lines
from s3d.cli.options import Seconds, SequenceNumber, admin, as_json
from s3d.cli.showing import count_text, paused_text, show_json, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3d.telemetry.report import WaitReport

_TURN_SECONDS = 20.0
_TURN_SECONDS_WATCHED = 0.5


@click.command(
    short_help="Wait until the remote has it.",
    epilog="Exit codes: 0 the remote has it, 4 parked records are in the way (see `s3d parked list`), 5 the timeout is "
    "over, 6 no remote is configured and something is pending, 7 replication is paused and something is pending (see "
    "`s3d resume`), 1 failed, 2 mistyped.",
)
@click.option(
    "--seq", type=SequenceNumber(), metavar="N", help="This record, as the header x-s3d-seq names it: 1-42 or 42."
)
@click.option("--prefix", metavar="BUCKET/P", help="Everything so far whose key begins with this.")
@click.option("--all", "everything", is_flag=True, help="Everything so far.")
@click.option("--timeout", type=Seconds(), metavar="S", help="Give up after so many seconds; by default never.")
@admin
@as_json
def wait(
    client: AdminClient,
    seq: str | None,
    prefix: str | None,
    everything: bool,  # noqa: FBT001
    timeout: float | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Wait until the remote has confirmed what was acknowledged here before this command was started.

    A parked record among it or in front of it, or replication that somebody has paused, ends the wait at once, because
    nothing more will happen until a person acts. Anything else that is in the way is named while it is.
    """
    if (seq is not None) + (prefix is not None) + everything != 1:
        raise click.UsageError("say what to wait for: one of --seq, --prefix and --all")
    query = _query(seq, prefix)
    watched = sys.stderr.isatty() and not as_json
    with _progress(watched=watched, silent=as_json) as advance:
        report = _wait(client, query, timeout, _TURN_SECONDS_WATCHED if watched else _TURN_SECONDS, advance)
    if as_json:
        show_json(report)
    else:
        _tell(report, timeout, of_one=seq is not None)
    return {"confirmed": OK, "local": OK, "parked": PARKED, "paused": PAUSED, "no-remote": NO_REMOTE}.get(
        report.state, TIMED_OUT
    )


def _query(seq: str | None, prefix: str | None) -> dict[str, str]:
    if seq is not None:
        return {"seq": seq}
    return {"prefix": prefix} if prefix is not None else {"all": "1"}


def _wait(
    client: AdminClient,
    query: dict[str, str],
    timeout_seconds: float | None,
    turn_seconds: float,
    advance: "Callable[[WaitReport], None]",
) -> "WaitReport":
    """Ask until the answer is final or the time is over."""
    from s3d.telemetry.report import WaitReport

    deadline = time.monotonic() + timeout_seconds if timeout_seconds is not None else float("inf")
    turn = 0.0  # the first question is answered at once: it fixes what is waited for
    while True:
        report = client.get("/wait", WaitReport, query | {"timeout": f"{turn:.3f}"}, patience_seconds=turn)
        left = deadline - time.monotonic()
        if report.state != "pending" or left <= 0:
            return report
        advance(report)
        if "seq" not in query:
            query = query | {"through": report.through}
        turn = min(turn_seconds, left)


def _tell(report: "WaitReport", timeout_seconds: float | None, *, of_one: bool) -> None:
    left = f"{count_text(report.count, 'record')} ({size_text(report.bytes)})"
    if report.state == "confirmed":
        # Of many records some may stay local, or have been given up: they do not wait either.
        said = "The remote has it" if of_one else "Nothing waits for the remote"
        click.echo(f"{said}, up to record {report.through}.")
    elif report.state == "local":
        click.echo(f"Record {report.through} stays here: its bucket is never replicated.")
    elif report.state == "parked":
        names = ", ".join(one.seq for one in report.parked)
        held = next((one.held for one in report.obstacles if one.kind == "parked"), 0)
        behind = f", and {held:,} held behind parked records" if held else ""
        click.echo(f"s3d: {left} cannot be confirmed: parked are {names}{behind}", err=True)
        click.echo("hint: `s3d parked list` says why, `s3d parked retry` tries again", err=True)
    elif report.state == "paused" and report.paused is not None:
        click.echo(f"s3d: {left} will stay pending: replication is {paused_text(report.paused)}", err=True)
        click.echo("hint: `s3d resume` lets it go on", err=True)
    elif report.state == "no-remote":
        click.echo(f"s3d: {left} will stay pending: no remote is configured", err=True)
        click.echo("hint: start the daemon with --remote or S3_ENDPOINT", err=True)
    else:
        click.echo(f"s3d: {left} still pending after {timeout_seconds:g} s", err=True)
        for line in obstacle_lines(report.obstacles, report.at):
            click.echo(f"because: {line}", err=True)


@contextmanager
def _progress(*, watched: bool, silent: bool) -> "Iterator[Callable[[WaitReport], None]]":
    """A bar with count, rate and time left on a terminal, elsewhere a line when something else is in the way."""
    if silent:
        yield lambda report: None
        return
    if not watched:
        yield _reasons()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[because]}", style="yellow"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("to the remote", total=None, rate="", because="")
        first: list[int] = []

        def advance(report: "WaitReport") -> None:
            first.append(report.count)
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} records/s" if speed else ""
            because = escape("; ".join(obstacle_lines(report.obstacles, report.at)))
            bar.update(task, total=first[0], completed=first[0] - report.count, rate=rate, because=because)

        yield advance


def _reasons() -> "Callable[[WaitReport], None]":
    """For a log: what is in the way after a first while is said, and again when it is something else."""
    told: list[tuple[str, ...]] = []

    def advance(report: "WaitReport") -> None:
        kinds = tuple(one.kind for one in report.obstacles)
        if told and kinds != told[-1]:
            for line in obstacle_lines(report.obstacles, report.at):
                click.echo(f"waiting: {line}", err=True)
        told.append(kinds if told else ())

    return advance
