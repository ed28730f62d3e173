"""`s3d audit list` and `export`: what happened, for a person, for other programs, and for whoever has to verify it."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from s3d.cli.exits import OK
from s3d.cli.moments import Read, moment
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, show_json

if TYPE_CHECKING:
    from journal import Record
    from s3d.audit.listing import AuditEvent, Filter
    from s3d.cli.trails import Trails
    from s3d.events import AuditCheckpoint


def of_files(command: Callable[..., int]) -> Callable[..., int]:
    """Where records are read, if no daemon is asked."""
    for option in reversed(_OF_FILES):
        command = option(command)
    return command


_OF_FILES = (
    click.option("--data-dir", metavar="DIR", help="Read the journal on disk, without asking a daemon."),
    click.option(
        "--export",
        "export_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Read an export; several that follow each other, oldest first.",
    ),
)
_FILTERS = (
    click.option("--identity", default="", metavar="KEY", help="Only what this access key, operator or login did."),
    click.option("--key", "prefix", default="", metavar="BUCKET/P", help="Only this bucket, or what begins so."),
    click.option("--operation", "operations", multiple=True, metavar="OP", help="Only this, such as PutObject."),
    click.option("--event", "events", multiple=True, metavar="EVENT", help="Only such events; see below."),
    click.option("--since", type=Read("moment", moment), help="Only from this date or moment on."),
    click.option("--until", type=Read("moment", moment), help="Only before this date or moment."),
)
_CHOICES = ("identity", "prefix", "operations", "events", "since", "until")
_EVENTS_NAMED = (
    "Events: acknowledged, confirmed, parked, retried, dropped, superseded, conflicted; paused, resumed, configured, "
    "which are about all of the daemon; pinned and unpinned, about the cache; checkpoint, anchored and refused, for "
    "audits alone; lost and recovered, about a damaged disk; housekeeping."
)


def _filters(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.command("list", short_help="Who wrote what and when, and what became of it.", epilog=_EVENTS_NAMED)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the last ones.")
@_filters
@of_files
@admin
@as_json
def list_events(limit: int, as_json: bool, **asked: Any) -> int:  # noqa: FBT001
    """Show events from the journal's records, oldest first."""
    from collections import deque

    from s3d.cli.audit_events import show_events

    with _events(asked) as events:
        last = deque(events, limit)
    if as_json:
        show_json({"events": list(last)})
    else:
        show_events(last)
    return OK


@click.command(short_help="Write records that can be verified, or events for other programs.", epilog=_EVENTS_NAMED)
@click.option(
    "--format",
    "form",
    type=click.Choice(["chain", "jsonl", "csv", "sqlite"]),
    default="chain",
    show_default=True,
    help="chain: for `s3d audit verify`; jsonl, csv: events; sqlite: events and records, to be searched.",
)
@click.option("--output", metavar="FILE", help="A new file.  [default: standard output]")
@_filters
@of_files
@admin
def export(form: str, output: str | None, **asked: Any) -> int:
    """Write every record with what proves it, or the events that are asked for.

    As a chain it is all or nothing: each record vouches for the one before it. Choose afterwards, from a file that was
    verified, with --export.
    """
    if form == "chain":
        if asked["export_files"]:
            raise click.UsageError("that is one already: choose what to make of it with --format")
        if any(asked[name] for name in _CHOICES):
            raise click.UsageError(
                "a choice of records cannot be verified: take all and choose afterwards with --export FILE, "
                "or write events (--format jsonl)"
            )
        with _output(output) as file:
            _write_chain(file, asked)
        return OK
    if form == "sqlite":
        if output is None:
            raise click.UsageError("a database needs a name: --output FILE")
        _keep_database(output, asked)
        return OK
    from s3d.cli.audit_events import event_lines

    with _output(output) as file, _events(asked) as events:
        file.writelines(event_lines(events, form))
    return OK


# the chain


