"""The journal on SQLite: files in WAL mode with `synchronous=FULL`, one connection that writes and checkpoints.

COMMIT is the moment of durability. Around it stand the mark (which notices a silently shortened WAL), the ballast
(which keeps a full disk usable), our own checkpoints (bounded, off the acknowledgement path) and the change to the
next file when the active one is large enough. How a journal is opened, and why in that order, is in opening.py; what
happens to a file after it was closed begins with the catalogue (catalogue.py). Readers borrow connections of their own.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

import apsw

from journal.archive import Archive
from journal.backend import Identity
from journal.ballast import Ballast
from journal.catalogue import Catalogue
from journal.database import BUSY_TIMEOUT_MS, PAGE_SIZE_BYTES, checkpoint_all, connect_immutable, connect_reader
from journal.disk import Disk, DiskFile, RealDisk, is_full
from journal.errors import CommitAmbiguous, JournalClosed, JournalError
from journal.files import BaseInfo, FileInfo
from journal.mark import Mark
from journal.opening import Opened, open_or_create, take_lock
from journal.readers import Readers
from journal.reading import Reading, file_infos
from journal.record import Head, Record
from journal.rotation import closing_row, empty_log, make_file
from journal.transaction import transact

FILE_BYTES_MAX = 64 * 1024 * 1024
CHECKPOINT_WAL_BYTES = 4 * 1024 * 1024  # a checkpoint of so much holds the writer about 10 ms
CHECKPOINT_IDLE_BYTES = 256 * 1024
MARK_SYNC_SECONDS = 0.05  # with the writer's longest wait of 50 ms, the 100 ms that docs/semantics.md states
RETRY_SECONDS = 0.5
REST_SECONDS = 0.002
_APPEND = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADVANCE = """
  INSERT INTO follower VALUES (?, ?)
  ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)
