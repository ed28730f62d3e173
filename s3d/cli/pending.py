"""`s3d pending`: what the remote has not confirmed yet."""

from typing import TYPE_CHECKING, NamedTuple

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import (
    age_text,
    count_text,
    paused_text,
    printable,
    show_json,
    show_table,
    size_text,
    upload_text,
)

if TYPE_CHECKING:
    from s3d.telemetry.flow import UploadReport
    from s3d.telemetry.report import PauseReport, PendingRecord

_PAGE_RECORDS = 1000
UPLOADS_SHOWN = 10


@click.command(short_help="List what the remote has not confirmed yet.")
@click.option("--prefix", default="", metavar="BUCKET/P", help="Only records of keys that begin with this.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="All of them, instead of --limit.")
@admin
@as_json
def pending(client: AdminClient, prefix: str, limit: int, everything: bool, as_json: bool) -> None:  # noqa: FBT001
    """List the records that the remote has not confirmed, oldest first."""
    query = {"prefix": prefix} if prefix else {}
    found = fetch(client, "/pending", query, None if everything else limit)
    records, more, paused = found.records, found.more, found.paused
    if as_json:
        show_json({"records": records, "more": more, "paused": paused, "uploads": found.uploads})
    elif not records:
        click.echo("Nothing is pending." if not prefix else "Nothing under this prefix is pending.")
    else:
        show_records(records)
        if more:
            click.echo(f"The first {len(records)}; --all shows the rest.", err=True)
        for one in found.uploads[:UPLOADS_SHOWN]:
            click.echo(f"uploading {printable(upload_text(one))}", err=True)
        if paused is not None:
            click.echo(f"Replication is {paused_text(paused)}; `s3d resume` lets it go on.", err=True)


class Fetched(NamedTuple):
    """Records, whether there are more, and what the first page said of all: see PendingPage."""

    records: "list[PendingRecord]"
    more: bool
    paused: "PauseReport | None"
    uploads: "tuple[UploadReport, ...]"


def fetch(client: AdminClient, path: str, query: dict[str, str], limit: int | None) -> Fetched:
    """Records page by page, up to `limit` (None: all of them)."""
    from s3d.telemetry.report import PendingPage

    records: list[PendingRecord] = []
    uploads: tuple[UploadReport, ...] = ()
    query = dict(query)
    while True:
        left = _PAGE_RECORDS if limit is None else min(_PAGE_RECORDS, limit - len(records))
        page = client.get(path, PendingPage, query | {"limit": str(left)})
        records.extend(page.records)
        uploads = uploads or page.uploads
        if not page.next or (limit is not None and len(records) >= limit):
            return Fetched(records, bool(page.next), page.paused, uploads)
        query["after"] = page.next


def show_records(records: list["PendingRecord"]) -> None:
    """A table of records; parked ones say why."""
    show_table(
        ("SEQ", "OPERATION", "KEY", "SIZE", "AGE", "STATE"),
        [
            (
                one.seq,
                one.operation,
                f"{one.bucket}/{one.key}" if one.key else one.bucket,
                size_text(one.bytes),
                age_text(one.age_seconds),
                _state(one),
            )
            for one in records
        ],
    )


def _state(one: "PendingRecord") -> str:
    place = {None: "", True: ", a barrier", False: ", side by side"}[one.barrier]
    group = f" (group {one.group}{place})" if one.group else ""
    if one.parked:
        held = f"; {count_text(one.holds, 'record')} behind it" if one.holds else ""
        return f"parked: {one.code} {one.message}".rstrip() + group + held
    if one.superseded_by:
        return f"not sent: {one.superseded_by} goes in its place"
    return (f"held behind {one.held_by}" if one.held_by else "pending") + group
