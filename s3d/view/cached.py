"""What is here of what the remote has as well: cached pieces of its objects, and files of objects written here.

These questions read all rows that they are about, so they are asked on a thread with a connection of its own.
"""

from collections.abc import Callable, Sequence

import apsw

from s3d.view.damage import Asked
from s3d.view.pins import IS_PINNED, PINNED, bounds
from s3d.view.rows import CachedObject, HeldTotals, PinRow, WrittenObject

# Files of their own that could be let go of: of what is pending nothing could.
_IN_FILES = (
    "replication = 1 AND present AND extents IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM blob_use WHERE blob_use.sequence = object.sequence)"
)
_PINNED_WRITTEN = (
    f"{PINNED} SELECT coalesce(sum(size), 0) FROM pinned CROSS JOIN object USING (bucket, key) WHERE {_IN_FILES}"  # noqa: S608 - our own words
)
_OBJECT_IS_PINNED = IS_PINNED.replace("?1", "object.bucket").replace("?2", "object.key")
_LET_GO_FIRST = (
    f"SELECT bucket, key, sequence, size FROM object WHERE {_IN_FILES} AND {_OBJECT_IS_PINNED} = ?"  # noqa: S608
    " ORDER BY confirmed_ms, sequence LIMIT ?"
)
_BUCKETS = "SELECT bucket FROM cached UNION SELECT name FROM bucket UNION SELECT bucket FROM pin ORDER BY 1"
_UNDER = "bucket = ? AND key >= ? AND key < ?"
_CACHED_UNDER = (
    f"SELECT count(*), coalesce(sum(length), 0), count(DISTINCT key), coalesce(sum(length * pinned), 0), min(used_ms)"  # noqa: S608
    f" FROM cached JOIN cached_piece USING (bucket, key) WHERE {_UNDER}"
)
_WRITTEN_UNDER = (
    f"SELECT count(*), coalesce(sum(size), 0), coalesce(sum(size * {_OBJECT_IS_PINNED}), 0)"  # noqa: S608
    f" FROM object WHERE {_UNDER} AND {_IN_FILES}"
)
_CACHED_PAGE = (
    "SELECT key, etag, pinned, (SELECT coalesce(sum(length), 0) FROM cached_piece AS piece"  # noqa: S608
    " WHERE piece.bucket = cached.bucket AND piece.key = cached.key)"
    f" FROM cached WHERE {_UNDER} AND key > ? ORDER BY key LIMIT ?"
)
_WRITTEN_PAGE = (
    f"SELECT key, sequence, size, replication, {_OBJECT_IS_PINNED}, {_IN_FILES} FROM object"  # noqa: S608
    f" WHERE {_UNDER} AND key > ? AND present AND size > 0 ORDER BY key LIMIT ?"
)


class CachedQuestions:
    """Reads on one connection; not to be shared between threads. Each raises ViewDamaged, and tells `damaged` first."""

    def __init__(self, connection: apsw.Connection, damaged: Callable[[], None] | None = None) -> None:
        self._ask = Asked(connection, damaged)

    def has_pins(self) -> bool:
        """Whether anything is pinned at all."""
        row = self._ask.one("SELECT EXISTS (SELECT 1 FROM pin) OR EXISTS (SELECT 1 FROM tag_pin)")
        return row is not None and bool(row[0])

    def pinned_bytes(self) -> int:
        """What could be let go of, were it not pinned. Reads all pinned objects."""
        if not self.has_pins():
            return 0
        cached = self._ask.one("SELECT pinned_bytes FROM cached_total")
        written = self._ask.one(_PINNED_WRITTEN)
        return (int(cached[0]) if cached else 0) + (int(written[0]) if written else 0)

    def let_go_first(self, limit: int, *, pinned: bool = False) -> list[tuple[str, str, int, int]]:
        """Objects in files of their own that the remote has, the longest confirmed first: bucket, key, sequence, size.

        Either those that are pinned or the others. Reads the whole table of objects.
        """
        return [
            (str(row[0]), str(row[1]), int(row[2]), int(row[3]))
            for row in self._ask.all(_LET_GO_FIRST, (pinned, limit))
        ]

    def buckets(self) -> list[str]:
        """Every bucket of which something may be here, or pinned."""
        return [str(row[0]) for row in self._ask.all(_BUCKETS)]

    def under(self, bucket: str, prefix: str) -> HeldTotals:
        """What is here under a prefix that could be let go of, pins aside."""
        span = bucket, *bounds(prefix)
        cached = self._ask.one(_CACHED_UNDER, span)
        written = self._ask.one(_WRITTEN_UNDER, span)
        assert cached is not None and written is not None, "aggregates always have a row"  # noqa: PT018
        return HeldTotals(
            pieces=cached[0],
            cached_bytes=cached[1],
            cached_objects=cached[2],
            written_objects=written[0],
            written_bytes=written[1],
            pinned_bytes=cached[3] + written[2],
            oldest_ms=cached[4] or 0,
        )

    def cached_from(self, bucket: str, prefix: str, after: str, limit: int) -> list[CachedObject]:
        """Cached objects under a prefix, behind a key, in key order."""
        return [CachedObject(*row) for row in self._ask.all(_CACHED_PAGE, (bucket, *bounds(prefix), after, limit))]

    def written_from(self, bucket: str, prefix: str, after: str, limit: int) -> list[WrittenObject]:
        """Objects with bytes that were written here, under a prefix, behind a key, in key order."""
        return [WrittenObject(*row) for row in self._ask.all(_WRITTEN_PAGE, (bucket, *bounds(prefix), after, limit))]

    def pins(self) -> Sequence[PinRow]:
        """Every pinned prefix, in order."""
        rows = self._ask.all("SELECT bucket, prefix, sequence, at_ms, caller, reason FROM pin ORDER BY bucket, prefix")
        return [PinRow(*row) for row in rows]

    def tagged(self) -> int:
        """How many objects are pinned by their tag."""
        row = self._ask.one("SELECT count(*) FROM tag_pin")
        return int(row[0]) if row is not None else 0
