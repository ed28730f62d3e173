"""What a daemon says when it ends: whether the remote has everything, and what it does not have."""

from collections.abc import Sequence

import structlog

from s3d.clock import Clock
from s3d.operations.standing import Standing
from s3d.telemetry.report import PendingSummary, format_sequence
from s3d.view.damage import ViewDamaged
from s3d.view.rows import PendingRow

EXIT_DONE, EXIT_FAILED, EXIT_PENDING = 0, 1, 3
NAMED_MAX = 1000
_log = structlog.get_logger("s3d")


async def find_leftovers(standing: Standing) -> Sequence[PendingRow]:
    """The first pending records, to be named one by one."""
    try:
        return await standing.pending("", 0, NAMED_MAX)
    except ViewDamaged:
        return ()


def say_goodbye(left: PendingSummary | None, *, replicates: bool, ephemeral: bool) -> int:
    """The last line of the log; the exit code."""
    if left is None:
        fate = "is lost with this volume" if ephemeral else "is safe on this disk"
        _log.warning(f"stopped while the view was being rebuilt; what is pending {fate}")
        return EXIT_PENDING
    if not left.count:
        _log.info("stopped; nothing is pending")
        return EXIT_DONE
    (_log.error if ephemeral else _log.info)(
        "stopped; pending records are lost with this volume"
        if ephemeral
        else "stopped; pending records are safe on this disk",
        pending=left.count,
        bytes=left.bytes,
        oldest_seconds=round(left.oldest_seconds),
        parked=left.parked,
        **({"paused": left.paused.reason or "yes"} if left.paused is not None else {}),
    )
    return EXIT_PENDING if replicates or ephemeral else EXIT_DONE


def name_leftovers(rows: Sequence[PendingRow], total: int, epoch: int, clock: Clock) -> None:
    """One line for each record that would be lost with the volume, and how many more there are."""
    now = clock.now()
    for row in rows:
        _log.error(
            "left behind",
            seq=format_sequence(epoch, row.sequence),
            operation=row.kind,
            bucket=row.bucket,
            key=row.key,
            bytes=row.size,
            age_seconds=max(0, round(now - row.at_ms / 1000)),
            parked=row.code,
        )
    if total > len(rows):
        _log.error("left behind and not named", records=total - len(rows))
