"""The fold of records that are final at once: those of buckets that stay local.

Nothing of them waits for the remote. What an object needs (its own row, blobs, other rows) it needs for as long as it
is its key's current one; what it replaced, and what it closed, is let go of in the same step. `projection` has applied
the record as any other before.
"""

from collections.abc import Callable, Mapping

import apsw

from journal import Record
from s3d.capacity.local import Staying
from s3d.events import Mutation
from s3d.values import Replication
from s3d.view.upload_projection import confirm_closing

_LOCAL = int(Replication.LOCAL)
_NOTHING = Staying()
_OBJECT_STAYS = "UPDATE object SET replication = ?4 WHERE bucket = ?1 AND key = ?2 AND sequence = ?3"
_BUCKET_STAYS = "UPDATE bucket SET replication = ?2 WHERE name = ?1"
_NO_TRACE = "DELETE FROM object WHERE bucket = ? AND key = ? AND NOT EXISTS (SELECT 1 FROM loss)"
_BODY_GONE = "DELETE FROM local_body WHERE sequence = ? RETURNING size"
_PARTS_GONE = (
    "DELETE FROM local_body WHERE sequence IN"
    " (SELECT part.sequence FROM part JOIN upload USING (upload) WHERE upload.closed_by = ?) RETURNING size"
)


def settle_local(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Staying:
    """Make a record final that nobody else will ever confirm. What it adds to what stays; negative: takes away."""
    settle = _SETTLES.get(record.kind)
    return settle(connection, record, bucket, key, mutation) if settle is not None else _NOTHING


def _put_object(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Staying:
    connection.execute(_OBJECT_STAYS, (bucket, key, record.sequence, _LOCAL))
    if mutation.size and not mutation.extents:  # its own row is all that has its bytes
        connection.execute("INSERT INTO row_use VALUES (?1, ?1, ?2)", (record.sequence, mutation.size))
    return _counted(connection, record, mutation)


def _complete_upload(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Staying:
    made = _put_object(connection, record, bucket, key, mutation)
    return made.plus(_close(connection, record, bucket, key, mutation))


def _delete_object(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Staying:
    """Without a trace: what is not here is absent. While records are lost it is not: then only a trace says so."""
    connection.execute(_NO_TRACE, (bucket, key))
    if not connection.changes():
        connection.execute(_OBJECT_STAYS, (bucket, key, record.sequence, _LOCAL))
    return _taken_away(connection, _BODY_GONE, mutation.replaces)


def _put_part(connection: apsw.Connection, record: Record, _bucket: str, _key: str, mutation: Mutation) -> Staying:
    return _counted(connection, record, mutation)


def _close(connection: apsw.Connection, record: Record, _bucket: str, _key: str, _mutation: Mutation) -> Staying:
    """The parts are not needed for sending, and the object that they have become needs their bytes itself."""
    gone = _taken_away(connection, _PARTS_GONE, record.sequence)
    confirm_closing(connection, record.sequence)
    return gone


def _set_tags(connection: apsw.Connection, record: Record, _bucket: str, _key: str, _mutation: Mutation) -> Staying:
    connection.execute("DELETE FROM changed_tags WHERE sequence = ?", (record.sequence,))
    return _NOTHING


def _create_bucket(
    connection: apsw.Connection, _record: Record, bucket: str, _key: str, _mutation: Mutation
) -> Staying:
    """What is remembered of the remote's bucket of this name, if it has one, is not about this one."""
    connection.execute(_BUCKET_STAYS, (bucket, _LOCAL))
    connection.execute("DELETE FROM object WHERE bucket = ? AND NOT present", (bucket,))
    for table in ("remote_object", "changed_tags", "cached"):
        connection.execute(f"DELETE FROM {table} WHERE bucket = ?", (bucket,))  # noqa: S608 - our own names
    return _NOTHING


def _delete_bucket(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Staying:
    gone = _close(connection, record, bucket, key, mutation)  # its open uploads
    connection.execute("DELETE FROM bucket WHERE name = ?", (bucket,))
    return gone


def _counted(connection: apsw.Connection, record: Record, mutation: Mutation) -> Staying:
    connection.execute("INSERT INTO local_body VALUES (?, ?)", (record.sequence, mutation.size))
    made = Staying(1, mutation.size)
    return made.plus(_taken_away(connection, _BODY_GONE, mutation.replaces)) if mutation.replaces else made


def _taken_away(connection: apsw.Connection, statement: str, sequence: int) -> Staying:
    sizes = [int(str(size)) for (size,) in connection.execute(statement, (sequence,)).fetchall()]
    return Staying(-len(sizes), -sum(sizes))


_SETTLES: Mapping[str, Callable[[apsw.Connection, Record, str, str, Mutation], Staying]] = {
    "PutObject": _put_object,
    "CopyObject": _put_object,
    "DeleteObject": _delete_object,
    "UploadPart": _put_part,
    "CompleteMultipartUpload": _complete_upload,
    "AbortMultipartUpload": _close,
    "PutObjectTagging": _set_tags,
    "DeleteObjectTagging": _set_tags,
    "CreateBucket": _create_bucket,
    "DeleteBucket": _delete_bucket,
}
