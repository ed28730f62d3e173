"""What a journal file still has to keep, asked by ranges of sequence numbers.

The questions read what is needed, not what is there: a file of which nothing is needed costs nothing to ask about.
"""

from collections.abc import Callable

import apsw
import msgspec

from s3d.values import Replication, RowBytes
from s3d.view.damage import Asked
from s3d.view.pins import PINNED
from s3d.view.rows import PinnedRow

# Bodies in rows that have not been moved to blobs: of pending records (also of superseded ones: decision 9), of parts
# of uploads that the remote has not closed (decision 10), those that a pending copy names in another's row, and those
# of what stays local, which nobody will ever confirm.
_ROWS = """
WITH need (sequence, size, holder) AS (
  SELECT sequence, row_bytes, 0 FROM pending WHERE sequence BETWEEN ?1 AND ?2 AND row_bytes > 0
  UNION ALL
  SELECT sequence, size, sequence FROM part WHERE sequence BETWEEN ?1 AND ?2 AND extents IS NULL AND size > 0
  UNION ALL
  SELECT row, size, holder FROM row_use WHERE row BETWEEN ?1 AND ?2
), row (sequence, size, stays) AS (
  SELECT sequence, max(size), min(EXISTS (SELECT 1 FROM local_body WHERE local_body.sequence = holder)) FROM need
  WHERE NOT EXISTS (SELECT 1 FROM relocated WHERE relocated.sequence = need.sequence) GROUP BY sequence
)"""
_TOTALS = "count(*), coalesce(sum(size), 0), coalesce(sum(size * stays), 0)"
_ROW_TOTALS = f"{_ROWS} SELECT {_TOTALS} FROM row"  # noqa: S608 - our own constants
_ROW_PAGE = f"{_ROWS} SELECT sequence FROM row ORDER BY sequence LIMIT ?3"  # noqa: S608 - our own constant
_UNCARRIED = (
    "FROM pending WHERE sequence BETWEEN ?1 AND ?2"
    " AND NOT EXISTS (SELECT 1 FROM carried WHERE carried.sequence = pending.sequence)"
)


# Pinned objects without files of their own; a cached copy, where there is one, is whole.
_PINNED_ROWS = f"""{PINNED}
SELECT bucket, key, object.sequence, etag, object.size, extents, coalesce(relocated.blob, '')
FROM pinned CROSS JOIN object USING (bucket, key) LEFT JOIN relocated ON relocated.sequence = object.sequence
WHERE present AND object.size > 0 AND object.replication <> {int(Replication.LOCAL)}
  AND (extents IS NULL AND object.sequence BETWEEN ?1 AND ?2
    OR extents IS NOT NULL AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.sequence = object.sequence))
  AND NOT EXISTS (SELECT 1 FROM cached WHERE cached.bucket = object.bucket AND cached.key = object.key
    AND cached.etag = object.etag)"""  # noqa: S608 - our own words


class FileNeeds(msgspec.Struct, frozen=True):
    """Bodies in rows that must not be lost, and pending records that are nowhere else.

    `staying_bytes` are those of the bodies that only what stays local needs.
    """

    bodies: int = 0
    body_bytes: int = 0
    staying_bytes: int = 0
    records: int = 0


class Needs:
    """Reads on one connection; not to be shared between threads."""

    def __init__(self, connection: apsw.Connection, damaged: Callable[[], None] | None = None) -> None:
        self._ask = Asked(connection, damaged)

    def of_range(self, first: int, last: int) -> FileNeeds:
        """What the records from `first` to `last` are still needed for."""
        rows = self._ask.one(_ROW_TOTALS, (first, last))
        records = self._ask.one(f"SELECT count(*) {_UNCARRIED}", (first, last))
        return FileNeeds(*(int(str(one)) for one in (*(rows or ()), *(records or ()))))

    def rows(self, first: int, last: int, limit: int) -> list[int]:
        """Records from `first` to `last` whose bodies in rows must not be lost, in order."""
        return [int(sequence) for (sequence,) in self._ask.all(_ROW_PAGE, (first, last, limit))]

    def pinned_rows(self, first: int, last: int) -> list[PinnedRow]:
        """Pinned objects that lose bytes with the rows from `first` to `last`, and of which nothing is cached."""
        found = [PinnedRow(*row) for row in self._ask.all(_PINNED_ROWS, (first, last))]
        return [
            one
            for one in found
            if all(isinstance(extent, RowBytes) for extent in one.extents)
            and any(first <= extent.sequence <= last for extent in one.extents if isinstance(extent, RowBytes))
        ]

    def records(self, first: int, last: int, limit: int) -> list[int]:
        """Pending records from `first` to `last` that are in the journal only, in order."""
        found = self._ask.all(f"SELECT sequence {_UNCARRIED} ORDER BY sequence LIMIT ?3", (first, last, limit))
        return [int(sequence) for (sequence,) in found]