"""
_BUSY = (apsw.BusyError, apsw.LockedError)
_log = logging.getLogger(__name__)


def rest() -> None:
    """Let others have the processor for a moment."""
    time.sleep(REST_SECONDS)


def random_instance() -> str:
    """A name for a new journal."""
    return uuid4().hex


class SqliteBackend:
    """See `Backend` for the promise of each method.

    `vfs` and `exclusive` exist for the power-cut sweep: a VFS without shared memory needs exclusive locking, and then
    the writer's connection is the only one. `continues`: a new journal is the continuation of that one after its head,
    for somebody who goes on with copies of its records.
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
        rest: Callable[[], None] = rest,
        make_instance: Callable[[], str] = random_instance,
        continues: tuple[Identity, Head] | None = None,
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
        self._continues = continues
        self._rest = rest
        self._lock: DiskFile | None = None
        self._opened: Opened | None = None
        self._prepare_reading()
        self._mark_due = 0.0
        self._wal_bytes = 0
        self._appended = False  # since the active file's size was looked at
        self._size_bytes = 0
        self._last_written_at_ms = 0
        self._not_before = 0.0

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
                continues=self._continues,
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
        self._prepare_reading()
        self._begin_file(self._opened)
        return self._opened.head

    def _prepare_reading(self) -> None:
        self._readers = Readers(self._connect_reader)
        self._reading = Reading(self._readers, lambda: self._state.catalogue, self._active_reader)
        self._archive = Archive(
            self._disk,
            self._directory,
            self._vfs,
            self._readers,
            self._reading,
            lambda: self._state,
            self._change,
            self._empty_log,
            self._rest,
        )

    def _begin_file(self, opened: Opened) -> None:
        opened.connection.set_wal_hook(self._wal_grew)
        self._wal_bytes = 0
        self._size_bytes = _size_bytes(opened.connection)
        last = self.pick([opened.head.sequence])
        self._last_written_at_ms = last[0].written_at if last else 0

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
        def insert(connection: apsw.Connection) -> None:
            connection.executemany(_APPEND, ((*_row(record), bodies.get(record.sequence)) for record in records))
            for name, position in positions.items():
                connection.execute(_ADVANCE, (name, position))

        transact(self._state.connection, insert, self.make_room)
        self._appended = True
        if records:
            self._last_written_at_ms = records[-1].written_at

    def _write_mark(self, head: Head) -> None:
        state = self._state
        try:
            if not state.mark.unsynced:
                self._mark_due = self._monotonic() + MARK_SYNC_SECONDS
            state.mark.write(Mark(state.catalogue.number, head, state.owner))
            if self._mark_strict:
                state.mark.sync()
        except OSError as error:
            raise CommitAmbiguous(f"the mark could not be written: {error}", hint="check the disk") from error
        state.head = head

    def has_room(self) -> bool:
        try:
            return not self._ballast.is_all_there_is()
        except OSError:
            return True  # whoever writes will be told what is wrong

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
            if self._appended:
                self._appended = False
                self._size_bytes = _size_bytes(state.connection)
            if self._size_bytes >= self._file_bytes_max:
                self._rotate()
        except (OSError, apsw.Error) as error:
            raise CommitAmbiguous(f"mark or checkpoint failed: {error}", hint="check the disk") from error
        self._archive.unlink_discarded()
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

    def _rotate(self) -> None:
        """Go on in a new file, unless there is no record in this one, or it is not the moment: then later.

        Raises OSError or apsw.Error when it is not certain what is on the disk.
        """
        state = self._state
        if state.head.sequence == state.catalogue.origin.sequence or self._must_wait():
            return
        row = closing_row(state.catalogue, state.head, self._size_bytes, self._last_written_at_ms)
        catalogue = state.catalogue.rotated(row)
        try:
            if not self._empty_log():
                return
            connection = make_file(
                self._disk,
                self._directory,
                state.identity,
                catalogue,
                self.positions(),
                vfs=self._vfs,
                exclusive=self._exclusive,
                synchronous=self._synchronous,
            )
        except (OSError, apsw.FullError) as error:
            if isinstance(error, OSError) and not is_full(error):
                raise
            self._not_before = self._monotonic() + RETRY_SECONDS
            return
        self._switch(connection, catalogue)

    def _empty_log(self) -> bool:
        """Move the whole log into the database; False when it is not the moment, and then not before a while."""
        if self._must_wait():
            return False
        state = self._state
        path = f"{self._directory}/{state.catalogue.name}"
        if not empty_log(state.connection, self._disk, path, BUSY_TIMEOUT_MS):
            self._not_before = self._monotonic() + RETRY_SECONDS
            return False
        self._wal_bytes = 0
        return True

    def _must_wait(self) -> bool:
        """Whether the last try failed only just now: readers or a full disk need their time."""
        return self._not_before > 0 and self._monotonic() < self._not_before

    def _switch(self, connection: apsw.Connection, catalogue: Catalogue) -> None:
        """The new file is durable: say so in the mark, durably, and only then write to it."""
        state = self._state
        try:
            state.mark.write(Mark(catalogue.number, state.head, state.owner))
            state.mark.sync()
        except BaseException:
            connection.close()
            raise
        old, state.connection, state.catalogue = state.connection, connection, catalogue
        old.close()
        self._begin_file(state)

    # reading, from any thread

    def read(self, after: int, limit: int) -> list[Record]:
        return self._reading.read(after, limit)

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        return self._reading.pick(sequences)

    def body(self, sequence: int) -> bytes | None:
        return self._reading.body(sequence)

    def positions(self) -> dict[str, int]:
        return self._reading.positions()

    @property
    def directory(self) -> str:
        return self._directory

    def files(self) -> list[FileInfo]:
        state = self._state
        return file_infos(state.catalogue, state.head, self._size_bytes, self._last_written_at_ms)

    def origin(self) -> Head:
        return self._state.catalogue.oldest

    def base(self) -> BaseInfo | None:
        return self._state.catalogue.base

    def base_path(self) -> str:
        return self._archive.base_path()

    def check_file(self, number: int) -> None:
        self._reading.check_file(number)

    def check_base(self, base: BaseInfo) -> None:
        self._archive.check_base(base)

    def copy_sealed(self, number: int) -> None:
        self._archive.copy_sealed(number)

    # closed files, from the writer's thread

    def seal(self, number: int) -> None:
        self._archive.seal(number)

    def record_base(self, base: BaseInfo) -> None:
        self._archive.record_base(base)

    def drop(self, number: int) -> None:
        self._archive.drop(number)

    def _change(self, change: Callable[[apsw.Connection], None], catalogue: Catalogue) -> None:
        """Change the catalogue durably, and only then for readers."""
        state = self._state
        transact(state.connection, change, self.make_room)
        self._appended = True
        state.catalogue = catalogue

    def _connect_reader(self, name: str) -> apsw.Connection:
        path = f"{self._directory}/{name}"
        if name == self._state.catalogue.name:
            return connect_reader(path)
        return connect_immutable(path, self._vfs)  # it was closed with nothing in its log

    def _active_reader(self) -> apsw.Connection | None:
        """With exclusive locking the writer's connection is the only one that the active file can have."""
        return self._state.connection if self._exclusive else None

    @property
    def _state(self) -> Opened:
        if self._opened is None:
            raise JournalClosed("the journal is not open")
        return self._opened


def _size_bytes(connection: apsw.Connection) -> int:
    return int(connection.pragma("page_count")) * PAGE_SIZE_BYTES


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