def _write_chain(file: BinaryIO, asked: dict[str, Any]) -> None:
    from s3d.audit.chain_file import chain_lines
    from s3d.audit.checkpoint import statement_of
    from s3d.audit.trail import following
    from s3d.cli.trails import opened_trail
    from s3d.telemetry.notary import SignedReport

    client, last = asked["client"], None
    of_daemon = asked["data_dir"] is None
    if of_daemon:  # before it is asked how far it goes
        last = client.post("/v1/audit/checkpoint", {}, SignedReport).checkpoint
    with opened_trail(client, asked["data_dir"]) as trail:
        if not of_daemon:
            last = _last_checkpoint(trail)
        epoch = trail.epoch if last is None else statement_of(last).epoch  # a later one has begun behind what it covers
        with progress("writing records", in_bytes=False) as bar:
            records = following(trail.origin, _counted(trail, trail.origin.sequence, bar))
            file.writelines(chain_lines(trail.instance, epoch, trail.origin, records, last, trail.head))
    _tell(trail, last)


def _last_checkpoint(trail: "Trails") -> "AuditCheckpoint | None":
    from s3d.events import CHECKPOINT, decode_checkpoint

    last = None
    for record in trail.records(trail.origin.sequence):
        if record.kind == CHECKPOINT:
            last = record
    return decode_checkpoint(last.payload) if last is not None else None


def _tell(trail: "Trails", last: "AuditCheckpoint | None") -> None:
    """What is not as whoever asked may believe."""
    from s3d.audit.checkpoint import statement_of

    if last is None and trail.head:
        click.echo("This site does not sign: nothing vouches for the last record.", err=True)
    elif last is not None and (behind := trail.head - statement_of(last).sequence) > 1:  # the checkpoint's own record
        click.echo(f"Left out: {count_text(behind, 'record')} behind the last checkpoint, not signed yet.", err=True)


# events


@contextmanager
def _events(asked: dict[str, Any]) -> "Iterator[Iterator[AuditEvent]]":
    from s3d.audit.listing import events_of
    from s3d.audit.trail import chained
    from s3d.cli.trails import opened_trail

    wanted = _wanted(asked)
    with opened_trail(asked["client"], asked["data_dir"], asked["export_files"]) as trail:
        first = trail.files[0].first if trail.files else 1
        with progress("reading records", in_bytes=False) as bar:
            yield events_of(chained(_counted(trail, first - 1, bar)), trail.epoch, wanted)


def _keep_database(path: str, asked: dict[str, Any]) -> None:
    from s3d.cli.trails import opened_trail
    from s3d.history.audit_database import keep_for_auditors

    wanted = _wanted(asked)
    with opened_trail(asked["client"], asked["data_dir"], asked["export_files"]) as trail:
        first = trail.files[0].first if trail.files else 1
        with progress("reading records", in_bytes=False) as bar:
            keep_for_auditors(trail, path, wanted, bar(2 * max(0, trail.head - first + 1)))


def _wanted(asked: dict[str, Any]) -> "Filter":
    from s3d.audit.listing import EVENTS, Filter

    unknown = set(asked["events"]) - set(EVENTS)
    if unknown:
        raise click.BadParameter(f"{min(unknown)} is none of {', '.join(EVENTS)}", param_hint="--event")
    return Filter(
        asked["identity"],
        asked["prefix"],
        frozenset(asked["operations"]),
        frozenset(asked["events"]),
        asked["since"] or 0,
        asked["until"] if asked["until"] is not None else Filter().until_ms,
    )


def _counted(trail: "Trails", after: int, bar: Callable[[int], Callable[[int], object]]) -> "Iterable[Record]":
    advance = bar(max(0, trail.head - after))
    for record in trail.records(after):
        advance(1)
        yield record


@contextmanager
def _output(path: str | None) -> Iterator[BinaryIO]:
    """A new file, all of it or none; or standard output. Raises OSError."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open(path, "xb") as file:
        try:
            yield file
        except BaseException:
            os.unlink(path)
            raise
