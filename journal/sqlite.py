"""The journal on SQLite: one file in WAL mode with `synchronous=FULL`, one connection that writes and checkpoints.

COMMIT is the moment of durability. Around it stand the mark (which notices a silently shortened WAL), the ballast
(which keeps a full disk usable) and our own checkpoints (bounded, off the acknowledgement path). How a journal is
opened, and why in that order, is in opening.py; readers have connections of their own, one a thread.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn
from uuid import uuid4

import apsw

from journal.backend import Identity
from journal.ballast import Ballast
from journal.database import PAGE_SIZE_BYTES, checkpoint_all
from journal.disk import Disk, DiskFile, RealDisk
from journal.errors import CommitAmbiguous, DiskFull, JournalClosed, JournalDamaged, JournalError
from journal.files import ACTIVE, BaseInfo, FileInfo
from journal.mark import Mark
from journal.opening import DATABASE_NAME, FILE_NUMBER, Opened, open_or_create, take_lock
from journal.readers import Readers, checked_body, rows
from journal.record import Head, Record, genesis

FILE_BYTES_MAX = 64 * 1024 * 1024
CHECKPOINT_WAL_BYTES = 4 * 1024 * 1024  # a checkpoint of so much holds the writer about 10 ms
CHECKPOINT_IDLE_BYTES = 256 * 1024
MARK_SYNC_SECONDS = 0.05  # with the writer's longest wait of 50 ms, the 100 ms that docs/semantics.md states
_APPEND = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "sequence, written_at, stream, kind, payload, body_digest, body_size, hash"
_READ = f"SELECT {_COLUMNS} FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608 - our own constant
_PICK = f"SELECT {_COLUMNS} FROM record WHERE sequence = ?"  # noqa: S608 - our own constant
_POSITIONS = "SELECT name, position FROM follower"
_ADVANCE = """
  INSERT INTO follower VALUES (?, ?)
  ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)
