"""Uploads that were begun at the remote in the place of others which it had forgotten: the fold, and who asks.

S3 lists open uploads without what they were begun with, so nothing there says whose they are. Their ids are in the
journal before anything is in them, and stay here as long as what is known of the upload that they are for.
"""

from collections.abc import Callable, Mapping

import apsw

from journal import Record
from s3d.events import UPLOAD_BEGUN, decode_upload_begun
from s3d.view.damage import Asked


class BegunUploads:
    """A part of `Questions`."""

    _ask: Asked

    def begun_anew(self, upload: str) -> list[str]:
        """The remote's ids of what was begun in the place of this upload; one that is not open any more is harmless."""
        return [str(row[0]) for row in self._ask.all("SELECT remote_id FROM begun_anew WHERE upload = ?", (upload,))]


def _begun(connection: apsw.Connection, record: Record) -> None:
    begun = decode_upload_begun(record.payload)
    connection.execute("INSERT OR IGNORE INTO begun_anew VALUES (?, ?)", (begun.upload, begun.remote_id))


BEGINNING: Mapping[str, Callable[[apsw.Connection, Record], None]] = {UPLOAD_BEGUN: _begun}
"""The fold of their kind."""
