"""The drop folders, put together. Part of the composition root: it builds; it decides nothing."""

from collections.abc import Callable
from functools import partial

from s3d.app.ground import Ground
from s3d.clock import Clock
from s3d.config.settings import Settings
from s3d.drop.folder import Folder
from s3d.drop.slots import Slots
from s3d.drop.surface import DropFolders
from s3d.operations.perform import Operations
from s3d.telemetry.metrics import Metrics
from s3d.view.questions import Questions


def build_drops(
    settings: Settings,
    operations: Operations,
    ground: Ground,
    questions: Questions,
    clock: Clock,
    metrics: Metrics,
    crashed: Callable[[BaseException], None],
) -> DropFolders | None:
    """All folders of the configuration; None: it has none."""
    if not settings.drops:
        return None
    slots = Slots()
    folders = DropFolders(
        [
            Folder(
                one,
                operations.perform,
                partial(ground.journal.submit, essential=True),
                questions,
                ground.pool,
                slots,
                clock,
                inline_bytes_max=settings.journal.inline_bytes_max,
                object_bytes_max=settings.http.object_bytes_max,
                crashed=crashed,
                synced=metrics.fsync,
            )
            for one in settings.drops
        ]
    )
    metrics.watch_drops(folders.reports)
    return folders
