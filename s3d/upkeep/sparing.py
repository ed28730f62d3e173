"""Small bodies of pinned objects go to the cache before their journal file loses them.

What the remote has and lies in a file of its own simply stays; a row goes with all others of its journal file. A body
that was moved out of its row because the remote did not have it then stays in the same blob.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from journal import JournalError
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock, milliseconds
from s3d.values import RowBytes
from s3d.view.damage import ViewDamaged
from s3d.view.facts import CachedFact
from s3d.view.rows import PinnedRow

_log = structlog.get_logger("s3d.upkeep")


class Sparing:
    """`learn` hands a fact to the writer; `room_bytes` says how much more may be kept for pins."""

    def __init__(
        self,
        rows: RowBodies,
        pool: BlobPool,
        learn: Callable[[CachedFact], Awaitable[object]],
        clock: Clock,
        room_bytes: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._pool = pool
        self._learn = learn
        self._clock = clock
        self._room_bytes = room_bytes

    async def spare(self, objects: Sequence[PinnedRow]) -> None:
        """Have their bytes in blobs. A pin never keeps a journal file from being sealed: what fails is only said."""
        left_bytes = self._room_bytes()
        for number, one in enumerate(objects):
            left_bytes -= one.size
            why = "more is pinned than is kept" if left_bytes < 0 else await self._spare(one)
            if why:
                _log.warning(
                    "pinned objects are only at the remote from now on", objects=len(objects) - number, why=why
                )
                return

    async def _spare(self, one: PinnedRow) -> str:
        """Why it could not be; empty: it could."""
        blob = one.blob
        try:
            if not blob:
                blob = await self._copied(one)
            try:
                now_ms = milliseconds(self._clock.now())
                await self._learn(CachedFact(one.bucket, one.key, one.etag, one.size, 0, one.size, blob, now_ms))
            finally:
                if not one.blob:
                    self._pool.release(blob)
        except (JournalError, ViewDamaged, OSError) as error:
            return str(error)
        return ""

    async def _copied(self, one: PinnedRow) -> str:
        """A blob with the object's bytes, which is pinned until a fact names it."""
        pieces = [await self._read(extent) for extent in one.extents if isinstance(extent, RowBytes)]
        writer = await self._pool.create()
        try:
            for piece in pieces:
                await self._pool.run(writer.write, piece)
            await self._pool.run(writer.finish)
        except BaseException:
            await self._pool.run(writer.abort)
            self._pool.release(writer.id)
            raise
        return writer.id

    async def _read(self, extent: RowBytes) -> bytes:
        body = await self._rows.read(extent.sequence, remember=False) or b""
        piece = body[extent.offset : extent.offset + extent.length]
        if len(piece) != extent.length:
            raise JournalError(f"the body of record {extent.sequence} is not here any more")
        return piece
