"""Ways to get durability wrong. Each must turn the sweep red: a sweep that cannot fail proves nothing.

A mutant changes a life's `Setting`, or replaces a function of the journal while it is applied.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import apsw
from msgspec.structs import replace

import journal.archive
import journal.opening
import journal.sqlite
import journal.survey
from journal import CommitAmbiguous, Head, Record, SqliteBackend
from journal.archive import Archive, sealed_row
from journal.catalogue import Catalogue, delete_row, write_row
from journal.database import SCHEMA_VERSION, catalogue_of, checkpoint_all, connect_writer, read_head, read_identity
from journal.disk import Disk
from journal.files import CLOSED, sealed_name
from journal.mark import MARK_NAME, SLOT_SPACING_BYTES, Mark, MarkFile, pack_slot
from journal.opening import Opened
from journal.rotation import make_file
from journal.sealing import make_sealed_copy

from . import simulated_vfs
from .simulated_disk import SimulatedDisk
from .storage import MakeDirectory
from .workload import BLOBS, DIRECTORY, SOUND, Setting


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault, and the kinds of cases among which the sweep must find it (all of them contain power cuts).

    Any seed finds it within CASES_MAX; `seed` is one that finds it soon.
    """

    name: str
    kinds: tuple[str, ...]
    setting: Setting = SOUND
    patches: tuple[tuple[object, str, Any], ...] = ()
    seed: int = 0

    @contextmanager
    def applied(self) -> Iterator[Setting]:
        """The journal with this fault."""
        with ExitStack() as stack:
            for target, attribute, value in self.patches:
                stack.enter_context(mock.patch.object(target, attribute, value))
            yield self.setting


Positions = Mapping[str, int]
Bodies = Mapping[int, bytes]


