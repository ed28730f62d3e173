"""The fold of multipart uploads: their own tables, and the blobs of their parts.

A part's bytes are needed until the remote has confirmed that its upload was completed or aborted: the remote may forget
an upload, and then all parts are sent once more (decision 10).
"""

import apsw
import msgspec

from journal import Record
from s3d.events import Mutation
from s3d.values import BlobBytes, Extents, RowBytes, UploadState

COMPLETED_KEPT_RECORDS = 100_000  # for so long a repeated Complete is answered like the first one
DEFAULT_ALGORITHM = "CRC64NVME"
_encode = msgspec.json.Encoder().encode

_PUT_PART = """
INSERT INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '')
ON CONFLICT DO UPDATE SET sequence = ?3, size = ?4, etag = ?5, modified_ms = ?6, checksums = ?7, extents = ?8,
  remote_etag = ''"""
_CLOSE = "UPDATE upload SET state = ?, result = ?, closed_by = ? WHERE upload = ?"
# Decision 9: a record keeps its body until it is confirmed, superseded or not. Decision 10: a part until its upload is
# closed at the remote.
_HELD = "SELECT 1 FROM pending WHERE sequence = ?1 UNION ALL SELECT 1 FROM part WHERE sequence = ?1"
# An object whose other bytes lie in blobs, which stay as long as it lives, stays whole: its small last part, too.
_HOLDS = f"{_HELD} UNION ALL SELECT 1 FROM blob_use WHERE sequence = ?1"  # noqa: S608 - our own constant
_NEEDED = f"{_HELD} UNION ALL SELECT 1 FROM row_use WHERE row = ?1"  # noqa: S608 - our own constant
_DROP_RELOCATED = f"DELETE FROM relocated WHERE sequence = ?1 AND NOT EXISTS ({_NEEDED})"  # noqa: S608 - our own constant
_FORGET_OLD = (
    "DELETE FROM upload WHERE closed_by > 0 AND closed_by < ? AND state = 1"
    " AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.sequence = closed_by)"
)
_FORGET_BEGUN = "DELETE FROM begun_anew WHERE NOT EXISTS (SELECT 1 FROM upload WHERE upload.upload = begun_anew.upload)"


def create_upload(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> None:
    """A row for the upload."""
    given = mutation.input
    algorithm = given.get("ChecksumAlgorithm", DEFAULT_ALGORITHM)
    kind = given.get("ChecksumType", "FULL_OBJECT" if algorithm == DEFAULT_ALGORITHM else "COMPOSITE")
    connection.execute(
        "INSERT INTO upload VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, NULL, 0, '')",
        (mutation.upload, bucket, key, record.sequence, record.written_at, _encode(given), algorithm, kind),
    )


def put_part(connection: apsw.Connection, record: Record, _bucket: str, _key: str, mutation: Mutation) -> None:
    """The current part of its number; what it replaces goes when the remote has that."""
    connection.execute(
        _PUT_PART,
        (
            mutation.upload,
            mutation.part,
            record.sequence,
            mutation.size,
            mutation.etag,
            record.written_at,
            _encode(mutation.checksums),
            _encode(mutation.extents) if mutation.extents else None,
        ),
    )
    use_extents(connection, record.sequence, mutation.extents)
    if mutation.replaces:
        drop_uses(connection, mutation.replaces)
        drop_rows(connection, mutation.replaces)


def complete_upload(connection: apsw.Connection, record: Record, mutation: Mutation) -> None:
    """Close the upload with the answer that a repeated Complete gets."""
    result = {
        "etag": mutation.etag,
        "checksums": mutation.checksums,
        "checksum_type": mutation.input.get("ChecksumType", ""),
        "sequence": record.sequence,
    }
    connection.execute(_CLOSE, (int(UploadState.COMPLETED), _encode(result), record.sequence, mutation.upload))
    connection.execute(_FORGET_OLD, (record.sequence - COMPLETED_KEPT_RECORDS,))
    connection.execute(_FORGET_BEGUN)


def abort_upload(connection: apsw.Connection, record: Record, _bucket: str, _key: str, mutation: Mutation) -> None:
    """Close the upload; its parts stay until the remote has confirmed that."""
    connection.execute(_CLOSE, (int(UploadState.ABORTED), None, record.sequence, mutation.upload))


def abort_all(connection: apsw.Connection, record: Record, bucket: str) -> None:
    """A bucket takes its open uploads with it."""
    connection.execute(
        "UPDATE upload SET state = ?, closed_by = ? WHERE bucket = ? AND state = 0",
        (int(UploadState.ABORTED), record.sequence, bucket),
    )


def confirm_upload(connection: apsw.Connection, sequence: int, remote_id: str) -> None:
    """The remote has begun the upload, under an id of its own."""
    connection.execute("UPDATE upload SET remote_id = ? WHERE sequence = ?", (remote_id, sequence))


def confirm_part(connection: apsw.Connection, sequence: int, etag: str) -> None:
    """The remote has a part (an empty ETag: it will get it together with Complete)."""
    connection.execute("UPDATE part SET remote_etag = ? WHERE sequence = ?", (etag, sequence))
    if connection.changes() == 0:  # replaced meanwhile
        drop_uses(connection, sequence)


def confirm_closing(connection: apsw.Connection, sequence: int) -> None:
    """The remote has completed or aborted it: the parts are not needed any more."""
    closed = connection.execute("SELECT upload, state FROM upload WHERE closed_by = ?", (sequence,)).fetchall()
    for upload, state in closed:
        parts = connection.execute("SELECT sequence FROM part WHERE upload = ?", (upload,)).fetchall()
        connection.execute("DELETE FROM part WHERE upload = ?", (upload,))
        for (part,) in parts:
            drop_uses(connection, int(str(part)))
            drop_rows(connection, int(str(part)))
        if state == UploadState.ABORTED:
            connection.execute("DELETE FROM upload WHERE upload = ?", (upload,))


def use_extents(connection: apsw.Connection, sequence: int, extents: Extents) -> None:
    """A record needs the blobs and rows that its bytes are in; an object of 10,000 parts needs as many."""
    blobs = [(sequence, extent.blob) for extent in extents if isinstance(extent, BlobBytes)]
    if blobs:
        connection.executemany("INSERT OR IGNORE INTO blob_use VALUES (?, ?)", blobs)
    if len(blobs) != len(extents):
        rows = [(sequence, extent.sequence, extent.length) for extent in extents if isinstance(extent, RowBytes)]
        connection.executemany("INSERT OR IGNORE INTO row_use VALUES (?, ?, ?)", rows)


def drop_uses(connection: apsw.Connection, sequence: int) -> None:
    """A superseded record needs its blobs no longer, once it is confirmed; until then its confirmation calls again."""
    connection.execute(
        "DELETE FROM blob_use WHERE sequence = ?1 AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.sequence = ?1)",
        (sequence,),
    )


def drop_rows(connection: apsw.Connection, sequence: int) -> None:
    """A record that is confirmed, no part of an open upload and without blobs needs no body in a row, its or another's.

    Called wherever one of these may have become true; before all are, it changes nothing.
    """
    if connection.execute(_HOLDS, (sequence,)).fetchone() is None:
        for (row,) in connection.execute("DELETE FROM row_use WHERE holder = ? RETURNING row", (sequence,)).fetchall():
            _drop_relocated(connection, int(str(row)))
        _drop_relocated(connection, sequence)


def _drop_relocated(connection: apsw.Connection, sequence: int) -> None:
    connection.execute(_DROP_RELOCATED, (sequence,))
