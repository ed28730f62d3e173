"""What lies beside an object's own row, and goes when the object is written over or deleted.

Mostly there is nothing: then nothing is looked for there, which saves statements for each object that is written (PUT
4 KiB in `scripts/bench`).
"""

from collections.abc import Sequence

import apsw

from journal import Record
from s3d.events import DISCARDED

SETS_TAGS = frozenset({"PutObjectTagging", "DeleteObjectTagging"})
_TABLES = ("remote_object", "changed_tags", "tag_pin", "cached")
_DELETES = tuple(f"DELETE FROM {table} WHERE bucket = ? AND key = ?" for table in _TABLES)  # noqa: S608 - our own names
_ARE_THERE = f"SELECT {', '.join(f'EXISTS (SELECT 1 FROM {table})' for table in _TABLES)}"  # noqa: S608 - our own names
_PUTTING = SETS_TAGS | {DISCARDED}  # what is given up may leave an object of before, with its tags


class Beside:
    """The tables are asked once, until `forget`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._deletes: tuple[str, ...] | None = None

    def forget(self) -> None:
        """Something may have been put there: look again."""
        self._deletes = None

    def folded(self, record: Record) -> None:
        """A record has been folded: some kinds put something there, and so do tags that pin an object."""
        if record.kind in _PUTTING or b'"Tagging"' in record.payload:
            self._deletes = None

    def clear(self, bucket: str, key: str) -> None:
        """Delete what lies beside this object."""
        if self._deletes is None:
            self._deletes = self._needed()
        for delete in self._deletes:
            self._connection.execute(delete, (bucket, key))

    def clear_all(self, objects: Sequence[tuple[str, str]]) -> None:
        """Delete what lies beside these objects: buckets and keys."""
        if self._deletes is None:
            self._deletes = self._needed()
        for delete in self._deletes:
            self._connection.executemany(delete, objects)

    def _needed(self) -> tuple[str, ...]:
        found = self._connection.execute(_ARE_THERE).fetchone() or (1,) * len(_TABLES)
        return tuple(delete for delete, there in zip(_DELETES, found, strict=True) if there)
