"""The fold of thousands of records at once: what they come to is gathered in memory, and only that is written.

The tables are what `projection.fold` makes of the same records one after another, row for row. An object that is
written many times is written once; a record that is confirmed among them is never written as pending. That holds for
objects written and deleted, and for confirmations, which are nearly all that a journal has. Any other record is
folded by itself: what was gathered is written before it, unless its tables are its own.

Nothing may be read from the tables in between. Rows that other rows need (blobs, bodies in the journal) are let go of
when all is written, which comes to the same: what is needed last is also asked for last.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import apsw
import msgspec

from journal import Record
from s3d.capacity.local import Staying
from s3d.capacity.pending import Backlog
from s3d.events import (
    ANCHORED,
    CARRIED,
    CHECKPOINT,
    CONFIRMED,
    FILES_NOTED,
    FOR_AUDITORS,
    GAPS_LOOKED,
    PAUSED,
    SHARED,
    UNPAUSED,
    Confirmation,
    decode_confirmed,
)
from s3d.values import BlobBytes, split_stream, stream_of
from s3d.view.beside import Beside
from s3d.view.confirming import CONFIRM_OBJECT, SENDING, confirm_kind
from s3d.view.losses import LOSS_KINDS
from s3d.view.projection import fold, remember
from s3d.view.sent import count_sent, month_of
from s3d.view.upload_projection import drop_rows
from s3d.view.written import PUT_OBJECT, PUT_PENDING, Row, blob_rows, decode_written, object_row, pending_row

_ALONE = frozenset(
    (*FOR_AUDITORS, *LOSS_KINDS, PAUSED, UNPAUSED, GAPS_LOOKED, CHECKPOINT, ANCHORED, SHARED, FILES_NOTED)
)
_OBJECTS = frozenset({"PutObject", "CopyObject", "DeleteObject"})
_LISTED = "(SELECT value FROM json_each(?))"
_OF_PENDING = f"""
SELECT sequence, kind, bucket, key, size, supersedes FROM pending WHERE sequence IN {_LISTED}"""  # noqa: S608 - our own
_SETTLE = f"DELETE FROM pending WHERE sequence IN {_LISTED}"  # noqa: S608 - our own constant
_ARE_THERE = """
SELECT EXISTS (SELECT 1 FROM blob_use), EXISTS (SELECT 1 FROM row_use) OR EXISTS (SELECT 1 FROM relocated),
  EXISTS (SELECT 1 FROM carried)"""
_USE_BLOB = "INSERT OR IGNORE INTO blob_use VALUES (?, ?)"
_DROP_USES = f"""
DELETE FROM blob_use WHERE sequence IN {_LISTED}
  AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.sequence = blob_use.sequence)"""  # noqa: S608 - our own constant
_WITH_ROWS = """
SELECT holder FROM row_use WHERE holder IN (SELECT value FROM json_each(?1))
UNION SELECT sequence FROM relocated WHERE sequence IN (SELECT value FROM json_each(?1))"""
_DROP_CARRIED = f"DELETE FROM carried WHERE sequence IN {_LISTED}"  # noqa: S608 - our own constant
_encode = msgspec.json.Encoder().encode


def fold_all(
    connection: apsw.Connection, records: Sequence[Record], beside: Beside, add: Callable[[Backlog | Staying], None]
) -> None:
    """Apply records, in order, inside the caller's transaction; `add` is told what `projection.fold` would answer."""
    gathered = _Gathered(connection, beside)
    takes = {"PutObject": gathered.put, "DeleteObject": gathered.put, CONFIRMED: gathered.confirm}
    for record in records:
        take = takes.get(record.kind)
        if take is not None and take(record):
            continue
        if record.kind == CARRIED:
            gathered.carry()
        elif record.kind not in _ALONE:
            gathered.write()
        add(fold(connection, record, beside))
        beside.folded(record)
    gathered.write()
    add(gathered.came)
    add(Backlog(-gathered.went.records, -gathered.went.size_bytes))


