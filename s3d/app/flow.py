"""What `s3d status` says of the flow to the remote, from the replicator's own account of it. Pure."""

from typing import Any

from s3d.replicator.progress import Snapshot
from s3d.replicator.schedule import NEVER, Permit
from s3d.telemetry.report import FlowReport, iso_time


def flow_report(snapshot: Snapshot) -> FlowReport:
    """The replicator's words as the admin listener's."""
    allowance = snapshot.allowance
    return FlowReport(
        requests=allowance.requests,
        requests_max=allowance.most,
        under_way=snapshot.in_flight,
        slowed=allowance.reason,
        records_per_second=round(snapshot.per_second, 1),
        **_permit(snapshot.permit),
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
