"""`s3d audit`, and in it `report`: whether every write that was acknowledged in a period is at the remote."""

import os
import tempfile
from typing import TYPE_CHECKING, TextIO

import click

from s3d.cli.asking import AdminClient
from s3d.cli.audit_chain import key, verify
from s3d.cli.audit_list import export, list_events, of_files
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.cli.moments import Read
from s3d.cli.moments import moment as read_moment
from s3d.cli.moments import period as read_period
from s3d.cli.operators import operator
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import show_json

if TYPE_CHECKING:
    from s3d.audit.period import Period
    from s3d.telemetry.report import GapReport

_EXITS = {"complete": OK, "pending": PENDING, "parked": PARKED}


@click.group(short_help="Show an auditor that everything that was acknowledged has arrived.")
def audit() -> None:
    """Reports for those who were not there, made of the journal's own records."""


@audit.command(
    short_help="Is every write of a period at the remote?",
    epilog="Exit codes: 0 every write is at the remote, 3 some are pending, 4 some are parked, 1 some will not arrive "
    "or are not there any more, or it cannot be said, 2 mistyped.",
)
@click.option("--period", type=Read("period", read_period), help="A week (2026-W47), month, day or year; UTC.")
@click.option("--since", type=Read("moment", read_moment), help="Instead: from this date or moment on ...")
@click.option("--until", type=Read("moment", read_moment), help="... to before this one.  [default: now]")
@click.option("--bucket", default="", metavar="NAME", help="Only writes to this bucket.")
@click.option("--html", "page_file", type=click.Path(dir_okay=False), help="Write a page that can be printed.")
@of_files
@click.option(
    "--public-key",
    "key_files",
    multiple=True,
    type=click.File("r"),
    metavar="FILE",
    help="With --export: the site's key. What it has not signed is refused.",
)
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
    export_files: tuple[str, ...],
    key_files: tuple[TextIO, ...],
    as_json: bool,  # noqa: FBT001
) -> int:
    """Read the journal's records, and tell of each write of the period what became of it.

    A write counts by the time of its record. What is told is told as of now, however long ago the period was; of an
    export as of when it was signed.
    """
    from s3d.audit.completeness import report as tell
    from s3d.cli.trails import ExportTrail, opened_trail
    from s3d.clock import SystemClock, milliseconds

    now_ms = milliseconds(SystemClock().now())
    chosen = _chosen(period, since, until, now_ms)
    told_by = _told_by(data_dir, export_files, key_files)
    with opened_trail(client, data_dir, export_files) as trail, progress("reading records", in_bytes=False) as bar:
        if isinstance(trail, ExportTrail):
            now_ms = min(now_ms, trail.as_of_ms)
            chosen = _chosen(period, since, until, now_ms)
        gaps = _known_gaps(client) if data_dir is None and not export_files else None
        found = tell(trail, chosen, bucket, gaps, now_ms, bar, told_by)
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


def _told_by(data_dir: str | None, export_files: tuple[str, ...], key_files: tuple[TextIO, ...]) -> str:
    """Where the records are from, and who vouches for them. Raises S3dError for what the key has not signed."""
    if not export_files:
        if key_files:
            raise click.UsageError("--public-key goes with --export: whatever else is read, nobody has verified")
        return f"the journal in {data_dir}" if data_dir is not None else "the site's daemon"
    names = ", ".join(os.path.basename(path) for path in export_files)
    if not key_files:
        return f"{names}, which nobody has verified (--public-key)"
    from s3d.cli.audit_chain import verified

    found = verified(export_files, key_files)
    return f"{names}, signed up to record {found.signed_through} at {found.signed_at} with {found.key}"


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


for _command in (list_events, export, verify, key, operator):
    audit.add_command(_command)
