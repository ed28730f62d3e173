"""What the remote said, as values; the writer's thread puts them into the view.

A fact says when it was learned. It never changes what was written here: facts and folded tables are kept apart, and a
read puts them together.
"""

from typing import Any

import apsw
import msgspec

from s3d.view.listed import ListedFact, forget_listed_bucket, learn_listed
from s3d.view.pins import IS_PINNED


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
    """Bytes of a remote object with this ETag, `length` of them from `start`, are all that a blob here holds."""

    bucket: str
    key: str
    etag: str
    size: int
    start: int
    length: int
    blob: str
    used_ms: int


class UsedFact(msgspec.Struct, frozen=True):
    """When cached objects were last asked for: (bucket, key, milliseconds)."""

    uses: tuple[tuple[str, str, int], ...]


class EvictedFact(msgspec.Struct, frozen=True):
    """What is cached of an object with this ETag is to be let go; not if it `spares_pins` and the object has one."""

    bucket: str
    key: str
    etag: str
    spares_pins: bool = False


Fact = BucketFact | BucketListFact | ObjectFact | ListedFact | CachedFact | UsedFact | EvictedFact
_LEARN_BUCKET = """
INSERT INTO remote_bucket VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET present = ?2, created_ms = ?3, seen_ms = ?4 WHERE seen_ms <= ?4"""
_USE = "UPDATE cached SET used_ms = max(used_ms, ?3) WHERE bucket = ?1 AND key = ?2"
_CACHE = (
    f"INSERT INTO cached VALUES (?1, ?2, ?3, ?4, ?5, {IS_PINNED})"  # noqa: S608 - our own words
    " ON CONFLICT DO UPDATE SET used_ms = max(used_ms, ?5)"
)
_EVICT = "DELETE FROM cached WHERE bucket = ? AND key = ? AND etag = ? AND NOT (? AND pinned)"
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
            _learn_cached(connection, fact)
        case UsedFact():
            connection.executemany(_USE, fact.uses)
        case EvictedFact():
            connection.execute(_EVICT, (fact.bucket, fact.key, fact.etag, fact.spares_pins))


def _learn_cached(connection: apsw.Connection, fact: CachedFact) -> None:
    """A piece of another version drops what was there; one that overlaps what is there is not needed."""
    name = fact.bucket, fact.key
    connection.execute(
        "DELETE FROM cached WHERE bucket = ? AND key = ? AND (etag <> ? OR size <> ?)", (*name, fact.etag, fact.size)
    )
    connection.execute(_CACHE, (*name, fact.etag, fact.size, fact.used_ms))
    connection.execute(
        "INSERT INTO cached_piece SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM cached_piece"
        " WHERE bucket = ?1 AND key = ?2 AND start < ?3 + ?4 AND start + length > ?3)",
        (*name, fact.start, fact.length, fact.blob),
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