class _Gathered:
    """What is not written yet."""

    def __init__(self, connection: apsw.Connection, beside: Beside) -> None:
        self._connection = connection
        self._beside = beside
        self.came = self.went = Backlog()  # in and out of `pending`, counted
        self._clear()

    def _clear(self) -> None:
        self._since = sys.maxsize  # the first object in here: nothing later is in the tables
        self._objects: dict[str, Row] = {}  # by stream, the last of each
        self._pending: dict[int, Row] = {}
        self._blobs: dict[int, Row] = {}  # those that need some
        self._confirmed: list[tuple[str, str, int, str, str, int]] = []  # objects in the table
        self._settled: list[int] = []  # records of which something may be in the tables
        self._replaced: list[int] = []  # the same
        self._sent: dict[tuple[str, str], int] = {}  # by remote and month
        self._carries = False

    def put(self, record: Record) -> bool:
        """Take in an object that was written, or deleted; False: it takes more than this, and nothing was done."""
        payload = record.payload
        if b'"Tagging"' in payload or b'"stays_local"' in payload:
            return False
        written = decode_written(payload)
        if written.extents and not all(isinstance(extent, BlobBytes) for extent in written.extents):
            return False
        sequence, stream, modified_ms = record.sequence, record.stream, record.written_at
        if not self._objects:
            self._since = sequence
        before = self._objects.get(stream)
        if before is not None and before.modified_ms > modified_ms:
            modified_ms = before.modified_ms
        row = Row(record, written, modified_ms)
        self._objects[stream] = self._pending[sequence] = row
        if written.extents and record.kind == "PutObject":
            self._blobs[sequence] = row
        if written.replaces:
            self._replace(written.replaces)
        if written.taken is not None:
            remember(self._connection, written.taken, written.etag)
        return True

    def _replace(self, sequence: int) -> None:
        """It lets go of its blobs if it is confirmed; otherwise its confirmation does that."""
        if sequence < self._since:
            self._replaced.append(sequence)
        elif sequence not in self._pending:
            self._blobs.pop(sequence, None)

    def carry(self) -> None:
        """Some of what is in here is about to be carried; what is confirmed from now on ceases to be."""
        if self._settled:
            self.write()
        self._carries = True

    def confirm(self, record: Record) -> bool:
        """Take in confirmations, of what is in here and of what is in the tables; False: not these."""
        confirmed, since, at_ms = decode_confirmed(record.payload), self._since, record.written_at
        earlier: dict[int, Confirmation] = {}
        for confirmation in confirmed.confirmations:
            if confirmation.sequence < since:
                earlier.setdefault(confirmation.sequence, confirmation)
        sent_bytes = 0
        if earlier:
            found = self._confirm_earlier(earlier, at_ms)
            if found is None:
                return False
            sent_bytes = found
        if len(earlier) < len(confirmed.confirmations):
            sent_bytes += self._confirm_gathered(confirmed.confirmations, at_ms)
        if sent_bytes:
            where = confirmed.remote, month_of(at_ms)
            self._sent[where] = self._sent.get(where, 0) + sent_bytes
        return True

    def _confirm_gathered(self, confirmations: Iterable[Confirmation], at_ms: int) -> int:
        """Those of what is in here; the bytes of body that went to the remote for it."""
        records = size_bytes = sent_bytes = 0
        for confirmation in confirmations:
            if self._carries:
                self._settled.append(confirmation.sequence)
            row = self._pending.pop(confirmation.sequence, None)
            if row is None:
                continue
            records += 1
            size_bytes += row.written.size
            if row.record.kind in SENDING or confirmation.uploaded:
                sent_bytes += row.written.size
            if self._objects[row.record.stream] is row:
                row.confirmation, row.confirmed_ms = confirmation, at_ms
            else:
                self._blobs.pop(confirmation.sequence, None)
        self.came = self.came.plus(Backlog(records, size_bytes))
        self.went = self.went.plus(Backlog(records, size_bytes))
        return sent_bytes

    def _confirm_earlier(self, confirmations: dict[int, Confirmation], at_ms: int) -> int | None:
        """Those of what is in the tables; None, and nothing done, where others were superseded by one of them."""
        listed = (_encode(list(confirmations)).decode(),)
        rows = cast(
            "list[tuple[int, str, str, str, int, int]]", self._connection.execute(_OF_PENDING, listed).fetchall()
        )
        if any(supersedes for *_, supersedes in rows):
            return None
        self._connection.execute(_SETTLE, listed)
        size_bytes = sent_bytes = 0
        for sequence, kind, bucket, key, size, _ in rows:
            confirmation = confirmations[sequence]
            size_bytes += size
            if kind in SENDING or confirmation.uploaded:
                sent_bytes += size
            if kind not in _OBJECTS and not confirm_kind(self._connection, confirmation, kind, bucket, key, at_ms):
                continue
            if stream_of(bucket, key) in self._objects:
                self._replaced.append(sequence)
            else:
                self._confirmed.append((confirmation.etag, confirmation.version_id, at_ms, bucket, key, sequence))
        self._settled += confirmations
        self.went = self.went.plus(Backlog(len(rows), size_bytes))
        return sent_bytes

    def write(self) -> None:
        """Write everything."""
        if self._objects or self._settled:
            has_blobs, has_rows, has_carried = self._connection.execute(_ARE_THERE).fetchone() or (1, 1, 1)
            self._confirm_objects(has_blobs=bool(has_blobs))
            self._write_objects()
            self._let_go(has_blobs=bool(has_blobs), has_rows=bool(has_rows), has_carried=bool(has_carried))
            for (remote, month), size_bytes in self._sent.items():
                count_sent(self._connection, remote, month, size_bytes)
            self._clear()

    def _confirm_objects(self, *, has_blobs: bool) -> None:
        """Before others go over them. What is not current any more when it is confirmed, nothing will read again."""
        if not has_blobs:
            self._connection.executemany(CONFIRM_OBJECT, self._confirmed)
            return
        for row in self._confirmed:
            self._connection.execute(CONFIRM_OBJECT, row)
            if self._connection.changes() == 0:
                self._replaced.append(row[-1])

    def _write_objects(self) -> None:
        connection, pending = self._connection, self._pending.values()
        self.came = self.came.plus(Backlog(len(pending), sum(row.written.size for row in pending)))
        ordered = sorted(self._objects)  # so that a page is met once
        self._beside.clear_all([split_stream(stream) for stream in ordered])
        connection.executemany(PUT_OBJECT, (object_row(stream, self._objects[stream]) for stream in ordered))
        connection.executemany(PUT_PENDING, map(pending_row, pending))
        connection.executemany(_USE_BLOB, blob_rows(self._blobs))

    def _let_go(self, *, has_blobs: bool, has_rows: bool, has_carried: bool) -> None:
        connection = self._connection
        if has_blobs and self._replaced:
            connection.execute(_DROP_USES, (_encode(self._replaced).decode(),))
        if has_rows:
            listed = (_encode(self._replaced + self._settled).decode(),)
            for (holder,) in connection.execute(_WITH_ROWS, listed).fetchall():
                drop_rows(connection, int(str(holder)))
        if has_carried:
            connection.execute(_DROP_CARRIED, (_encode(self._settled).decode(),))
