"""One record of the journal, for a person who wants to know what it was and what has become of it."""

from typing import Any

import msgspec

from journal import Record
from s3d.telemetry.report import RecordReport, format_sequence, iso_time
from s3d.view.rows import Holding, PendingRow

_payload = msgspec.json.Decoder(dict[str, Any])


def record_report(epoch: int, record: Record, pending: PendingRow | None, holding: Holding) -> RecordReport:
    """What is told of a record; `pending` is its row while the remote has not confirmed it."""
    held_by = holding.behind.get(record.sequence)
    state = "settled" if pending is None else "parked" if pending.parked else "pending"
    return RecordReport(
        seq=format_sequence(epoch, record.sequence),
        at=iso_time(record.written_at / 1000),
        operation=record.kind,
        stream=record.stream,
        bytes=record.body_size,
        sha256=record.body_digest.hex(),
        state=state,
        details=_payload.decode(record.payload),
        code=pending.code if pending is not None else "",
        message=pending.message if pending is not None else "",
        held_by=format_sequence(epoch, held_by) if held_by is not None else "",
        holds=holding.counts.get(record.sequence, 0) if state == "parked" else None,
    )
