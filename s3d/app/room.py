"""What the settings of `[capacity]` come to on the volume that the data directory is on."""

from collections.abc import Callable
from dataclasses import asdict

from journal import Journal
from journal.disk import Disk
from s3d.blobs.pool import BlobPool
from s3d.capacity.forecast import Forecast
from s3d.capacity.local import LocalCap
from s3d.capacity.pending import Backlog, Cap, opens_at
from s3d.capacity.volume import Bounds, left_free_bytes, reserve_bytes
from s3d.clock import Clock
from s3d.config.settings import CapacitySettings, Settings
from s3d.operations.intake import Intake
from s3d.operations.local_room import LocalRoom
from s3d.operations.submitting import Submitter
from s3d.policy.bucket_map import staying_local
from s3d.policy.rules import Rules
from s3d.telemetry.metrics import Metrics
from s3d.telemetry.report import CapacityReport, ClassReport, ForecastReport, LocalReport
from s3d.upkeep.recycling import Recycling
from s3d.view.questions import Questions
from s3d.view.view import View


def bounds_of(settings: Settings, disk: Disk) -> Bounds:
    """How much the data directory may take: as set, but never the whole file system. Raises OSError."""
    size = disk.volume_bytes(settings.data_dir)
    usable, given = size - reserve_bytes(size), settings.capacity.volume_bytes
    left_free = left_free_bytes(size, settings.journal.ballast_bytes)
    return Bounds(usable if given is None else min(given, usable), left_free)


def build_recycling(
    settings: Settings,
    bounds: Bounds,
    journal: Journal,
    view: View,
    pool: BlobPool,
    questions: Questions,
    disk: Disk,
    clock: Clock,
) -> Recycling:
    """What keeps the volume wide enough."""
    return Recycling(
        journal,
        view.reader,
        pool,
        questions.blob_in_use,
        disk,
        clock,
        settings.data_dir,
        bounds,
        counts=settings.capacity.volume_bytes is not None,
        pinned_bytes_max=pinned_bytes_max(settings, bounds),
    )


def pinned_bytes_max(settings: Settings, bounds: Bounds) -> int:
    """How much of what is pinned is kept: a share of the cache, which itself may be set larger than the volume."""
    return int(min(settings.cache.capacity_bytes, bounds.volume) * settings.cache.pinned_share_max)


def pending_cap(settings: CapacitySettings, volume_bytes: int) -> Cap:
    """The cap on what may be pending: the smaller of what is set and the share of the volume."""
    share = int(volume_bytes * settings.pending_share_max)
    least = share if settings.pending_bytes_max is None else min(share, settings.pending_bytes_max)
    return Cap(least, settings.pending_records_max)


def local_cap(settings: CapacitySettings, volume_bytes: int) -> LocalCap:
    """The caps on what stays local: its own share, and what it has to fit into together with what is pending."""
    together = max(settings.local_share_max, settings.pending_share_max)
    return LocalCap(int(volume_bytes * settings.local_share_max), int(volume_bytes * together))


def build_intake(
    settings: Settings, volume_bytes: int, submitter: Submitter, view: View, metrics: Metrics, rules: Rules
) -> Intake:
    """What decides how much may come in."""
    local, staying = None, staying_local(settings.buckets)
    if staying:
        local = LocalRoom(staying, local_cap(settings.capacity, volume_bytes), lambda: view.staying)
    cap = pending_cap(settings.capacity, volume_bytes)
    return Intake(submitter, cap, lambda: view.backlog, metrics.refused, rules if rules.refusals else None, local)


def beside_local(intake: Intake, free_bytes: Callable[[int], int]) -> Callable[[int], int]:
    """What may still be written for the remote: not what is free, where what stays local and what waits fill a cap."""
    if intake.local is None:
        return free_bytes
    return lambda cached_bytes: min(free_bytes(cached_bytes), intake.room_bytes)


def capacity_report(volume_bytes: int, intake: Intake, rules: Rules, forecast: Forecast) -> CapacityReport:
    """For `s3d status`."""
    cap = intake.left_of(intake.cap)
    return CapacityReport(
        volume_bytes=volume_bytes,
        pending_bytes_max=cap.bytes_max,
        pending_records_max=cap.records_max,
        opens_at_bytes=opens_at(cap.bytes_max),
        opens_at_records=_opens_at_records(cap),
        refusing=intake.refuses(),
        classes=tuple(_class_report(intake, match, share) for match, share in rules.refusals),
        forecast=ForecastReport(**asdict(forecast)),
        local=_local_report(intake),
    )


def _local_report(intake: Intake) -> LocalReport | None:
    local = intake.local
    if local is None:
        return None
    objects, size_bytes = local.staying()
    return LocalReport(
        buckets=len(local.buckets),
        objects=objects,
        bytes=size_bytes,
        bytes_max=local.cap.bytes_max,
        refusing=intake.refuses_local(),
    )


def _class_report(intake: Intake, match: str, share: float) -> ClassReport:
    cap = intake.left_of(intake.cap.at(share))
    return ClassReport(
        match=match,
        refuse_above=share,
        opens_at_bytes=opens_at(cap.bytes_max),
        opens_at_records=_opens_at_records(cap),
        refusing=intake.refuses(share),
    )


def _opens_at_records(cap: Cap) -> int | None:
    return None if cap.records_max is None else opens_at(cap.records_max)


def crowded(settings: CapacitySettings, backlog: Backlog) -> str:
    """Why traffic had better go elsewhere; empty: it need not."""
    limit = settings.ready_pending_bytes_max
    if limit is None or backlog.size_bytes <= limit:
        return ""
    return f"{backlog.size_bytes:,} bytes wait for the remote: more than {limit:,}, capacity.ready_pending_bytes_max"
