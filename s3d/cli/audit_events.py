"""Audit events on the screen, and as text for other programs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import click
import msgspec

from s3d.audit.listing import AuditEvent
from s3d.cli.showing import printable, show_table, size_text
from s3d.events import DEFAULT_REMOTE

_HEADS = ("SEQ", "AT", "EVENT", "OF", "OPERATION", "OBJECT", "SIZE", "IDENTITY", "CLAIMED", "SAYS")
_CLAIMED = _HEADS.index("CLAIMED")


def show_events(events: Iterable[AuditEvent]) -> None:
    """For a person; who said to be doing it has a column where anybody did."""
    rows = [_row(event) for event in events]
    if not rows:
        click.echo("Nothing of this kind is in the journal.")
        return
    shown = [at for at in range(len(_HEADS)) if at != _CLAIMED or any(row[at] for row in rows)]
    show_table([_HEADS[at] for at in shown], [[row[at] for at in shown] for row in rows])


def event_lines(events: Iterable[AuditEvent], form: str) -> Iterator[bytes]:
    """Every field of every event, with line ends: `jsonl`, or `csv` with a line of names first."""
    if form == "jsonl":
        yield from (msgspec.json.encode(event) + b"\n" for event in events)
        return
    names, text = AuditEvent.__struct_fields__, io.StringIO()
    table = csv.writer(text)
    for row in chain([names], ([getattr(event, name) for name in names] for event in events)):
        table.writerow(row)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def line_of(event: AuditEvent) -> str:
    """One line, as wide as it is."""
    return "  ".join(part for part in _row(event) if part)


def _row(event: AuditEvent) -> Sequence[str]:
    name = f"{event.bucket}/{event.key}" if event.key else event.bucket
    at = f"at {event.remote}" if event.remote not in {"", DEFAULT_REMOTE} else ""
    says = " ".join(part for part in (event.code, event.message, at, event.etag, event.version_id) if part)
    of = event.of if event.of != event.seq else ""
    size = size_text(event.size_bytes) if event.of else ""
    return (
        event.seq,
        event.at,
        event.event,
        of,
        event.operation,
        printable(name),
        size,
        printable(event.identity),
        printable(event.claimed),
        printable(says),
    )
