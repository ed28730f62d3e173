"""The fold: what each kind of record does to the tables. A function of the tables and the record, nothing else.

Kinds without an entry here are durable and replicated all the same; they just change nothing that is read locally.
"""

import typing
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import apsw
import msgspec

from journal import Record
from s3d.capacity.local import Staying
from s3d.capacity.pending import Backlog
from s3d.events import (
    CACHE_PINNED,
    CACHE_UNPINNED,
    CARRIED,
    CONFIRMED,
    CONFLICTED,
    DISCARDED,
    FILES_NOTED,
    GAPS_LOOKED,
    GIVE_WAY,
    LET_GO,
    OUTCOMES,
    PARKED,
    PAUSED,
    RELOCATED,
    RESUMED,
    SHARED,
    SUPERSEDED,
    UNPAUSED,
    Mutation,
    decode_carried,
    decode_conflicted,
    decode_discarded,
    decode_files_noted,
    decode_let_go,
    decode_mutation,
    decode_parked,
    decode_paused,
    decode_relocated,
    decode_resumed,
    decode_shared,
    decode_superseded,
)
from s3d.values import GONE, BlobBytes, Replication, TakenFile, split_stream, split_upload_stream, stream_of
from s3d.view.beside import Beside
from s3d.view.confirming import CLOSING, fold_confirmed
from s3d.view.listed import forget_listed_bucket, forget_listed_key
from s3d.view.local_projection import settle_local
from s3d.view.looked import fold_look
from s3d.view.outcomes import ELSEWHERE
from s3d.view.pins import forget_tag, has_pin, pin_prefix, settle_tag, unpin_prefix
from s3d.view.upload_projection import (
    abort_all,
    abort_upload,
    complete_upload,
    confirm_closing,
    create_upload,
    drop_rows,
    drop_uses,
    put_part,
    use_extents,
)

CONFLICTS_KEPT = 1000
CONFLICT_BYTES_KEPT = 1024**3  # the latest is kept, however large it is
_OLD_CONFLICTS = """
SELECT sequence, kept_bytes, place > ?2 FROM (
  SELECT sequence, kept_bytes, row_number() OVER latest AS place,
    sum(kept_bytes) OVER latest - kept_bytes AS newer_bytes
  FROM conflict WHERE NOT EXISTS (SELECT 1 FROM pending WHERE pending.sequence = conflict.sequence)
  WINDOW latest AS (ORDER BY outcome DESC)
) WHERE place > ?2 OR (kept_bytes > 0 AND newer_bytes >= ?1)"""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

_PUT_OBJECT = """
INSERT INTO object VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, '', '', 0)
ON CONFLICT DO UPDATE SET sequence = ?3, present = 1, size = ?4, etag = ?5, modified_ms = max(modified_ms, ?6),
  storage_class = ?7, attributes = ?8, extents = ?9, parts = ?10, replication = 0,
  remote_etag = '', remote_version = '', confirmed_ms = 0"""
_DELETE_OBJECT = """
INSERT INTO object VALUES (?1, ?2, ?3, 0, 0, '', ?4, '', X'7B7D', NULL, NULL, 0, '', '', 0)
ON CONFLICT DO UPDATE SET sequence = ?3, present = 0, size = 0, etag = '', modified_ms = max(modified_ms, ?4),
  storage_class = '', attributes = X'7B7D', extents = NULL, parts = NULL, replication = 0,
  remote_etag = '', remote_version = '', confirmed_ms = 0"""
_PENDING = "INSERT INTO pending (sequence, kind, bucket, key, size, at_ms, row_bytes) VALUES (?, ?, ?, ?, ?, ?, ?)"

_REVIVE = "UPDATE pending SET superseded_by = 0 WHERE superseded_by > 0 AND superseded_by = ?"
_IN_GROUP = "UPDATE pending SET order_group = ?, order_barrier = ? WHERE sequence = ?"


_UNCHANGED = Backlog()


def fold(connection: apsw.Connection, record: Record, beside: Beside) -> Backlog | Staying:
    """Apply one record to the tables, inside the caller's transaction.

    Returns what it adds to `pending`, or to what stays local; negative: takes away. The caller tells `beside`
    afterwards (`Beside.folded`).
    """
    if record.kind in OUTCOMES:
        gone = _OUTCOMES[record.kind](connection, record)
        return Backlog(-gone.records, -gone.size_bytes) if gone is not None else _UNCHANGED
    mutation = decode_mutation(record.payload)
    bucket, key = (
        split_upload_stream(record.stream, mutation.upload) if mutation.upload else split_stream(record.stream)
    )
    change: Backlog | Staying = _UNCHANGED
    if not mutation.stays_local:
        change = _wait_for_remote(connection, record, bucket, key, mutation)
    if mutation.taken is not None:
        remember(connection, mutation.taken, mutation.etag)
    if record.kind in _REPLACING:
        beside.clear(bucket, key)
    apply = _MUTATIONS.get(record.kind)
    if apply is not None:
        apply(connection, record, bucket, key, mutation)
    if mutation.stays_local:
        change = settle_local(connection, record, bucket, key, mutation)
    return change


