"""What `s3d status` says of the flow to the remote, from the replicator's own account of it. Pure."""

from typing import Any

from s3d.replicator.pacing import BodyUnderWay
from s3d.replicator.progress import Snapshot
from s3d.replicator.schedule import NEVER, Permit
from s3d.telemetry.report import BodyReport, FlowReport, iso_time


def flow_report(snapshot: Snapshot) -> FlowReport:
    """The replicator's words as the admin listener's."""
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


def _permit(permit: Permit | None) -> dict[str, Any]:
    if permit is None:
        return {}
    return {
        "held": permit.held,
        "held_until": iso_time(permit.until) if permit.held and permit.until < NEVER else "",
        "goes": permit.priorities,
        "month_bytes": permit.month_bytes,
        "month_bytes_max": permit.month_bytes_max,
    }
