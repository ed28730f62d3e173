"""The journal on SQLite: one file in WAL mode with `synchronous=FULL`, one connection that writes and checkpoints.

COMMIT is the moment of durability. Around it stand the mark (which notices a silently shortened WAL), the ballast
(which keeps a full disk usable) and our own checkpoints (bounded, off the acknowledgement path). How a journal is
opened, and why in that order, is in opening.py; readers have connections of their own, one a thread.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import apsw

from journal.backend import Identity
from journal.ballast import Ballast
from journal.disk import Disk, DiskFile, RealDisk
from journal.errors import CommitAmbiguous, DiskFull, JournalLocked
from journal.mark import Mark, MarkFile
from journal.opening import (
    DATABASE_NAME,
    FILE_NUMBER,
    Opened,
    connect_reader,
    open_or_create,
)
from journal.record import Head, Record

CHECKPOINT_WAL_BYTES = 4 * 1024 * 1024  # a checkpoint of so much holds the writer about 10 ms
CHECKPOINT_IDLE_BYTES = 256 * 1024
MARK_SYNC_SECONDS = 0.1  # the window that docs/semantics.md states
_APPEND = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "sequence, written_at, stream, kind, payload, body_digest, body_size, hash"
_READ = f"SELECT {_COLUMNS} FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608 - our own constant
_PICK = f"SELECT {_COLUMNS} FROM record WHERE sequence = ?"  # noqa: S608 - our own constant
_POSITIONS = "SELECT name, position FROM follower"


class SqliteBackend:
    """See `Backend` for the promise of each method.

    `vfs` and `exclusive` exist for the power-cut sweep: a VFS without shared memory needs exclusive locking, and then
    the writer's connection is the only one.
    """

    def __init__(
        self,
        directory: str,
        *,
        disk: Disk | None = None,
        vfs: str | None = None,
        exclusive: bool = False,
        synchronous: str = "FULL",
        mark_strict: bool = False,
        ballast_bytes: int = 32 * 1024 * 1024,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._disk: Disk = disk or RealDisk()
        self._vfs = vfs
        self._exclusive = exclusive
        self._synchronous = synchronous
        self._mark_strict = mark_strict
        self._ballast = Ballast(self._disk, directory, ballast_bytes)
        self._monotonic = monotonic
        self._path = f"{directory}/{DATABASE_NAME}"
        self._lock: DiskFile | None = None
        self._opened: Opened | None = None
        self._readers = threading.local()
        self._mark_due = 0.0
        self._wal_bytes = 0

    # opening and closing

    def open(self) -> Head:
        self._disk.make_directory(self._directory)
        self._lock = self._disk.lock(f"{self._directory}/lock")
        if self._lock is None:
            raise JournalLocked(
                f"the journal in {self._directory} is open in another process",
                hint="one daemon per data directory: stop the other one, or give this one a directory of its own",
            )
        try:
            self._opened = open_or_create(
                self._disk,
                self._directory,
                vfs=self._vfs,
                exclusive=self._exclusive,
                synchronous=self._synchronous,
                ballast=self._ballast,
            )
        except BaseException:
            self._lock.close()
            self._lock = None
            raise
        self._opened.connection.set_wal_hook(self._wal_grew)
        return self._opened.head

    @property
    def identity(self) -> Identity:
        return self._state.identity

    @property
    def checkpoint_failed(self) -> bool:
        """Whether there was no space for the checkpoint at start: reading and draining work, little else will."""
        return self._state.checkpoint_failed

    def close(self) -> None:
        if self._opened is not None:
            self._opened.mark.sync()
            self._opened.mark.close()
            self._opened.connection.close()
            self._opened = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # writing, from one thread

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        state = self._state
        self._commit(records, bodies, positions)
        if records:
            last = records[-1]
            state.head = Head(last.sequence, last.hash)
            self._write_mark(state.mark, Mark(FILE_NUMBER, state.head))

    def _commit(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        connection = self._state.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_APPEND, ((*_row(record), bodies.get(record.sequence)) for record in records))
            for name, position in positions.items():
                connection.execute("INSERT OR REPLACE INTO follower VALUES (?, ?)", (name, position))
        except apsw.Error as error:
            self._roll_back(error)
        try:
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back(error, committing=True)

    def _roll_back(self, error: apsw.Error, *, committing: bool = False) -> None:
        """Nothing of the batch may stay; SQLite has often rolled back by itself already."""
        connection = self._state.connection
        full = isinstance(error, apsw.FullError)
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except apsw.Error:
                full = False  # then nothing is known any more
        if full:
            self._ballast.release()
            raise DiskFull(
                "no space for the journal", hint="free space on the volume; reads and draining go on"
            ) from error
        moment = "COMMIT" if committing else "append"
        raise CommitAmbiguous(
            f"{moment} failed: {error}", hint="the daemon ends and reconciles at the next start; check the disk"
        ) from error

    def _write_mark(self, mark: MarkFile, content: Mark) -> None:
        try:
            if not mark.unsynced:
                self._mark_due = self._monotonic() + MARK_SYNC_SECONDS
            mark.write(content)
            if self._mark_strict:
                mark.sync()
        except OSError as error:
            raise CommitAmbiguous(f"the mark could not be written: {error}", hint="check the disk") from error

    def settle(self, *, idle: bool) -> None:
        state = self._state
        if state.mark.unsynced and (idle or self._monotonic() >= self._mark_due):
            try:
                state.mark.sync()
            except OSError as error:
                raise CommitAmbiguous(f"the mark could not be synced: {error}", hint="check the disk") from error
        if self._wal_bytes >= (CHECKPOINT_IDLE_BYTES if idle else CHECKPOINT_WAL_BYTES):
            self._checkpoint()
        if idle:
            self._ballast.restore()

    def _checkpoint(self) -> None:
        """Move the WAL into the database. Passive: readers neither wait nor make it wait."""
        try:
            self._state.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, apsw.BusyError, apsw.LockedError):
            pass  # the WAL keeps everything; the next one tries again
        except apsw.Error as error:
            raise CommitAmbiguous(f"checkpoint failed: {error}", hint="check the disk") from error
        self._wal_bytes = 0

    def _wal_grew(self, connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_bytes = pages * 4096
        return apsw.SQLITE_OK

    # reading, from any thread

    def read(self, after: int, limit: int) -> list[Record]:
        return [Record(*row) for row in self._reader().execute(_READ, (after, limit))]

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        reader = self._reader()
        return [Record(*row) for sequence in sequences for row in reader.execute(_PICK, (sequence,))]

    def body(self, sequence: int) -> bytes | None:
        row = self._reader().execute("SELECT body FROM record WHERE sequence = ?", (sequence,)).fetchone()
        return row[0] if row else None

    def positions(self) -> dict[str, int]:
        return {str(name): int(position) for name, position in self._reader().execute(_POSITIONS)}

    def _reader(self) -> apsw.Connection:
        if self._exclusive:
            return self._state.connection
        connection: apsw.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = connect_reader(self._path)
        return connection

    @property
    def _state(self) -> Opened:
        assert self._opened is not None, "the journal is not open"
        return self._opened


def _row(record: Record) -> tuple[int, int, str, str, bytes, bytes, int, bytes]:
    return (
        record.sequence,
        record.written_at,
        record.stream,
        record.kind,
        record.payload,
        record.body_digest,
        record.body_size,
        record.hash,
    )