class AcknowledgesBeforeCommit(SqliteBackend):
    """Says "kept" and commits a little later."""

    _late: tuple[Sequence[Record], Bodies, Positions] | None = None

    def append(self, records: Sequence[Record], bodies: Bodies, positions: Positions) -> None:
        self._catch_up()
        self._late = (records, bodies, positions)

    def settle(self, *, idle: bool) -> None:
        self._catch_up()
        super().settle(idle=idle)

    def _catch_up(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            super().append(*late)


class MarksBeforeCommit(SqliteBackend):
    """Syncs the mark, then commits what it speaks of."""

    def append(self, records: Sequence[Record], bodies: Bodies, positions: Positions) -> None:
        if records:
            self._write_mark(Head(records[-1].sequence, records[-1].hash))
            self._state.mark.sync()
        self._commit(records, bodies, positions)


class MarksAfterFailedCommit(SqliteBackend):
    """Writes the mark although COMMIT did not return."""

    def append(self, records: Sequence[Record], bodies: Bodies, positions: Positions) -> None:
        try:
            super().append(records, bodies, positions)
        except CommitAmbiguous:
            if records:
                self._write_mark(Head(records[-1].sequence, records[-1].hash))
                self._state.mark.sync()
            raise


class CommitsInTwoSteps(SqliteBackend):
    """Positions and bodies in a transaction of their own."""

    def append(self, records: Sequence[Record], bodies: Bodies, positions: Positions) -> None:
        super().append(records, bodies, {})
        if positions:
            super().append([], {}, positions)


class MarksTheNextFileFirst(SqliteBackend):
    """Says in the mark that the next file is the one, and makes it then."""

    def _rotate(self) -> None:
        state = self._state
        if state.head.sequence > state.catalogue.origin.sequence:
            state.mark.write(Mark(state.catalogue.number + 1, state.head))
            state.mark.sync()
        super()._rotate()


class Careless:
    """A disk, or a file, that leaves some syncs out."""

    def __init__(self, inner: Any, *leaves_out: str) -> None:
        self._inner = inner
        self._leaves_out = leaves_out

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name in self._leaves_out else getattr(self._inner, name)

    def create(self, path: str) -> Any:
        return Careless(self._inner.create(path), *self._leaves_out)


class ForgetsBlobDirectories(SimulatedDisk):
    """Never syncs a directory of blobs."""

    def sync_directory(self, path: str) -> None:
        if not path.startswith(BLOBS):
            super().sync_directory(path)


class ForgetsJournalDirectory(SimulatedDisk):
    """Never syncs the journal's own directory."""

    def sync_directory(self, path: str) -> None:
        if path != DIRECTORY:
            super().sync_directory(path)


class ForgetsParents(SimulatedDisk):
    """Makes a directory and leaves its name to luck."""

    def make_directory(self, path: str) -> None:
        if path not in self.volume.storage.shown_directories:
            self.volume.perform(MakeDirectory(path))


class TrustsDirectoriesThatExist(SimulatedDisk):
    """Takes a directory that is there for one that is durable: whoever made it may have been killed before the sync."""

    def make_directory(self, path: str) -> None:
        if path not in self.volume.storage.shown_directories:
            super().make_directory(path)


def write_either_slot(self: MarkFile, mark: Mark) -> None:
    """Alternate between the slots whether or not the last write was synced."""
    self._turn += 1
    self._file.pwrite(pack_slot(self._turn, mark), (self._turn % 2) * SLOT_SPACING_BYTES)
    self.unsynced = True


def renew_in_place(disk: Disk, path: str) -> None:
    """Write the log over itself: a power cut meets the only copy."""
    log = f"{path}-wal"
    if disk.exists(log) and disk.size_bytes(log):
        file = disk.open(log)
        file.pwrite(file.pread(disk.size_bytes(log), 0), 0)
        file.sync()
        file.close()


def begin_with_the_mark(disk: Disk, directory: str, connection: apsw.Connection, seen: Head | None) -> Opened:
    """Sync the mark before it is certain that the log is on the disk."""
    identity = read_identity(connection)
    catalogue = catalogue_of(connection, SCHEMA_VERSION)
    head = read_head(connection, catalogue.origin)
    mark = MarkFile.create(disk, directory, Mark(catalogue.number, head))
    checkpointed = checkpoint_all(connection)
    disk.sync_directory(directory)
    return Opened(connection, mark, identity, catalogue, head, checkpoint_failed=not checkpointed)


def create_mark_in_place(disk: Disk, directory: str, mark: Mark) -> MarkFile:
    """Trust what the kernel shows of the old mark file, and write into it without a sync of its name."""
    path = f"{directory}/{MARK_NAME}"
    file = disk.open(path) if disk.exists(path) else disk.create(path)
    file.pwrite(pack_slot(1, mark).ljust(SLOT_SPACING_BYTES, b"\0") + pack_slot(2, mark), 0)
    file.sync()
    return MarkFile(file, turn=2, durable_slot=1)


def make_file_without_its_name(disk: Disk, *arguments: Any, **options: Any) -> apsw.Connection:
    """Make the next file, and trust SQLite with its directory."""
    return make_file(Careless(disk, "sync_directory"), *arguments, **options)


def seal_unsynced(disk: Disk, *arguments: Any, **options: Any) -> int:
    """Leave the bytes of the sealed copy to the kernel."""
    return make_sealed_copy(Careless(disk, "sync"), *arguments, **options)


def seal_unnamed(disk: Disk, *arguments: Any, **options: Any) -> int:
    """Leave the name of the sealed copy to luck."""
    return make_sealed_copy(Careless(disk, "sync_directory"), *arguments, **options)


def seal_by_renaming(self: Archive, number: int) -> None:
    """Decision 8: put the sealed copy where the database was, over its log."""
    row = self._closed_file(number)
    if row.state == CLOSED:
        self._readers.retire(row.name)
        self._readers._retired.discard(row.name)
        self._disk.rename(f"{self._directory}/{sealed_name(number)}", f"{self._directory}/{row.name}")
        self._disk.sync_directory(self._directory)
        sealed = replace(sealed_row(row, self._copied.pop(number)), name=row.name)
        self._change(lambda connection: write_row(connection, sealed), self._opened().catalogue.replacing(sealed))


def drop_the_file_first(self: Archive, number: int) -> None:
    """Unlink, then say so."""
    row, catalogue = self._closed_file(number), self._opened().catalogue
    self._discard(row.name)
    self._change(lambda connection: delete_row(connection, number), catalogue.without_oldest())


def seal_without_the_old_file(self: Archive, number: int) -> None:
    """Unlink what the catalogue still names, then switch."""
    row = self._closed_file(number)
    if row.state == CLOSED:
        sealed = sealed_row(row, self._copied.pop(number))
        self._discard(row.name)
        self._change(lambda connection: write_row(connection, sealed), self._opened().catalogue.replacing(sealed))


def leave_in_log(self: Archive, change: Callable[[apsw.Connection], None], catalogue: Catalogue) -> None:
    """Unlink what a change in the log has replaced: a flipped bit takes the change back, and the file is gone."""
    self._write(change, catalogue)


def connect_with_log(path: str, vfs: str | None = None) -> apsw.Connection:
    """Read a closed file together with the log beside it."""
    return connect_writer(path, vfs, exclusive=True)


def _patch(name: str, value: Callable[..., Any]) -> tuple[object, str, Any]:
    return (journal.opening, name, value)


def _archive(name: str, value: Callable[..., Any]) -> tuple[object, str, Any]:
    return (journal.archive, name, value)


# SQLite syncs the directory of its log and ignores an error of that: the journal must not depend on it.
NO_DIRECTORY_SYNCS = (simulated_vfs, "_SYNCS_ITS_DIRECTORY", 0)
_LOG_LEFT = (journal.sqlite, "empty_log", lambda *_: True)
_NO_RENEWAL = _patch("renew_log", lambda _disk, _directory: None)

EAGER = Setting(upkeep=4)
CUT, KILL, ERROR, FLIP = ("power cut",), ("kill",), ("I/O error",), ("flipped byte",)
CASES_MAX = 20_000

MUTANTS = (
    Mutant("synchronous_normal", CUT, Setting(synchronous="NORMAL")),
    Mutant("synchronous_off", CUT, Setting(synchronous="OFF")),
    Mutant("acknowledgement_before_commit", CUT, Setting(backend=AcknowledgesBeforeCommit)),
    Mutant("body_after_record", CUT, Setting(blob_before_record=False)),
    Mutant("body_not_synced", CUT, Setting(sync_blobs=False)),
    Mutant("blob_directory_not_synced", CUT, Setting(disk=ForgetsBlobDirectories), seed=1),
    Mutant("journal_directory_not_synced", CUT, Setting(disk=ForgetsJournalDirectory)),
    Mutant("new_directory_not_synced", CUT, Setting(disk=ForgetsParents), seed=1),
    Mutant("existing_directory_not_synced", KILL, Setting(disk=TrustsDirectoriesThatExist), seed=9),
    Mutant("positions_in_their_own_transaction", CUT, Setting(backend=CommitsInTwoSteps)),
    Mutant("mark_before_commit", CUT, Setting(backend=MarksBeforeCommit)),
    Mutant("mark_after_failed_commit", ERROR, Setting(backend=MarksAfterFailedCommit)),
    Mutant("both_slots_between_syncs", CUT, patches=((MarkFile, "write", write_either_slot),), seed=4),
    Mutant("mark_made_in_place", CUT, patches=((MarkFile, "create", create_mark_in_place),)),
    Mutant(
        "mark_before_the_log_is_durable", ERROR, patches=(_NO_RENEWAL, _patch("_begin", begin_with_the_mark)), seed=3
    ),
    Mutant(
        "no_checkpoint_at_start",
        ERROR,
        patches=(_NO_RENEWAL, _patch("checkpoint_all", lambda _connection: True)),
        seed=1,
    ),
    Mutant("log_not_renewed", ERROR, patches=(_NO_RENEWAL,), seed=3),
    Mutant("log_renewed_in_place", ERROR, patches=(_patch("renew_log", renew_in_place),), seed=3),
    Mutant("log_left_behind_at_rotation", CUT, patches=(_LOG_LEFT,), seed=3),
    Mutant("next_file_marked_before_it_is_durable", CUT, Setting(backend=MarksTheNextFileFirst), seed=3),
    Mutant(
        "next_file_not_named",
        CUT,
        patches=((journal.sqlite, "make_file", make_file_without_its_name), NO_DIRECTORY_SYNCS),
        seed=4,
    ),
    Mutant("half_a_file_is_taken", CUT, patches=((journal.survey, "is_whole", lambda *_: True),), seed=3),
    Mutant("sealed_copy_not_synced", CUT, EAGER, patches=(_archive("make_sealed_copy", seal_unsynced),), seed=2),
    Mutant("sealed_name_not_synced", CUT, EAGER, patches=(_archive("make_sealed_copy", seal_unnamed),), seed=2),
    Mutant(
        "sealed_by_renaming_over_a_log",
        CUT,
        EAGER,
        patches=(
            _LOG_LEFT,
            (journal.sqlite, "connect_immutable", connect_with_log),
            _patch("connect_immutable", connect_with_log),
            (Archive, "seal", seal_by_renaming),
        ),
    ),
    Mutant(
        "old_file_unlinked_before_it_is_sealed",
        CUT,
        EAGER,
        patches=((Archive, "seal", seal_without_the_old_file),),
        seed=11,
    ),
    Mutant(
        "file_unlinked_before_it_is_dropped", CUT, EAGER, patches=((Archive, "drop", drop_the_file_first),), seed=11
    ),
    Mutant(
        "dropped_without_base",
        CUT,
        Setting(base_before_drop=False, upkeep=4),
        (_archive("covers", lambda *_: True),),
        seed=2,
    ),
    Mutant("base_not_synced", CUT, Setting(sync_base=False, upkeep=4), seed=3),
    Mutant("base_recorded_before_it_is_written", CUT, Setting(base_before_row=False, upkeep=4), seed=3),
    Mutant("catalogue_left_in_the_log", FLIP, EAGER, patches=((Archive, "_change", leave_in_log),), seed=3),
    Mutant("mark_never_compared", FLIP, patches=(_patch("compare", lambda *_: None),)),
)
