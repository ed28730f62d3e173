"""The bytes of a pending record, for a person who wants them elsewhere, whatever key they were written under."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from journal import Journal, JournalError, Record
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.errors import S3dError
from s3d.events import OUTCOMES, decode_mutation
from s3d.values import BlobBytes, Extents, RowBytes
from s3d.view.questions import Questions

_PIECE_BYTES = 1024 * 1024


class RecordBody(msgspec.Struct, frozen=True):
    """A body, and its pieces in order: fewer bytes than `size` and an error, never other ones."""

    size: int
    pieces: AsyncIterator[bytes]


class Exporting:
    """Reads records and their bodies. `questions` are asked on the loop."""

    def __init__(self, journal: Journal, questions: Questions, rows: RowBodies, pool: BlobPool) -> None:
        self._journal = journal
        self._questions = questions
        self._rows = rows
        self._pool = pool

    async def record(self, sequence: int) -> Record | None:
        """A record, also one that waits for so long that its file is gone. None: there is none, any more."""
        found = await asyncio.to_thread(self._journal.pick, [sequence])
        return found[0] if found else self._questions.carried(sequence)

    def body(self, record: Record) -> RecordBody:
        """The bytes of a pending record. Raises S3dError when they are not here."""
        if record.kind in OUTCOMES:
            raise S3dError(f"record {record.sequence} has no bytes: it is about other records")
        mutation = decode_mutation(record.payload)
        extents: Extents = mutation.extents
        if not extents and mutation.size:
            if record.kind == "CopyObject":
                raise S3dError(f"the bytes of record {record.sequence} are at the remote only, under its source's key")
            extents = (RowBytes(record.sequence, 0, mutation.size),)
        return self.bytes_in(extents, mutation.size)

    def bytes_in(self, extents: Extents, size: int) -> RecordBody:
        """The bytes that lie there."""
        return RecordBody(size, self._pieces(extents))

    async def _pieces(self, extents: Extents) -> AsyncIterator[bytes]:
        """Pinned while they are read: the record may be given up meanwhile."""
        with self._rows.pinned(extents), self._pool.pinned(extents):
            for extent in extents:
                if isinstance(extent, BlobBytes):
                    for offset in range(extent.offset, extent.offset + extent.length, _PIECE_BYTES):
                        length = min(_PIECE_BYTES, extent.offset + extent.length - offset)
                        yield await self._pool.run(self._pool.files.read, extent.blob, offset, length)
                else:
                    yield await self._row(extent)

    async def _row(self, extent: RowBytes) -> bytes:
        body = await self._rows.read(extent.sequence, remember=False)
        if body is None:
            raise JournalError(f"the body of record {extent.sequence} is not here")
        return body[extent.offset : extent.offset + extent.length]
