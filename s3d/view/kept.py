"""Which blobs the records need at a position: what a copy of the data directory must have.

Asked of a view that nobody writes, on one connection. Blobs of objects that the remote has are told apart: they are
here to be read without the link, and can be fetched again.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import apsw

from s3d.values import Replication

_FETCHABLE = f"SELECT sequence FROM object WHERE replication = {int(Replication.COMPLETED)}"  # noqa: S608 - a number
_BLOBS = f"""
SELECT blob, min(fetchable) FROM (
  SELECT blob, sequence IN ({_FETCHABLE}) AND NOT EXISTS (
    SELECT 1 FROM pending WHERE pending.sequence = blob_use.sequence) AS fetchable FROM blob_use
  UNION ALL SELECT blob, 0 FROM relocated
) GROUP BY blob ORDER BY blob"""  # noqa: S608 - our own constant
_OBJECTS = f"""
SELECT bucket, key, object.sequence, blob FROM object JOIN blob_use ON blob_use.sequence = object.sequence
WHERE present AND replication = {int(Replication.COMPLETED)} ORDER BY bucket, key"""  # noqa: S608 - a number
_OWNERS = """
SELECT object.bucket, object.key, object.sequence FROM blob_use JOIN object ON object.sequence = blob_use.sequence
WHERE blob = ?1
UNION SELECT pending.bucket, pending.key, pending.sequence FROM blob_use JOIN pending USING (sequence) WHERE blob = ?1
UNION SELECT object.bucket, object.key, object.sequence
FROM relocated JOIN object ON object.sequence = relocated.sequence
WHERE blob = ?1
UNION SELECT pending.bucket, pending.key, pending.sequence FROM relocated JOIN pending USING (sequence) WHERE blob = ?1
ORDER BY 3"""


class KeptBlob(NamedTuple):
    """A blob that records need; `fetchable`: only objects that the remote has."""

    blob: str
    fetchable: bool


class KeptObject(NamedTuple):
    """An object that the remote has, and the blobs here with its bytes."""

    bucket: str
    key: str
    sequence: int
    blobs: tuple[str, ...]


def kept_blobs(connection: apsw.Connection) -> Iterator[KeptBlob]:
    """Every blob, in the order of their ids."""
    for blob, fetchable in connection.execute(_BLOBS):
        yield KeptBlob(str(blob), bool(fetchable))


def fetchable_objects(connection: apsw.Connection) -> Iterator[KeptObject]:
    """Every object that the remote has, and of which blobs are here, in the order of their keys."""
    for (bucket, key, sequence), group in groupby(connection.execute(_OBJECTS), lambda row: row[:3]):
        yield KeptObject(str(bucket), str(key), int(str(sequence)), tuple(str(row[3]) for row in group))


def owners(connection: apsw.Connection, blob: str) -> list[tuple[str, str, int]]:
    """Whose bytes are in a blob: bucket, key and record."""
    return [(str(bucket), str(key), int(str(number))) for bucket, key, number in connection.execute(_OWNERS, (blob,))]
