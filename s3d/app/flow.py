"""What `s3d status` says of the flow to the remote, from the replicator's own account of it. Pure."""

from s3d.replicator.progress import Snapshot
from s3d.telemetry.report import FlowReport


def flow_report(snapshot: Snapshot) -> FlowReport:
    """The replicator's words as the admin listener's."""
    allowance = snapshot.allowance
    return FlowReport(
        requests=allowance.requests,
        requests_max=allowance.most,
        under_way=snapshot.in_flight,
        slowed=allowance.reason,
        records_per_second=round(snapshot.per_second, 1),
    )
