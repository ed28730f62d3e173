"""Questions about uploads that nobody has completed: how long ago something last came to each of them."""

import msgspec

from s3d.view.begun import BegunUploads
from s3d.view.damage import Asked

_LATEST = "max(initiated_ms, coalesce((SELECT max(modified_ms) FROM part WHERE part.upload = upload.upload), 0))"
_OPEN = f"SELECT bucket, key, upload, {_LATEST} FROM upload WHERE state = 0"  # noqa: S608 - our own words
_PAGE = f"{_OPEN} AND initiated_ms <= ? AND upload > ? ORDER BY upload LIMIT ?"
_ONE = f"{_OPEN} AND upload = ?"


class OpenUpload(msgspec.Struct, frozen=True):
    """An upload that is open; `latest_ms` is when it was begun, or the last part came (milliseconds since 1970)."""

    bucket: str
    key: str
    upload: str
    latest_ms: int


class UnfinishedUploads(BegunUploads):
    """A part of `Questions`."""

    _ask: Asked

    def uploads_begun_before(self, moment_ms: int, after: str, limit: int) -> list[OpenUpload]:
        """Open ones that were begun by then, in the order of their ids behind `after`. Reads all of their parts."""
        return [OpenUpload(*row) for row in self._ask.all(_PAGE, (moment_ms, after, limit))]

    def unfinished_upload(self, upload: str) -> OpenUpload | None:
        """None: there is none, or it is closed."""
        row = self._ask.one(_ONE, (upload,))
        return OpenUpload(*row) if row is not None else None
