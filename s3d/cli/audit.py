"""`s3d audit report`: whether every write that was acknowledged in a period is at the remote."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import show_json

if TYPE_CHECKING:
    from journal import Record
    from s3d.audit.listing import AuditEvent
    from s3d.audit.period import Period
    from s3d.telemetry.report import GapReport

_EXITS = {"complete": OK, "pending": PENDING, "parked": PARKED}


class _Read(click.ParamType[Any]):
    """What a function makes of the text; its S3dError is a mistake of whoever typed it."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from s3d.errors import S3dError

        try:
            return self._read(str(value))
        except S3dError as error:
            self.fail(str(error), param, ctx)


def _period(text: str) -> "Period":
    from s3d.audit.period import parse_period

    return parse_period(text)


def _moment(text: str) -> int:
    from s3d.audit.period import parse_moment

    return parse_moment(text)


@click.group(short_help="Show an auditor that everything that was acknowledged has arrived.")
def audit() -> None:
    """Reports for those who were not there, made of the journal's own records."""


@audit.command(
    short_help="Is every write of a period at the remote?",
    epilog="Exit codes: 0 every write is at the remote, 3 some are pending, 4 some are parked, 1 some will not arrive "
    "or are not there any more, or it cannot be said, 2 mistyped.",
)
@click.option("--period", type=_Read("period", _period), help="A week (2026-W47), month, day or year; UTC.")
@click.option("--since", type=_Read("moment", _moment), help="Instead: from this date or moment on ...")
@click.option("--until", type=_Read("moment", _moment), help="... to before this one.  [default: now]")
@click.option("--bucket", default="", metavar="NAME", help="Only writes to this bucket.")
@click.option("--html", "page_file", type=click.Path(dir_okay=False), help="Write a page that can be printed.")
@click.option("--data-dir", metavar="DIR", help="Read the journal on disk, without asking a daemon.")
@admin
@as_json
def report(
    client: AdminClient,
    period: "Period | None",
    since: int | None,
    until: int | None,
    bucket: str,
    page_file: str | None,
    data_dir: str | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Read the journal's records, and tell of each write of the period what became of it.

    A write counts by the time of its record. What is told is told as of now, however long ago the period was.
    """
    from s3d.audit.completeness import report as tell
    from s3d.cli.trails import opened_trail
    from s3d.clock import SystemClock, milliseconds

    now_ms = milliseconds(SystemClock().now())
    chosen = _chosen(period, since, until, now_ms)
    with opened_trail(client, data_dir) as trail, progress("reading records", in_bytes=False) as bar:
        gaps = _known_gaps(client) if data_dir is None else None
        found = tell(trail, chosen, bucket, gaps, now_ms, bar)
    if page_file is not None:
        from s3d.audit.page import page

        _write(page_file, page(found))
    if as_json:
        show_json(found)
    else:
        from s3d.cli.audited import show_completeness

        show_completeness(found)
        if page_file is not None:
            click.echo(f"\nThe page is in {page_file}")
    return _EXITS.get(found.verdict, FAILED)


def _filters(command: Callable[..., int]) -> Callable[..., int]:
    """What `list` and `export` are asked for."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


_FILTERS = (
    click.option("--identity", default="", metavar="KEY", help="Only what this access key or operator did."),
    click.option("--key", "prefix", default="", metavar="BUCKET/P", help="Only this bucket, or what begins so."),
    click.option("--operation", "operations", multiple=True, metavar="OP", help="Only this, such as PutObject."),
    click.option("--event", "events", multiple=True, metavar="EVENT", help="Only such events; see below."),
    click.option("--since", type=_Read("moment", _moment), help="Only from this date or moment on."),
    click.option("--until", type=_Read("moment", _moment), help="Only before this date or moment."),
    click.option("--data-dir", metavar="DIR", help="Read the journal on disk, without asking a daemon."),
    admin,
)


_EVENTS_NAMED = (
    "Events: acknowledged, confirmed, parked, retried, dropped, superseded, conflicted; paused and resumed, which are "
    "about all of replication; pinned and unpinned, about the cache; "
    "lost and recovered, about a damaged disk; housekeeping."
)


@audit.command("list", short_help="Who wrote what and when, and what became of it.", epilog=_EVENTS_NAMED)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the last ones.")
@_filters
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


@audit.command(short_help="Write events for other programs.", epilog=_EVENTS_NAMED)
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", metavar="FILE", help="A new file.  [default: standard output]")
@_filters
def export(form: str, output: str | None, **asked: Any) -> int:
    """Write every event that is asked for: one a line of JSON, or as a table with commas."""
    import sys

    from s3d.cli.audit_events import write_events

    with _events(asked) as events:
        if output is None:
            write_events(events, form, sys.stdout)
            sys.stdout.flush()
            return OK
        with open(output, "x", encoding="utf-8", newline="") as file:
            write_events(events, form, file)
    return OK


@contextmanager
def _events(asked: dict[str, Any]) -> "Iterator[Iterator[AuditEvent]]":
    from s3d.audit.listing import EVENTS, Filter, events_of
    from s3d.audit.trail import chained
    from s3d.cli.trails import opened_trail

    unknown = set(asked["events"]) - set(EVENTS)
    if unknown:
        raise click.BadParameter(f"{min(unknown)} is none of {', '.join(EVENTS)}", param_hint="--event")
    wanted = Filter(
        asked["identity"],
        asked["prefix"],
        frozenset(asked["operations"]),
        frozenset(asked["events"]),
        asked["since"] or 0,
        asked["until"] if asked["until"] is not None else Filter().until_ms,
    )
    with opened_trail(asked["client"], asked["data_dir"]) as trail, progress("reading records", in_bytes=False) as bar:
        first = trail.files[0].first if trail.files else 1
        advance = bar(max(0, trail.head - first + 1))

        def counted() -> "Iterator[Record]":
            for record in chained(trail.records(first - 1)):
                advance(1)
                yield record

        yield events_of(counted(), trail.epoch, wanted)


def _chosen(period: "Period | None", since: int | None, until: int | None, now_ms: int) -> "Period":
    from s3d.audit.period import Period
    from s3d.telemetry.report import iso_time

    if (period is None) == (since is None):
        raise click.UsageError("say which time it is about: --period 2026-W47, or --since 2026-11-16")
    if period is not None:
        if until is not None:
            raise click.UsageError("--until goes with --since")
        chosen = period
    else:
        assert since is not None
        behind = until if until is not None else now_ms
        if behind <= since:
            raise click.UsageError("--until is not after --since")
        chosen = Period(since, behind, f"{iso_time(since / 1000)} to {iso_time(behind / 1000)}")
    if chosen.since_ms > now_ms:
        raise click.UsageError(f"{chosen.name} has not begun")
    return chosen


def _known_gaps(client: AdminClient) -> "tuple[GapReport, ...]":
    """Those that the daemon knows now; none where no remote is configured, which has then confirmed nothing."""
    from s3d.telemetry.report import GapsReport, Status

    if client.get("/status", Status).remote is None:
        return ()
    return client.get("/gaps", GapsReport).gaps


def _write(path: str, text: str) -> None:
    """All of it, or what was there before. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".s3d-report-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
