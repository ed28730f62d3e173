"""Bodies that nothing names any more are removed, every now and then. Part of the composition root."""

import structlog

from s3d.app.ground import Ground
from s3d.blobs.collect import collect
from s3d.clock import Clock
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Questions

COLLECT_SECONDS = 60.0
_log = structlog.get_logger("s3d")


async def collect_for_ever(ground: Ground, questions: Questions, clock: Clock) -> None:
    """Until it is cancelled."""
    while True:
        try:
            if ground.journal.state_is_current and (removed := await collect(ground.pool, questions.blob_in_use)):
                _log.info("removed bodies that nothing names", blobs=removed)
        except (OSError, ViewDamaged) as error:
            _log.warning("bodies could not be collected", error=str(error))
        await clock.sleep(COLLECT_SECONDS)