def _wait_for_remote(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> Backlog:
    row_bytes = 0 if mutation.extents or record.kind == "CopyObject" else mutation.size
    size = 0 if record.kind == "CompleteMultipartUpload" else mutation.size  # what it names its parts send
    connection.execute(_PENDING, (record.sequence, record.kind, bucket, key, size, record.written_at, row_bytes))
    if mutation.group:
        connection.execute(_IN_GROUP, (mutation.group, mutation.barrier, record.sequence))
    return Backlog(1, size)


def _put_object(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> None:
    attributes = {**mutation.input, **mutation.checksums} if mutation.checksums else mutation.input
    extents = _encode(mutation.extents) if mutation.extents else None
    connection.execute(
        _PUT_OBJECT,
        (
            bucket,
            key,
            record.sequence,
            mutation.size,
            mutation.etag,
            record.written_at,
            mutation.input.get("StorageClass", "STANDARD"),
            _encode(attributes),
            extents,
            _encode(mutation.parts) if mutation.parts else None,
        ),
    )
    use_extents(connection, record.sequence, mutation.extents)
    _supersede(connection, mutation)
    if "Tagging" in mutation.input and has_pin(mutation.input["Tagging"]):
        settle_tag(connection, bucket, key, mutation.input["Tagging"], record.sequence)


def _complete_upload(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> None:
    _put_object(connection, record, bucket, key, mutation)
    complete_upload(connection, record, mutation)


def _delete_object(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> None:
    connection.execute(_DELETE_OBJECT, (bucket, key, record.sequence, record.written_at))
    _supersede(connection, mutation)


def _set_tags(connection: apsw.Connection, record: Record, bucket: str, key: str, mutation: Mutation) -> None:
    """Into the object's attributes where it has a row, and beside what the remote may say of it until that is so."""
    tagging = urlencode([(tag["Key"], tag["Value"]) for tag in mutation.input.get("Tagging", {}).get("TagSet", ())])
    connection.execute(
        "INSERT OR REPLACE INTO changed_tags VALUES (?, ?, ?, ?)", (bucket, key, record.sequence, tagging)
    )
    settle_tag(connection, bucket, key, tagging, record.sequence)
    row = connection.execute(
        "SELECT attributes FROM object WHERE bucket = ? AND key = ? AND present", (bucket, key)
    ).fetchone()
    if row is None:
        return
    attributes = {**_decode(row[0]), "Tagging": tagging}
    if not tagging:
        del attributes["Tagging"]
    connection.execute(
        "UPDATE object SET attributes = ? WHERE bucket = ? AND key = ?", (_encode(attributes), bucket, key)
    )


def _supersede(connection: apsw.Connection, mutation: Mutation) -> None:
    """What was replaced lets go of its blobs if it is confirmed; otherwise its confirmation does that."""
    if mutation.replaces:
        drop_uses(connection, mutation.replaces)
        drop_rows(connection, mutation.replaces)


def _create_bucket(connection: apsw.Connection, record: Record, bucket: str, key: str, _: Mutation) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO bucket VALUES (?1, ?2, 1, ?2, ?3, 1, 0)", (bucket, record.sequence, record.written_at)
    )
    connection.execute("DELETE FROM remote_bucket WHERE name = ?", (bucket,))
    forget_listed_bucket(connection, bucket)


def _delete_bucket(connection: apsw.Connection, record: Record, bucket: str, key: str, _: Mutation) -> None:
    connection.execute(
        "INSERT INTO bucket VALUES (?1, ?2, 0, 0, ?3, 0, 0)"
        " ON CONFLICT DO UPDATE SET sequence = ?2, present = 0, replication = 0",
        (bucket, record.sequence, record.written_at),
    )
    abort_all(connection, record, bucket)
    for table in ("object", "remote_object", "changed_tags", "tag_pin", "cached"):
        connection.execute(f"DELETE FROM {table} WHERE bucket = ?", (bucket,))  # noqa: S608 - our own names
    connection.execute("DELETE FROM remote_bucket WHERE name = ?", (bucket,))
    forget_listed_bucket(connection, bucket)


def _parked(connection: apsw.Connection, record: Record) -> None:
    parked = decode_parked(record.payload)
    connection.execute(
        "UPDATE pending SET parked = 1, code = ?, message = ? WHERE sequence = ?",
        (parked.code, parked.message, parked.sequence),
    )
    _set_replication(connection, parked.sequence, Replication.FAILED)


def _conflicted(connection: apsw.Connection, record: Record) -> Backlog | None:
    """Others write to this bucket: absence is not known here any more. What gives way is not pending any more."""
    conflicted = decode_conflicted(record.payload)
    sequence = conflicted.sequence
    row = connection.execute(
        "SELECT kind, bucket, key, size, row_bytes FROM pending WHERE sequence = ?", (sequence,)
    ).fetchone()
    if row is None:
        return None
    kind, bucket, key, size, row_bytes = row
    kept_bytes = size if conflicted.decided == "remote" else 0  # both are kept: then the sibling has the bytes
    connection.execute(
        "INSERT OR REPLACE INTO conflict VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (sequence, record.sequence, record.written_at, kind, bucket, key, record.payload, kept_bytes),
    )
    connection.execute("UPDATE bucket SET sole = 0 WHERE name = ?", (bucket,))
    if conflicted.decided in GIVE_WAY:
        connection.execute("DELETE FROM pending WHERE sequence = ?", (sequence,))
        connection.execute("DELETE FROM object WHERE bucket = ? AND key = ? AND sequence = ?", (bucket, key, sequence))
        forget_tag(connection, str(bucket), str(key), sequence)
        connection.execute("DELETE FROM carried WHERE sequence = ?", (sequence,))
        if kept_bytes and row_bytes:
            connection.execute("INSERT OR IGNORE INTO row_use VALUES (?1, ?1, ?2)", (sequence, row_bytes))
        elif not kept_bytes:
            drop_uses(connection, sequence)
            drop_rows(connection, sequence)
        if kind in CLOSING:
            confirm_closing(connection, sequence)
    _forget_old_conflicts(connection)
    return Backlog(1, int(str(size))) if conflicted.decided in GIVE_WAY else None


def _forget_old_conflicts(connection: apsw.Connection) -> None:
    old = connection.execute(_OLD_CONFLICTS, (CONFLICT_BYTES_KEPT, CONFLICTS_KEPT)).fetchall()
    for sequence, kept_bytes, is_forgotten in old:
        if is_forgotten:
            connection.execute("DELETE FROM conflict WHERE sequence = ?", (sequence,))
        else:
            connection.execute("UPDATE conflict SET kept_bytes = 0 WHERE sequence = ?", (sequence,))
        if kept_bytes:
            drop_uses(connection, int(str(sequence)))
            drop_rows(connection, int(str(sequence)))


def _resumed(connection: apsw.Connection, record: Record) -> None:
    for sequence in decode_resumed(record.payload).sequences:
        connection.execute("UPDATE pending SET parked = 0 WHERE sequence = ?", (sequence,))
        _set_replication(connection, sequence, Replication.PENDING)


def _superseded(connection: apsw.Connection, record: Record) -> None:
    superseded = decode_superseded(record.payload)
    connection.executemany(
        "UPDATE pending SET superseded_by = ? WHERE sequence = ?",
        [(superseded.by, sequence) for sequence in superseded.sequences],
    )
    connection.execute("UPDATE pending SET supersedes = 1 WHERE sequence = ?", (superseded.by,))


def _discarded(connection: apsw.Connection, record: Record) -> Backlog:
    """What was given up was never written: who wrote before it is the remote's to say, so absence is not known.

    Unless that is a record of our own, which it had superseded.
    """
    discarded = decode_discarded(record.payload)
    revived = {one.stream: one for one in discarded.revived}
    gone = _UNCHANGED
    for sequence in discarded.sequences:
        row = connection.execute(
            "DELETE FROM pending WHERE sequence = ? RETURNING bucket, key, size", (sequence,)
        ).fetchone()
        if row is None:
            continue
        bucket, key, size_bytes = typing.cast("tuple[str, str, int]", row)
        gone = gone.plus(Backlog(1, size_bytes))
        connection.execute("UPDATE bucket SET sole = 0 WHERE name = ?", (bucket,))
        connection.execute("DELETE FROM object WHERE bucket = ? AND key = ? AND sequence = ?", (bucket, key, sequence))
        if connection.changes() and (before := revived.get(stream_of(bucket, key))) is not None:
            _MUTATIONS[before.kind](connection, before, bucket, key, decode_mutation(before.payload))
        forget_tag(connection, bucket, key, sequence)
        connection.execute(_REVIVE, (sequence,))
        forget_listed_key(connection, bucket, key)  # it may be older than what was confirmed before this record
        connection.execute("DELETE FROM changed_tags WHERE sequence = ?", (sequence,))
        connection.execute("DELETE FROM carried WHERE sequence = ?", (sequence,))
        drop_uses(connection, sequence)
        drop_rows(connection, sequence)
    return gone


def _relocated(connection: apsw.Connection, record: Record) -> None:
    connection.executemany("INSERT OR IGNORE INTO relocated VALUES (?, ?)", decode_relocated(record.payload).moved)


def _let_go(connection: apsw.Connection, record: Record) -> None:
    """What a reader finds in the place of the bytes says that only the remote has them."""
    for bucket, key, sequence in decode_let_go(record.payload).objects:
        row = connection.execute(
            "SELECT size FROM object WHERE bucket = ? AND key = ? AND sequence = ? AND replication = 1",
            (bucket, key, sequence),
        ).fetchone()
        if row is None:
            continue
        extents = _encode((BlobBytes(GONE, 0, int(str(row[0]))),))
        connection.execute("UPDATE object SET extents = ? WHERE bucket = ? AND key = ?", (extents, bucket, key))
        drop_uses(connection, sequence)
        drop_rows(connection, sequence)


def _shared(connection: apsw.Connection, record: Record) -> None:
    names = decode_shared(record.payload).buckets
    connection.executemany("UPDATE bucket SET sole = 0 WHERE name = ?", [(name,) for name in names])


def _paused(connection: apsw.Connection, record: Record) -> None:
    paused = decode_paused(record.payload)
    connection.execute(
        "INSERT OR REPLACE INTO paused VALUES (1, ?, ?, ?, ?)",
        (record.sequence, record.written_at, paused.caller, paused.reason),
    )


def _unpaused(connection: apsw.Connection, _record: Record) -> None:
    connection.execute("DELETE FROM paused")


def _files_noted(connection: apsw.Connection, record: Record) -> None:
    noted = decode_files_noted(record.payload)
    for file, etag in noted.same:
        remember(connection, file, etag)
    connection.executemany(
        "DELETE FROM taken_file WHERE folder = ? AND path = ?", [(file.folder, file.path) for file in noted.gone]
    )


def remember(connection: apsw.Connection, file: TakenFile, etag: str) -> None:
    """A file of a drop folder was taken with this content."""
    connection.execute(
        "INSERT OR REPLACE INTO taken_file VALUES (?, ?, ?, ?, ?, ?)",
        (file.folder, file.path, file.inode, file.size, file.modified_ns, etag),
    )


def _carried(connection: apsw.Connection, record: Record) -> None:
    records = decode_carried(record.payload).records
    connection.executemany(
        "INSERT OR IGNORE INTO carried VALUES (?, ?)", [(one.sequence, _encode(one)) for one in records]
    )


def _set_replication(connection: apsw.Connection, sequence: int, replication: Replication) -> None:
    row = connection.execute("SELECT bucket, key FROM pending WHERE sequence = ?", (sequence,)).fetchone()
    if row is not None:
        connection.execute(
            "UPDATE object SET replication = ? WHERE bucket = ? AND key = ? AND sequence = ?",
            (int(replication), *row, sequence),
        )


_REPLACING = frozenset({"PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload"})
_MUTATIONS: Mapping[str, Callable[[apsw.Connection, Record, str, str, Mutation], None]] = {
    "PutObject": _put_object,
    "CopyObject": _put_object,
    "DeleteObject": _delete_object,
    "CreateMultipartUpload": create_upload,
    "UploadPart": put_part,
    "CompleteMultipartUpload": _complete_upload,
    "AbortMultipartUpload": abort_upload,
    "PutObjectTagging": _set_tags,
    "DeleteObjectTagging": _set_tags,
    "CreateBucket": _create_bucket,
    "DeleteBucket": _delete_bucket,
}
_OUTCOMES: Mapping[str, Callable[[apsw.Connection, Record], Backlog | None]] = {  # what ceases to be pending
    CONFIRMED: fold_confirmed,
    RELOCATED: _relocated,
    CARRIED: _carried,
    PARKED: _parked,
    CONFLICTED: _conflicted,
    RESUMED: _resumed,
    DISCARDED: _discarded,
    SUPERSEDED: _superseded,
    SHARED: _shared,
    LET_GO: _let_go,
    PAUSED: _paused,
    UNPAUSED: _unpaused,
    FILES_NOTED: _files_noted,
    GAPS_LOOKED: fold_look,
    CACHE_PINNED: pin_prefix,
    CACHE_UNPINNED: unpin_prefix,
    **ELSEWHERE,
}
