"""Audit events on the screen, and as text for other programs."""

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec

from s3d.audit.listing import AuditEvent
from s3d.cli.showing import printable, show_table, size_text
from s3d.events import DEFAULT_REMOTE

_HEADS = ("SEQ", "AT", "EVENT", "OF", "OPERATION", "OBJECT", "SIZE", "IDENTITY", "SAYS")


def show_events(events: Iterable[AuditEvent]) -> None:
    """For a person."""
    show_table(_HEADS, [_row(event) for event in events])


def write_events(events: Iterable[AuditEvent], form: str, file: TextIO) -> None:
    """Every field of every event: `jsonl`, or `csv` with a line of names first. Raises OSError."""
    if form == "jsonl":
        file.writelines(f"{msgspec.json.encode(event).decode()}\n" for event in events)
        return
    names = AuditEvent.__struct_fields__
    table = csv.writer(file)
    table.writerow(names)
    for event in events:
        table.writerow([getattr(event, name) for name in names])


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
        printable(says),
    )
