"""The gap audit, put together: part of the composition root."""

from s3d.app.ground import Ground
from s3d.blobs.checks import BlobChecks
from s3d.blobs.digesting import digest_extents
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock
from s3d.config.settings import GapSettings
from s3d.gaps.audit import GapAudit
from s3d.policy.rules import Rules
from s3d.queries.asking import Asking
from s3d.values import Extents
from s3d.view.questions import Questions

HOUR_SECONDS = 3600


def build_gap_audit(
    settings: GapSettings,
    ground: Ground,
    questions: Questions,
    asking: Asking | None,
    rows: RowBodies,
    checks: BlobChecks,
    rules: Rules,
    clock: Clock,
) -> GapAudit | None:
    """None: there is no remote that could have lost anything."""
    if asking is None:
        return None

    def are_here(extents: Extents) -> bool:
        return rows.are_here(extents) and not checks.has_damage(extents)

    async def digest(extents: Extents) -> bytes:
        return (await digest_extents(ground.pool, rows, extents, None)).sha256

    return GapAudit(
        questions,
        asking,
        ground.journal.submit,
        ground.view.reader,
        ground.journal.identity.epoch,
        clock,
        rules.gap_policy,
        are_here,
        digest,
        every_seconds=settings.every_hours * HOUR_SECONDS,
        requests_per_minute=settings.requests_per_minute,
    )
