"""What the remote said, as values; the writer's thread puts them into the view.

A fact says when it was learned. It never changes what was written here: facts and folded tables are kept apart, and a
read puts them together.
"""

from typing import Any

import apsw
import msgspec

from s3d.view.listed import ListedFact, forget_listed_bucket, learn_listed


class BucketFact(msgspec.Struct, frozen=True):
    """A bucket exists at the remote, or does not."""

    name: str
    present: bool
    seen_ms: int
    created_ms: int = 0


class BucketListFact(msgspec.Struct, frozen=True):
    """All buckets that the remote lists: name and creation time in milliseconds."""

    buckets: tuple[tuple[str, int], ...]
    seen_ms: int


class ObjectFact(msgspec.Struct, frozen=True):
    """An object at the remote, or its absence; `attributes` under botocore's names.

    `incarnation` is that of the bucket when the question was asked: an answer about a bucket that has been deleted or
    created here since says nothing about the one of today.
    """

    bucket: str
    key: str
    present: bool
    seen_ms: int
    size: int = 0
    etag: str = ""
    modified_ms: int = 0
    attributes: dict[str, Any] = {}
    incarnation: int = 0


class CachedFact(msgspec.Struct, frozen=True):
    """The bytes of a remote object with this ETag are in a blob here."""

    bucket: str
    key: str
    etag: str
    blob: str
    size: int
    used_ms: int


class EvictedFact(msgspec.Struct, frozen=True):
    """A cached blob is to be let go."""

    bucket: str
    key: str
    blob: str


Fact = BucketFact | BucketListFact | ObjectFact | ListedFact | CachedFact | EvictedFact
_LEARN_BUCKET = """
INSERT INTO remote_bucket VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET present = ?2, created_ms = ?3, seen_ms = ?4 WHERE seen_ms <= ?4"""
_encode = msgspec.json.Encoder().encode


def learn(connection: apsw.Connection, fact: Fact) -> None:
    """Put a fact into its table, inside the caller's transaction."""
    match fact:
        case BucketFact():
            _learn_bucket(connection, fact.name, present=fact.present, created_ms=fact.created_ms, seen_ms=fact.seen_ms)
        case BucketListFact():
            _learn_bucket_list(connection, fact)
        case ObjectFact():
            _learn_object(connection, fact)
        case ListedFact():
            if _is_of_today(connection, fact.bucket, fact.incarnation):
                learn_listed(connection, fact)
        case CachedFact():
            connection.execute(
                "INSERT OR REPLACE INTO cached VALUES (?, ?, ?, ?, ?, ?)",
                (fact.bucket, fact.key, fact.etag, fact.blob, fact.size, fact.used_ms),
            )
        case EvictedFact():
            connection.execute(
                "DELETE FROM cached WHERE bucket = ? AND key = ? AND blob = ?", (fact.bucket, fact.key, fact.blob)
            )


def _learn_bucket(connection: apsw.Connection, name: str, *, present: bool, created_ms: int, seen_ms: int) -> None:
    connection.execute(_LEARN_BUCKET, (name, present, created_ms, seen_ms))
    if not present:
        forget_listed_bucket(connection, name)


def _learn_bucket_list(connection: apsw.Connection, fact: BucketListFact) -> None:
    known = connection.execute("SELECT name FROM remote_bucket WHERE seen_ms <= ?", (fact.seen_ms,)).fetchall()
    connection.execute("DELETE FROM remote_bucket WHERE seen_ms <= ?", (fact.seen_ms,))
    for name, created_ms in fact.buckets:
        _learn_bucket(connection, name, present=True, created_ms=created_ms, seen_ms=fact.seen_ms)
    for name in {str(row[0]) for row in known} - {name for name, _ in fact.buckets}:
        forget_listed_bucket(connection, name)
    connection.execute("INSERT OR REPLACE INTO remote_bucket_list VALUES (1, ?)", (fact.seen_ms,))


def _is_of_today(connection: apsw.Connection, bucket: str, incarnation: int) -> bool:
    row = connection.execute("SELECT incarnation FROM bucket WHERE name = ?", (bucket,)).fetchone()
    return (row[0] if row is not None else 0) == incarnation


def _learn_object(connection: apsw.Connection, fact: ObjectFact) -> None:
    if not _is_of_today(connection, fact.bucket, fact.incarnation):
        return
    connection.execute(
        "INSERT OR REPLACE INTO remote_object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.bucket,
            fact.key,
            fact.present,
            fact.size,
            fact.etag,
            fact.modified_ms,
            fact.attributes.get("StorageClass", "STANDARD"),
            _encode(fact.attributes),
            fact.seen_ms,
        ),
    )
