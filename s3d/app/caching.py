"""The cache, put together: part of the composition root."""

from s3d.app.ground import Ground
from s3d.app.replication import Replication
from s3d.blobs.checks import BlobChecks
from s3d.clock import Clock
from s3d.config.settings import CacheSettings
from s3d.queries.caching import Cache
from s3d.queries.pieces import Pieces
from s3d.telemetry.metrics import Metrics
from s3d.upkeep.recycling import Recycling
from s3d.view.questions import Questions


def build_cache(
    settings: CacheSettings,
    ground: Ground,
    questions: Questions,
    checks: BlobChecks,
    replication: Replication | None,
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
    metrics.watch_cache(pieces.counts)
    return Cache(
        pieces,
        ground.pool,
        replication.upstream,
        read_ahead_bytes=settings.read_ahead_bytes,
        has_room=recycling.has_room,
    )
