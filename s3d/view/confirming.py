"""The fold of what the remote has confirmed."""

import typing

import apsw

from journal import Record
from s3d.capacity.pending import Backlog
from s3d.events import Confirmation, decode_confirmed
from s3d.view.beside import SETS_TAGS
from s3d.view.sent import count_sent, month_of
from s3d.view.superseding import settle_superseded
from s3d.view.upload_projection import confirm_closing, confirm_part, confirm_upload, drop_rows, drop_uses

CLOSING = frozenset({"CompleteMultipartUpload", "AbortMultipartUpload", "DeleteBucket"})
SENDING = frozenset({"PutObject", "UploadPart"})  # a copy is made at the remote, unless that cannot be
CONFIRM_OBJECT = (
    "UPDATE object SET replication = 1, remote_etag = ?, remote_version = ?, confirmed_ms = ?"
    " WHERE bucket = ? AND key = ? AND sequence = ?"
)
_NOTHING = Backlog()


def fold_confirmed(connection: apsw.Connection, record: Record) -> Backlog:
    """One record of many confirmations. What is not pending any more."""
    sent_bytes, confirmed = 0, decode_confirmed(record.payload)
    gone = _NOTHING
    for confirmation in confirmed.confirmations:
        settled, settled_sent_bytes = _confirm(connection, confirmation, record.written_at)
        gone = gone.plus(settled)
        sent_bytes += settled_sent_bytes
        drop_rows(connection, confirmation.sequence)
        connection.execute("DELETE FROM carried WHERE sequence = ?", (confirmation.sequence,))
    if sent_bytes:
        count_sent(connection, confirmed.remote, month_of(record.written_at), sent_bytes)
    return gone


def confirm_kind(
    connection: apsw.Connection, confirmation: Confirmation, kind: str, bucket: str, key: str, at_ms: int
) -> bool:
    """What a confirmed record of this kind comes to, its object apart; whether there is an object to confirm."""
    sequence = confirmation.sequence
    if kind in CLOSING:
        confirm_closing(connection, sequence)
    if kind in SETS_TAGS:
        connection.execute("DELETE FROM changed_tags WHERE sequence = ?", (sequence,))
        return False
    if kind == "UploadPart":
        confirm_part(connection, sequence, confirmation.etag)
        return False
    if kind == "CreateMultipartUpload":
        confirm_upload(connection, sequence, confirmation.upload_id)
        return False
    if not key:
        _confirm_bucket(connection, kind, bucket, confirmation, at_ms)
    return bool(key)


def _confirm(connection: apsw.Connection, confirmation: Confirmation, at_ms: int) -> tuple[Backlog, int]:
    """What is not pending any more, and the bytes of body that went to the remote for it."""
    sequence = confirmation.sequence
    row = connection.execute(
        "DELETE FROM pending WHERE sequence = ? RETURNING kind, bucket, key, size, supersedes", (sequence,)
    ).fetchone()
    if row is None:
        return _NOTHING, 0  # confirmed before: "upload again" has the effect of "upload once"
    kind, bucket, key, size_bytes, supersedes = typing.cast("tuple[str, str, str, int, int]", row)
    gone = Backlog(1, size_bytes)
    if confirm_kind(connection, confirmation, kind, bucket, key, at_ms):
        connection.execute(CONFIRM_OBJECT, (confirmation.etag, confirmation.version_id, at_ms, bucket, key, sequence))
        if connection.changes() == 0:  # superseded meanwhile, so nothing will read it again
            drop_uses(connection, sequence)
    if supersedes:
        gone = gone.plus(settle_superseded(connection, sequence))
    return gone, size_bytes if kind in SENDING or confirmation.uploaded else 0


def _confirm_bucket(
    connection: apsw.Connection, kind: str, bucket: str, confirmation: Confirmation, at_ms: int
) -> None:
    """A bucket that had been there before has keys that we have not seen: its absence answers end (decision 25)."""
    if kind == "CreateBucket":
        connection.execute(
            "UPDATE bucket SET replication = 1, sole = sole AND ? WHERE name = ? AND incarnation = ?",
            (not confirmation.existed, bucket, confirmation.sequence),
        )
    elif kind == "DeleteBucket":
        connection.execute(
            "DELETE FROM bucket WHERE name = ? AND sequence = ? AND NOT present", (bucket, confirmation.sequence)
        )
        if connection.changes():  # what the remote was asked before may say that the bucket is there
            connection.execute("INSERT OR REPLACE INTO remote_bucket VALUES (?, 0, 0, ?)", (bucket, at_ms))
