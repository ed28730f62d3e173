"""Checkpoints of the audit: the fold of their records, and what whoever signs and anchors them asks.

The next one names the one before it, and those that are not at the remote yet have to go there in order, also after a
restart that found the view lost.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import apsw

from journal import Record
from s3d.events import ANCHORED, CHECKPOINT, decode_anchored
from s3d.view.questions import Connection

WAITING_MAX = 10_000  # three months of one every quarter of an hour; the newest count, each vouches for all before it
_COLUMNS = "SELECT sequence, payload, anchored FROM checkpoint"
_FORGET_ANCHORED = """
DELETE FROM checkpoint WHERE anchored AND sequence < (SELECT max(sequence) FROM checkpoint WHERE anchored)"""
_FORGET_TOO_MANY = """
DELETE FROM checkpoint WHERE NOT anchored
  AND sequence <= (SELECT sequence FROM checkpoint ORDER BY sequence DESC LIMIT 1 OFFSET ?)"""


class CheckpointRow(NamedTuple):
    """A checkpoint's record, and whether it lies at the remote."""

    sequence: int
    payload: bytes
    anchored: bool


def last_checkpoint(connection: Connection) -> CheckpointRow | None:
    """The newest one."""
    return _first(connection.execute(f"{_COLUMNS} ORDER BY sequence DESC LIMIT 1"))


def last_anchored(connection: Connection) -> CheckpointRow | None:
    """The newest one that lies at the remote."""
    return _first(connection.execute(f"{_COLUMNS} WHERE anchored ORDER BY sequence DESC LIMIT 1"))


def waiting_checkpoints(connection: Connection, limit: int) -> Sequence[CheckpointRow]:
    """Those that do not lie at the remote, oldest first."""
    rows = connection.execute(f"{_COLUMNS} WHERE NOT anchored ORDER BY sequence LIMIT ?", (limit,))
    return [CheckpointRow(*row) for row in rows]


def count_waiting(connection: Connection) -> int:
    """How many do not."""
    return int(next(iter(connection.execute("SELECT count(*) FROM checkpoint WHERE NOT anchored")))[0])


def _first(rows: "apsw.Cursor") -> CheckpointRow | None:
    row = rows.fetchone()
    return CheckpointRow(row[0], row[1], bool(row[2])) if row is not None else None


def _signed(connection: apsw.Connection, record: Record) -> None:
    connection.execute("INSERT INTO checkpoint VALUES (?, ?, 0)", (record.sequence, record.payload))
    connection.execute(_FORGET_TOO_MANY, (WAITING_MAX,))


def _anchored(connection: apsw.Connection, record: Record) -> None:
    places = [(one.sequence,) for one in decode_anchored(record.payload).anchors]
    connection.executemany("UPDATE checkpoint SET anchored = 1 WHERE sequence = ?", places)
    connection.execute(_FORGET_ANCHORED)


CHECKPOINTING: Mapping[str, Callable[[apsw.Connection, Record], None]] = {CHECKPOINT: _signed, ANCHORED: _anchored}
"""The fold of each of their kinds."""
