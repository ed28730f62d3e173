"""The cache, put together: part of the composition root."""

from s3d.app.ground import Ground
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.blobs.checks import BlobChecks
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock
from s3d.config.settings import CacheSettings, Settings
from s3d.operations.keeping import CacheKeeping
from s3d.queries.caching import Cache
from s3d.queries.pieces import Pieces
from s3d.telemetry.metrics import Metrics
from s3d.upkeep.recycling import Recycling
from s3d.upkeep.sparing import Sparing
from s3d.view.questions import Questions


def build_cache(
    settings: CacheSettings,
    ground: Ground,
    questions: Questions,
    checks: BlobChecks,
    replication: Replication | Replications | None,
    recycling: Recycling,
    clock: Clock,
    metrics: Metrics,
) -> Cache | None:
    """None: there is no remote that anything could be read from."""
    if replication is None:
        return None
    pieces = Pieces(
        ground.pool,
        questions,
        ground.journal.submit,
        clock,
        lambda extents: not checks.has_damage(extents),
        checks.are_sound,
        capacity_bytes=settings.capacity_bytes,
    )
    recycling.watch(pieces)
    metrics.watch_cache(pieces.counts, recycling.pins)
    return Cache(
        pieces,
        ground.pool,
        replication.upstream,
        read_ahead_bytes=settings.read_ahead_bytes,
        has_room=recycling.has_room,
    )


def build_sparing(ground: Ground, rows: RowBodies, recycling: Recycling, clock: Clock) -> Sparing:
    """What has small bodies of pinned objects outlive their journal file."""
    return Sparing(rows, ground.pool, ground.journal.submit, clock, lambda: recycling.pins.room_bytes)


def build_keeping(
    settings: Settings,
    ground: Ground,
    questions: Questions,
    cache: Cache | None,
    rows: RowBodies,
    recycling: Recycling,
    clock: Clock,
) -> CacheKeeping:
    """What an operator sees of it, pins and lets go of."""
    return CacheKeeping(
        ground.journal,
        ground.view.reader,
        questions,
        cache.pieces if cache is not None else None,
        ground.pool,
        rows.are_here,
        clock,
        capacity_bytes=settings.cache.capacity_bytes,
        pinned_bytes_max=recycling.pins.max_bytes,
    )
