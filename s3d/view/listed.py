"""What the remote's listings said: stretches of a bucket's keys that are completely known, each as old as its question.

A page that a client was given is remembered as the stretch from where it was asked for to its last key. Stretches never
overlap: a newer answer replaces what it covers of older ones, which keep their rest. They are bounded in number of
keys; the oldest go first. What happened here since is not written into them: a read lays it over them, by its time.
"""

from typing import cast

import apsw
import msgspec

from s3d.view.rows import ListedObject

_OVERLAPPING = """
SELECT first, end, keys, seen_ms FROM listed_range
WHERE bucket = ?1 AND (?3 IS NULL OR first < ?3) AND (end IS NULL OR end > ?2)
  AND first >= coalesce((SELECT max(first) FROM listed_range WHERE bucket = ?1 AND first <= ?2), ?2)"""
_WITHIN = "FROM listed WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)"
_Stretch = tuple[str, str | None, int, int]


class ListedFact(msgspec.Struct, frozen=True):
    """All keys of a bucket from `first` on and below `end` (None: to the last one), as one answer listed them.

    `incarnation` is that of the bucket when it was asked. `rows_max` is how many keys and stretches may be remembered.
    """

    bucket: str
    first: str
    end: str | None
    objects: list[ListedObject]
    seen_ms: int
    incarnation: int
    rows_max: int


def learn_listed(connection: apsw.Connection, fact: ListedFact) -> None:
    """Remember a stretch, inside the caller's transaction; nothing, where a part of it was seen later already."""
    span = fact.bucket, fact.first, fact.end
    overlapping = cast("list[_Stretch]", connection.execute(_OVERLAPPING, span).fetchall())
    if any(seen_ms > fact.seen_ms for _, _, _, seen_ms in overlapping):
        return
    if [one[:2] for one in overlapping] == [span[1:]] and _is_same(connection, fact):
        connection.execute(
            "UPDATE listed_range SET seen_ms = ?3 WHERE bucket = ?1 AND first = ?2", (*span[:2], fact.seen_ms)
        )
        return
    connection.execute(f"DELETE {_WITHIN}", span)
    for stretch in overlapping:
        _cut(connection, fact.bucket, stretch, fact.first, fact.end)
    connection.executemany(
        "INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?)",
        [(fact.bucket, one.key, one.size, one.etag, one.modified_ms, one.storage_class) for one in fact.objects],
    )
    _add(connection, fact.bucket, fact.first, fact.end, len(fact.objects), fact.seen_ms)
    _forget_oldest(connection, fact.rows_max)


def forget_listed_key(connection: apsw.Connection, bucket: str, key: str) -> None:
    """Nothing is known of this key any more; what is known of its neighbours stays."""
    end = key + "\0"
    connection.execute(f"DELETE {_WITHIN}", (bucket, key, end))
    for stretch in connection.execute(_OVERLAPPING, (bucket, key, end)).fetchall():
        _cut(connection, bucket, cast("_Stretch", stretch), key, end)


def forget_listed_bucket(connection: apsw.Connection, bucket: str) -> None:
    """Nothing is known of the keys of this bucket any more."""
    connection.execute("DELETE FROM listed_range WHERE bucket = ?", (bucket,))
    connection.execute("DELETE FROM listed WHERE bucket = ?", (bucket,))


def _is_same(connection: apsw.Connection, fact: ListedFact) -> bool:
    """Whether the answer is what is known already: then a client that lists again and again costs one row."""
    known = connection.execute(
        f"SELECT key, size, etag, modified_ms, storage_class {_WITHIN} ORDER BY key",
        (fact.bucket, fact.first, fact.end),
    ).fetchall()
    return known == [(one.key, one.size, one.etag, one.modified_ms, one.storage_class) for one in fact.objects]


def _cut(connection: apsw.Connection, bucket: str, stretch: _Stretch, first: str, end: str | None) -> None:
    """Take from `first` to `end` out of a stretch, whose keys in there are gone already."""
    old_first, old_end, _, seen_ms = stretch
    connection.execute("DELETE FROM listed_range WHERE bucket = ? AND first = ?", (bucket, old_first))
    if old_first < first:
        _add(connection, bucket, old_first, first, _count(connection, bucket, old_first, first), seen_ms)
    if end is not None and (old_end is None or end < old_end):
        _add(connection, bucket, end, old_end, _count(connection, bucket, end, old_end), seen_ms)


def _add(connection: apsw.Connection, bucket: str, first: str, end: str | None, keys: int, seen_ms: int) -> None:
    connection.execute("INSERT INTO listed_range VALUES (?, ?, ?, ?, ?)", (bucket, first, end, keys, seen_ms))


def _count(connection: apsw.Connection, bucket: str, first: str, end: str | None) -> int:
    row = connection.execute(f"SELECT count(*) {_WITHIN}", (bucket, first, end)).fetchone()
    return int(row[0]) if row is not None else 0


def _forget_oldest(connection: apsw.Connection, rows_max: int) -> None:
    while (row := connection.execute("SELECT rows FROM listed_total").fetchone()) is not None and row[0] > rows_max:
        oldest = connection.execute("SELECT bucket, first, end FROM listed_range ORDER BY seen_ms LIMIT 1").fetchone()
        assert oldest is not None, "what is counted is there"
        connection.execute(f"DELETE {_WITHIN}", oldest)
        connection.execute("DELETE FROM listed_range WHERE bucket = ? AND first = ?", oldest[:2])