"""
_REFUSALS = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)
_BUSY = (apsw.BusyError, apsw.LockedError)
_log = logging.getLogger(__name__)


def random_instance() -> str:
    """A name for a new journal."""
    return uuid4().hex


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
        file_bytes_max: int = FILE_BYTES_MAX,
        checkpoint_wal_bytes: int = CHECKPOINT_WAL_BYTES,
        checkpoint_idle_bytes: int = CHECKPOINT_IDLE_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
        make_instance: Callable[[], str] = random_instance,
    ) -> None:
        self._directory = directory
        self._disk: Disk = disk or RealDisk()
        self._vfs = vfs
        self._exclusive = exclusive
        self._synchronous = synchronous
        self._mark_strict = mark_strict
        self._ballast = Ballast(self._disk, directory, ballast_bytes)
        self._file_bytes_max = file_bytes_max
        self._checkpoint_wal_bytes = checkpoint_wal_bytes
        self._checkpoint_idle_bytes = checkpoint_idle_bytes
        self._monotonic = monotonic
        self._make_instance = make_instance
        self._path = f"{directory}/{DATABASE_NAME}"
        self._lock: DiskFile | None = None
        self._opened: Opened | None = None
        self._readers = Readers(self._path)
        self._mark_due = 0.0
        self._wal_bytes = 0

    # opening and closing

    def open(self) -> Head:
        try:
            self._disk.make_directory(self._directory)
            self._lock = take_lock(self._disk, self._directory)
            self._opened = open_or_create(
                self._disk,
                self._directory,
                vfs=self._vfs,
                exclusive=self._exclusive,
                synchronous=self._synchronous,
                ballast=self._ballast,
                make_instance=self._make_instance,
            )
        except OSError as error:
            self._unlock()
            raise JournalError(
                f"the journal in {self._directory} cannot be opened: {error}",
                hint="check owner, mode, mount and free space of the directory",
            ) from error
        except BaseException:
            self._unlock()
            raise
        self._opened.connection.set_wal_hook(self._wal_grew)
        return self._opened.head

    @property
    def identity(self) -> Identity:
        return self._state.identity

    @property
    def checkpoint_failed(self) -> bool:
        """Whether the checkpoint at start found no space, and none since: reading and draining work, little else."""
        return self._state.checkpoint_failed

    def close(self) -> None:
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                self._readers.close()
                try:
                    opened.mark.sync()
                except OSError:
                    _log.exception("the mark could not be synced; the next start verifies with the one before it")
                opened.mark.close()
                opened.connection.close()
        finally:
            self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    # writing, from one thread

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self._commit(records, bodies, positions)
        if records:
            last = records[-1]
            self._write_mark(Head(last.sequence, last.hash))

    def _commit(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        connection = self._state.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_APPEND, ((*_row(record), bodies.get(record.sequence)) for record in records))
            for name, position in positions.items():
                connection.execute(_ADVANCE, (name, position))
        except apsw.Error as error:
            self._give_up(error, "append")
        except Exception as error:  # a value that SQLite cannot hold: a bug of the caller's
            if not self._rolled_back():
                raise CommitAmbiguous(f"append failed: {error}", hint="the daemon ends; check the disk") from error
            raise
        try:
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._give_up(error, "COMMIT")

    def _give_up(self, error: apsw.Error, moment: str) -> NoReturn:
        """Nothing of the batch may stay. Says DiskFull or JournalError only where that is certain."""
        if self._rolled_back():
            if isinstance(error, apsw.FullError):
                self.make_room()
                raise DiskFull(
                    "no space for the journal", hint="free space on the volume; reads and draining go on"
                ) from error
            if moment == "append" and isinstance(error, _REFUSALS):
                raise JournalError(f"the database refuses the batch: {error}") from error
            if moment == "append" and isinstance(error, _BUSY):
                raise JournalError(
                    f"another program holds the database: {error}", hint="close whatever has the journal open"
                ) from error
        raise CommitAmbiguous(
            f"{moment} failed: {error}", hint="the daemon ends and reconciles at the next start; check the disk"
        ) from error

    def _rolled_back(self) -> bool:
        """Roll back, unless SQLite has done so by itself; False when nothing is known any more."""
        connection = self._state.connection
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except apsw.Error:
                return False
        return True

    def _write_mark(self, head: Head) -> None:
        state = self._state
        try:
            if not state.mark.unsynced:
                self._mark_due = self._monotonic() + MARK_SYNC_SECONDS
            state.mark.write(Mark(FILE_NUMBER, head))
            if self._mark_strict:
                state.mark.sync()
        except OSError as error:
            raise CommitAmbiguous(f"the mark could not be written: {error}", hint="check the disk") from error
        state.head = head

    def make_room(self) -> None:
        try:
            self._ballast.release()
        except OSError:
            _log.exception("the ballast could not be released")

    def settle(self, *, idle: bool) -> None:
        state = self._state
        try:
            if state.mark.unsynced and (idle or self._monotonic() >= self._mark_due):
                state.mark.sync()
            if self._wal_bytes >= (self._checkpoint_idle_bytes if idle else self._checkpoint_wal_bytes):
                self._checkpoint()
            if idle and state.checkpoint_failed:
                state.checkpoint_failed = not checkpoint_all(state.connection)
        except (OSError, apsw.Error) as error:
            raise CommitAmbiguous(f"mark or checkpoint failed: {error}", hint="check the disk") from error
        if idle:
            self._restore_ballast()

    def _checkpoint(self) -> None:
        """Move the WAL into the database. Passive: readers neither wait nor make it wait."""
        try:
            self._state.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, *_BUSY):
            pass  # the WAL keeps everything; the next one tries again
        self._wal_bytes = 0

    def _restore_ballast(self) -> None:
        try:
            self._ballast.restore()
        except OSError:
            _log.exception("the ballast could not be written; going on without it")
            self._ballast = Ballast(self._disk, self._directory, 0)

    def _wal_grew(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_bytes = pages * PAGE_SIZE_BYTES
        return apsw.SQLITE_OK

    # reading, from any thread

    def read(self, after: int, limit: int) -> list[Record]:
        return [Record(*row) for row in rows(self._reader(), _READ, (after, limit))]

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        reader = self._reader()
        return [Record(*row) for sequence in sequences for row in rows(reader, _PICK, (sequence,))]

    def body(self, sequence: int) -> bytes | None:
        return checked_body(self._reader(), sequence)

    def positions(self) -> dict[str, int]:
        return {str(name): int(position) for name, position in rows(self._reader(), _POSITIONS)}

    # files: one, so far

    @property
    def directory(self) -> str:
        return self._directory

    def files(self) -> list[FileInfo]:
        state = self._state
        size_bytes = self._disk.size_bytes(self._path)
        last = self.pick([state.head.sequence])
        written = last[0].written_at if last else 0
        return [FileInfo(FILE_NUMBER, DATABASE_NAME, ACTIVE, 1, state.head.sequence, size_bytes, 0, written)]

    def origin(self) -> Head:
        return Head(0, genesis(self.identity.instance))

    def base(self) -> BaseInfo | None:
        return None

    def base_path(self) -> str:
        raise JournalDamaged("there is no base")

    def check_file(self, number: int) -> None:
        pass

    def copy_sealed(self, number: int) -> None:
        raise JournalError(f"file {number} is active")

    def seal(self, number: int) -> None:
        raise JournalError(f"file {number} is active")

    def check_base(self, base: BaseInfo) -> None:
        raise JournalError("this journal has one file")

    def record_base(self, base: BaseInfo) -> None:
        raise JournalError("this journal has one file")

    def drop(self, number: int) -> None:
        raise JournalError(f"file {number} is active")

    def _reader(self) -> apsw.Connection:
        connection = self._state.connection
        return connection if self._exclusive else self._readers.get()

    @property
    def _state(self) -> Opened:
        if self._opened is None:
            raise JournalClosed("the journal is not open")
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
