"""One record of the journal, for a person who wants to know what it was and what has become of it."""

from typing import Any

import msgspec

from journal import Record
from s3d.events import Side
from s3d.telemetry.report import (
    ConflictReport,
    PendingRecord,
    RecordReport,
    SideReport,
    format_sequence,
    iso_time,
)
from s3d.view.rows import ConflictRow, Holding, PendingRow

_payload = msgspec.json.Decoder(dict[str, Any])


def conflict_report(epoch: int, row: ConflictRow) -> ConflictReport:
    """What is told of a conflict."""
    details = row.details
    return ConflictReport(
        seq=format_sequence(epoch, row.sequence),
        found=format_sequence(epoch, row.outcome),
        at=iso_time(row.at_ms / 1000),
        operation=row.kind,
        bucket=row.bucket,
        key=row.key,
        decided=details.decided,
        believed=details.believed,
        ours=_side_report(details.ours),
        theirs=_side_report(details.theirs),
        sibling=details.sibling,
    )


def _side_report(side: Side) -> SideReport:
    at = iso_time(side.at_ms / 1000) if side.at_ms else ""
    return SideReport(side.present, side.etag, side.size, at, side.version_id)


def record_report(epoch: int, record: Record, pending: PendingRow | None, holding: Holding) -> RecordReport:
    """What is told of a record; `pending` is its row while the remote has not confirmed it."""
    held_by = holding.behind.get(record.sequence)
    details = _payload.decode(record.payload)
    state = "local" if details.get("stays_local") else "settled"
    if pending is not None:
        state = "parked" if pending.parked else "pending"
    return RecordReport(
        seq=format_sequence(epoch, record.sequence),
        at=iso_time(record.written_at / 1000),
        operation=record.kind,
        stream=record.stream,
        bytes=record.body_size,
        sha256=record.body_digest.hex(),
        state=state,
        details=details,
        code=pending.code if pending is not None else "",
        message=pending.message if pending is not None else "",
        held_by=format_sequence(epoch, held_by) if held_by is not None else "",
        holds=holding.counts.get(record.sequence, 0) if state == "parked" else None,
    )


def pending_record(epoch: int, now: float, row: PendingRow, holding: Holding | None = None) -> PendingRecord:
    """What is told of a record that the remote has not confirmed; `now` in seconds since 1970."""
    held_by = holding.behind.get(row.sequence) if holding is not None else None
    return PendingRecord(
        format_sequence(epoch, row.sequence),
        row.kind,
        row.bucket,
        row.key,
        row.size,
        max(0.0, round(now - row.at_ms / 1000, 3)),
        bool(row.parked),
        row.code,
        row.message,
        row.order.group if row.order is not None else "",
        row.order.barrier if row.order is not None else None,
        format_sequence(epoch, held_by) if held_by is not None else "",
        holding.counts.get(row.sequence, 0) if holding is not None and row.parked else None,
        format_sequence(epoch, row.superseded_by) if row.superseded_by else "",
    )
