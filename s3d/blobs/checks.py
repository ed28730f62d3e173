"""Blobs are read once in each run before anybody is given their bytes: what the disk has changed is not passed on.

Bytes that passed are sent by the kernel from then on and not looked at again, so the cost is one read per blob and run.
What was found damaged, or cannot be read, counts as not being here: the remote may have it.
"""

import asyncio
import errno
from collections import OrderedDict
from collections.abc import Callable, Sequence

from s3d.blobs.pool import BlobPool
from s3d.errors import S3Error
from s3d.values import BlobBytes, Extent

REMEMBERED_MAX = 65_536  # about 10 MB; a blob that was forgotten is read once more
# Other errors say nothing about the blob: no descriptor is left, a thread was interrupted.
_LOST = frozenset({errno.EIO, errno.ENOENT, errno.ESTALE, errno.EBADMSG, errno.EUCLEAN, errno.ENXIO, errno.ENODEV})


class BlobChecks:
    """Used on the event loop. `damaged` is told of each blob that is found damaged, with the reason, once."""

    def __init__(self, pool: BlobPool, damaged: Callable[[str, str], None]) -> None:
        self._pool = pool
        self._damaged = damaged
        self._sound: OrderedDict[str, bool] = OrderedDict()  # least recently used first
        self._checking: dict[str, asyncio.Task[bool]] = {}

    def has_damage(self, extents: Sequence[Extent]) -> bool:
        """Whether one of these blobs is known to be damaged."""
        return any(isinstance(extent, BlobBytes) and self._sound.get(extent.blob) is False for extent in extents)

    async def are_sound(self, extents: Sequence[Extent]) -> bool:
        """Whether all of these blobs hold what was written; reads those that were not read yet. Raises S3Error."""
        for extent in extents:
            if isinstance(extent, BlobBytes) and not await self._is_sound(extent.blob):
                return False
        return True

    async def _is_sound(self, blob: str) -> bool:
        known = self._sound.get(blob)
        if known is not None:
            self._sound.move_to_end(blob)
            return known
        checking = self._checking.get(blob)
        if checking is None:
            checking = self._checking[blob] = asyncio.create_task(self._check(blob), name=f"check-{blob}")
            checking.add_done_callback(lambda _: self._checking.pop(blob, None))
        return await asyncio.shield(checking)  # a client that does not wait pays for the next one

    async def _check(self, blob: str) -> bool:
        self._pool.pin(blob)
        try:
            await self._pool.run(self._pool.files.check, blob)
            sound = True
        except OSError as error:
            if error.errno not in _LOST:
                raise S3Error("ServiceUnavailable", f"The local disk cannot be read now: {error.strerror}") from error
            self._damaged(blob, str(error))
            sound = False
        finally:
            self._pool.release(blob)
        self._sound[blob] = sound
        if len(self._sound) > REMEMBERED_MAX:
            self._sound.popitem(last=False)
        return sound
