"""What `s3d status` says of the flow to the remote, from the replicator's own account of it. Pure."""

from collections.abc import Iterable
from typing import Any

from s3d.replicator.pacing import BodyUnderWay, Uploading
from s3d.replicator.progress import Snapshot, Struggling
from s3d.replicator.schedule import NEVER, Permit
from s3d.telemetry.flow import BodyReport, FailingReport, FlowReport, UploadReport
from s3d.telemetry.report import format_sequence, iso_time
from s3d.view.rows import UploadStanding

FAILING_NAMED_MAX = 10


def flow_report(snapshot: Snapshot, epoch: int, now: float) -> FlowReport:
    """The replicator's words as the admin listener's; `now` in seconds since 1970."""
    allowance = snapshot.allowance
    return FlowReport(
        requests=allowance.requests,
        requests_max=allowance.most,
        under_way=snapshot.in_flight,
        slowed=allowance.reason,
        records_per_second=round(snapshot.per_second, 1),
        bodies=tuple(body_report(one) for one in snapshot.bodies),
        superseded=snapshot.superseded,
        superseded_bytes=snapshot.superseded_bytes,
        failing=tuple(_failing(one, epoch, now) for one in snapshot.struggling if one.attempts)[:FAILING_NAMED_MAX],
        failing_records=snapshot.failing_records,
        **_permit(snapshot.permit),
    )


def body_report(body: BodyUnderWay) -> BodyReport:
    """How far it is, and how long it will take at the mean rate of this attempt."""
    left = body.size_bytes - body.sent_bytes
    return BodyReport(
        bucket=body.bucket,
        key=body.key,
        part=body.part,
        bytes=body.size_bytes,
        sent_bytes=body.sent_bytes,
        bytes_per_second=round(body.bytes_per_second),
        seconds_left=round(left / body.bytes_per_second, 1) if body.bytes_per_second > 0 else None,
    )


def upload_reports(rows: Iterable[UploadStanding], snapshot: Snapshot, epoch: int) -> tuple[UploadReport, ...]:
    """How far each upload is: what the journal knows to be at the remote, and what is on its way now."""
    return tuple(_upload(row, snapshot, epoch) for row in rows)


def _upload(row: UploadStanding, snapshot: Snapshot, epoch: int) -> UploadReport:
    """One that the remote forgot begins again: what it had of it counts for nothing."""
    anew = snapshot.anew.get(row.upload)
    remote_id, parts_done, size_done = row.remote_id, row.parts_done, row.size_done
    if anew is not None:
        remote_id, parts_done, size_done = anew.remote_id, len(anew.etags), anew.size_done
    going = snapshot.uploads.get(remote_id, Uploading(0, 0.0))
    done = min(row.size, size_done + going.sent_bytes)
    rate = going.bytes_per_second
    return UploadReport(
        seq=format_sequence(epoch, row.sequence),
        bucket=row.bucket,
        key=row.key,
        parts=row.parts,
        parts_done=parts_done,
        bytes=row.size,
        bytes_done=done,
        bytes_per_second=round(rate),
        seconds_left=round((row.size - done) / rate, 1) if rate > 0 else None,
        complete=bool(row.complete),
    )


def _failing(one: Struggling, epoch: int, now: float) -> FailingReport:
    return FailingReport(
        seq=format_sequence(epoch, one.sequence),
        operation=one.kind,
        bucket=one.bucket,
        key=one.key,
        attempts=one.attempts,
        error=one.last_error,
        again_at=iso_time(now + one.next_try_seconds),
    )


def _permit(permit: Permit | None) -> dict[str, Any]:
    if permit is None:
        return {}
    return {
        "held": permit.held,
        "held_by": permit.held_by,
        "held_until": iso_time(permit.until) if permit.held and permit.until < NEVER else "",
        "goes": permit.priorities,
        "month_bytes": permit.month_bytes,
        "month_bytes_max": permit.month_bytes_max,
    }
