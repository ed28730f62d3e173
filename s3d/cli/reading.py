"""A journal's records for people: one of them, the last ones, and how many there are of each kind."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import click
import msgspec

from journal import Record
from journal.record import follows
from s3d.audit.listing import AuditEvent, Filter, events_of
from s3d.audit.trail import Trail, chained
from s3d.cli.asking import AdminClient
from s3d.cli.audit_events import line_of
from s3d.cli.showing import count_text, show_facts, show_table, size_text
from s3d.cli.trails import DaemonTrail
from s3d.errors import S3dError
from s3d.telemetry.report import format_sequence, iso_time, parse_sequence

POLL_SECONDS = 1.0
BEHIND_RECORDS = 10_000  # how far back the names of writes are looked for that events are about


def shown_record(trail: Trail, text: str) -> dict[str, Any]:
    """A record with its payload decoded. `hash_holds` is None where the record before it is not retained.

    Raises S3dError when there is none.
    """
    epoch, sequence = parse_sequence(text)
    record = trail.record(sequence) if epoch in {None, trail.epoch} else None
    if record is None:
        raise S3dError(f"record {text} is not in this journal", hint="it may have been dropped: `s3d journal stats`")
    before = trail.record(sequence - 1) if sequence > 1 else None
    return {
        "seq": format_sequence(trail.epoch, sequence),
        "written_at": iso_time(record.written_at / 1000),
        "stream": record.stream,
        "kind": record.kind,
        "payload": _payload(record),
        "body_bytes": record.body_size,
        "body_sha256": record.body_digest.hex(),
        "hash": record.hash.hex(),
        "hash_holds": follows(before.hash, record) if before is not None else None,
    }


def text_of(value: Any) -> str:
    """A value of `shown_record` on one line."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def last_events(trail: Trail, count: int) -> int:
    """Show the last events; the journal's head."""
    after = max(trail.files[0].first - 1 if trail.files else 0, trail.head - BEHIND_RECORDS - count)
    for event in deque(events_of(chained(trail.records(after)), trail.epoch, Filter()), count):
        click.echo(line_of(event))
    return trail.head


def follow_events(client: AdminClient, head: int) -> None:
    """Show what comes after a record, for ever. Raises S3dError when the daemon does not answer any more."""
    while True:
        trail = DaemonTrail(client)
        if trail.head > head:
            after = max(trail.files[0].first - 1, head - BEHIND_RECORDS)
            for event in _behind(head, events_of(chained(trail.records(after)), trail.epoch, Filter())):
                click.echo(line_of(event))
            head = trail.head
        time.sleep(POLL_SECONDS)


def counted(trail: Trail, begin: Callable[[int], Callable[[int], object]]) -> dict[str, Any]:
    """How many records there are of each kind, with their payload and body bytes, and when they were written."""
    first = trail.files[0].first if trail.files else 1
    advance = begin(max(0, trail.head - first + 1))
    kinds, payloads, bodies = Counter[str](), Counter[str](), Counter[str]()
    oldest = newest = None
    for record in chained(trail.records(first - 1)):
        kinds[record.kind] += 1
        payloads[record.kind] += len(record.payload)
        bodies[record.kind] += record.body_size
        oldest, newest = oldest or record.written_at, record.written_at
        advance(1)
    return {
        "instance": trail.instance,
        "epoch": trail.epoch,
        "first": first,
        "head": trail.head,
        "oldest": iso_time(oldest / 1000) if oldest is not None else None,
        "newest": iso_time(newest / 1000) if newest is not None else None,
        "kinds": {
            kind: {"records": count, "payload_bytes": payloads[kind], "body_bytes": bodies[kind]}
            for kind, count in kinds.most_common()
        },
        "files": [msgspec.to_builtins(file) for file in trail.files],
    }


def show_counted(found: dict[str, Any]) -> None:
    """For a person."""
    show_facts(
        [
            ("journal", f"{found['instance']}, epoch {found['epoch']}", ""),
            ("records", _told_records(found), ""),
            ("files", count_text(len(found["files"]), "file"), ""),
        ]
    )
    rows = [
        (kind, f"{one['records']:,}", size_text(one["payload_bytes"]), size_text(one["body_bytes"]))
        for kind, one in found["kinds"].items()
    ]
    if rows:
        click.echo()
        show_table(("KIND", "RECORDS", "PAYLOADS", "BODIES"), rows)
    click.echo()
    files = [
        (one["name"], one["state"], _range(one["first"], one["last"]), size_text(one["size_bytes"]))
        for one in found["files"]
    ]
    show_table(("FILE", "STATE", "RECORDS", "SIZE"), files)


def _told_records(found: dict[str, Any]) -> str:
    if found["oldest"] is None:
        return "none"
    return f"{_range(found['first'], found['head'])}, of {found['oldest']} to {found['newest']}"


def _range(first: int, last: int) -> str:
    return f"{first} to {last}" if first <= last else "none"


def _behind(head: int, events: Iterable[AuditEvent]) -> Iterable[AuditEvent]:
    return (event for event in events if (parse_sequence(event.seq)[1]) > head)


def _payload(record: Record) -> Any:
    try:
        return msgspec.json.decode(record.payload)
    except msgspec.DecodeError:
        return record.payload.hex()
