"""The bytes of a record for the remote: rows of the journal are read off the loop, blob files by the sender."""

from collections.abc import Awaitable, Callable, Sequence

from journal import JournalError
from s3d.errors import S3Error
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, FileSlice, Piece
from s3d.replicator.requests import Job, md5_base64
from s3d.values import BlobBytes, Extent


class Bodies:
    """Raises RemoteFailure, permanent, for bytes that are not here: the record then waits for a person."""

    def __init__(
        self,
        row_body: Callable[[int], Awaitable[bytes | None]],
        blob_path: Callable[[str], str],
        are_sound: Callable[[Sequence[Extent]], Awaitable[bool]] | None = None,
    ) -> None:
        self._row_body = row_body
        self._blob_path = blob_path
        self._are_sound = are_sound

    async def content(self, job: Job) -> Content:
        """The body of a record, with the digests that were taken when it was received."""
        return await self.content_of(job.extents, job.mutation.size, job.mutation.etag, job.record.body_digest.hex())

    async def content_of(self, extents: Sequence[Extent], size: int, etag: str, sha256_hex: str = "") -> Content:
        """A body from its extents."""
        await self._check(extents)
        pieces = [await self._piece(extent) for extent in extents]
        found = sum(piece.length if isinstance(piece, FileSlice) else len(piece) for piece in pieces)
        if found != size:
            raise _unreadable(f"{found} of {size} bytes of this body are here")
        return Content(tuple(pieces), size, md5_base64(etag), sha256_hex)

    async def _check(self, extents: Sequence[Extent]) -> None:
        """Nothing that the disk has changed is sent: not every remote would notice."""
        if self._are_sound is None:
            return
        try:
            sound = await self._are_sound(extents)
        except S3Error as error:  # no descriptor is left, or the like: that passes
            raise RemoteFailure(FailureKind.TRANSIENT, code="LocalBodyBusy", message=error.message) from error
        if not sound:
            raise _unreadable("this body is damaged on the local disk: upload it again")

    async def _piece(self, extent: Extent) -> Piece:
        if isinstance(extent, BlobBytes):
            return FileSlice(self._blob_path(extent.blob), extent.offset, extent.length)
        try:
            body = await self._row_body(extent.sequence)
        except (JournalError, OSError) as error:  # case I4: this record waits for a person, the others go on
            raise _unreadable(str(error)) from error
        if body is None:
            raise _unreadable(f"the journal has no body for record {extent.sequence}")
        whole = extent.offset == 0 and extent.length == len(body)
        return body if whole else body[extent.offset : extent.offset + extent.length]


def _unreadable(message: str) -> RemoteFailure:
    return RemoteFailure(FailureKind.PERMANENT, code="LocalBodyUnreadable", message=message)
