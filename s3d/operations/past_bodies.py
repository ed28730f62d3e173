"""The bytes of objects that were replaced or deleted since, as far as they are still on this disk.

Nothing keeps them for this: small ones are in their row until its journal file is sealed, large ones until the remote
has them and what replaced them. So they are looked for, pinned while they are used, and it is said when they are gone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from s3d.blobs.checks import BlobChecks
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.errors import S3dError
from s3d.events import OUTCOMES, Mutation, decode_mutation
from s3d.operations.exporting import Exporting, RecordBody
from s3d.values import GONE, BlobBytes, Extents, RowBytes
from s3d.view.questions import Questions

WRITES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})


class PastBody(msgspec.Struct, frozen=True):
    """Where the bytes of an object's record were put. `mutation` is None where the record itself has been dropped.

    `extents` is None where they never were here: a copy that was made at the remote.
    """

    sequence: int
    size: int
    extents: Extents | None
    sha256: bytes
    mutation: Mutation | None


class PastBodies:
    """Used on the event loop."""

    def __init__(
        self, exporting: Exporting, questions: Questions, rows: RowBodies, pool: BlobPool, checks: BlobChecks
    ) -> None:
        self._exporting = exporting
        self._questions = questions
        self._rows = rows
        self._pool = pool
        self._checks = checks

    async def find(self, sequence: int, bucket: str, key: str) -> PastBody:
        """What is known of a record's bytes. Raises S3dError where it made no object, or nothing is known of it."""
        record = await self._exporting.record(sequence)
        if record is None:
            return self._current(sequence, bucket, key)
        if record.kind in OUTCOMES or record.kind not in WRITES:
            raise S3dError(f"record {sequence} is a {record.kind}: it made no object")
        mutation = decode_mutation(record.payload)
        extents: Extents | None = mutation.extents
        if not extents and mutation.size:
            extents = None if record.kind == "CopyObject" else (RowBytes(sequence, 0, mutation.size),)
        return PastBody(sequence, mutation.size, extents, record.body_digest, mutation)

    def _current(self, sequence: int, bucket: str, key: str) -> PastBody:
        """A record that was dropped made what is still the key's object, or it is forgotten."""
        row = self._questions.object(bucket, key)
        if row is None or row.sequence != sequence or not row.present:
            raise S3dError(
                f"record {sequence} has been dropped, and its object was replaced", hint="see journal.retain_days"
            )
        return PastBody(sequence, row.size, row.extents, b"", None)

    @contextmanager
    def pinned(self, body: PastBody) -> Iterator[None]:
        """Neither a row nor a blob of it goes meanwhile."""
        with self._rows.pinned(body.extents or ()), self._pool.pinned(body.extents or ()):
            yield

    async def are_here(self, body: PastBody) -> bool:
        """Whether all bytes are on this disk, and are what was written."""
        if body.extents is None:
            return False
        for extent in body.extents:
            if isinstance(extent, RowBytes):
                if await self._rows.read(extent.sequence, remember=False) is None:
                    return False
            elif extent.blob == GONE or not await self._pool.run(os.path.exists, self._pool.files.path(extent.blob)):
                return False
        return await self._checks.are_sound([one for one in body.extents if isinstance(one, BlobBytes)])

    def read(self, body: PastBody) -> RecordBody:
        """The bytes, which are here."""
        return self._exporting.bytes_in(body.extents or (), body.size)
