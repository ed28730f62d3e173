"""Pins: what is here of an object is not recycled, because an operator has said so of its prefix, or a tag of itself.

Both are folded from records. Which cached objects are pinned is kept along beside them, so that looking for the least
recently used one costs the same however many are pinned.
"""

from urllib.parse import parse_qsl

import apsw

from journal import Record
from s3d.events import decode_cache_pinned, decode_cache_unpinned
from s3d.values import behind_prefix

TAG = ("s3d.cache", "pin")
_NO_END = b""  # instead of a key: SQLite sorts every blob behind every text

IS_PINNED = """(
  EXISTS (SELECT 1 FROM tag_pin WHERE tag_pin.bucket = ?1 AND tag_pin.key = ?2)
  OR EXISTS (SELECT 1 FROM pin WHERE pin.bucket = ?1 AND ?2 >= pin.prefix AND ?2 < ifnull(pin.behind, x''))
)"""
"""Whether the object ?1, ?2 is pinned, as an expression."""
PINNED = """
WITH pinned (bucket, key) AS (
  SELECT object.bucket, object.key FROM pin CROSS JOIN object ON object.bucket = pin.bucket
    AND object.key >= pin.prefix AND object.key < ifnull(pin.behind, x'')
  UNION SELECT bucket, key FROM tag_pin
)"""
"""Objects that were written here and are pinned, whichever way, once each (those with a tag even if they were not)."""
_IS_CACHED_PINNED = IS_PINNED.replace("?1", "cached.bucket").replace("?2", "cached.key")
_PIN = "INSERT OR REPLACE INTO pin VALUES (?, ?, ?, ?, ?, ?, ?)"
_UNDER = "WHERE bucket = ? AND key >= ? AND key < ?"
_SETTLE = f"UPDATE cached SET pinned = {_IS_CACHED_PINNED}"  # noqa: S608 - our own words


def pin_prefix(connection: apsw.Connection, record: Record) -> None:
    """CachePinned."""
    pinned = decode_cache_pinned(record.payload)
    behind = behind_prefix(pinned.prefix)
    who = record.sequence, record.written_at, pinned.caller, pinned.reason
    connection.execute(_PIN, (pinned.bucket, pinned.prefix, behind, *who))
    connection.execute(f"UPDATE cached SET pinned = 1 {_UNDER}", (pinned.bucket, *bounds(pinned.prefix)))  # noqa: S608


def unpin_prefix(connection: apsw.Connection, record: Record) -> None:
    """CacheUnpinned. What another pin or a tag holds as well stays pinned."""
    unpinned = decode_cache_unpinned(record.payload)
    connection.execute("DELETE FROM pin WHERE bucket = ? AND prefix = ?", (unpinned.bucket, unpinned.prefix))
    connection.execute(f"{_SETTLE} {_UNDER}", (unpinned.bucket, *bounds(unpinned.prefix)))


def settle_tag(connection: apsw.Connection, bucket: str, key: str, tagging: str, sequence: int) -> None:
    """The record at `sequence` gave an object these tags, and no others (as x-amz-tagging writes them)."""
    if has_pin(tagging):
        connection.execute("INSERT OR REPLACE INTO tag_pin VALUES (?, ?, ?)", (bucket, key, sequence))
    else:
        connection.execute("DELETE FROM tag_pin WHERE bucket = ? AND key = ?", (bucket, key))
    connection.execute(f"{_SETTLE} WHERE bucket = ? AND key = ?", (bucket, key))


def forget_tag(connection: apsw.Connection, bucket: str, key: str, sequence: int) -> None:
    """The record at `sequence` was given up: so is the pin that its tags made."""
    connection.execute("DELETE FROM tag_pin WHERE bucket = ? AND key = ? AND sequence = ?", (bucket, key, sequence))
    if connection.changes():
        connection.execute(f"{_SETTLE} WHERE bucket = ? AND key = ?", (bucket, key))


def has_pin(tagging: str) -> bool:
    """Whether tags, as x-amz-tagging writes them, pin their object."""
    return ("cache" in tagging or "%" in tagging) and TAG in parse_qsl(tagging, keep_blank_values=True)


def bounds(prefix: str) -> tuple[str, str | bytes]:
    """For `key >= ? AND key < ?`: the keys that begin with it."""
    behind = behind_prefix(prefix)
    return prefix, _NO_END if behind is None else behind
