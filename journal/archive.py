"""What becomes of a file after it was closed: sealed, covered by a base, dropped. One rule for all of it: first the
catalogue, durably; then the file that it names no more.

A cut between the two leaves a file that nobody needs, and the start removes it. The other order would leave a
catalogue that names a file which is gone. The mark does not cover the catalogue, so nothing is unlinked before its
change has left the log as well: a flipped bit there would take the change back, but not the unlinking.
"""

import hashlib
import logging
from collections.abc import Callable

import apsw
import msgspec

from journal.catalogue import Catalogue, FileRow, delete_row, write_base, write_row
from journal.disk import Disk, is_full
from journal.errors import CommitAmbiguous, DiskFull, JournalDamaged, JournalError
from journal.files import BASE_PREFIX, SEALED, BaseInfo, sealed_name
from journal.opening import Opened
from journal.readers import Readers
from journal.reading import Reading
from journal.sealing import make_sealed_copy
from journal.verify import ADVICE

_DIGEST_PIECE_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)

Change = Callable[[Callable[[apsw.Connection], None], Catalogue], None]


class Archive:
    """The closed files of an open journal.

    `change` makes a change of the catalogue durable, then visible; `empty_log` moves it from the log into the database,
    or is False when that has to wait.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        vfs: str | None,
        readers: Readers,
        reading: Reading,
        opened: Callable[[], Opened],
        change: Change,
        empty_log: Callable[[], bool],
        rest: Callable[[], None],
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._vfs = vfs
        self._readers = readers
        self._reading = reading
        self._opened = opened
        self._write = change
        self._empty_log = empty_log
        self._rest = rest
        self._copied: dict[int, int] = {}  # the sealed copies that wait for their switch: number to size in bytes
        self._in_log = False  # whether the last change may be in the log only
        self._discarded: list[str] = []  # files to be unlinked when their last reader has gone

    def base_path(self) -> str:
        """See `Backend.base_path`."""
        base = self._opened().catalogue.base
        if base is None:
            raise JournalDamaged("there is no base", hint=ADVICE)
        try:
            self.check_base(base)
        except JournalError as error:
            raise JournalDamaged(f"the base cannot be used: {error.message}", hint=ADVICE) from error
        return f"{self._directory}/{base.name}"

    def check_base(self, base: BaseInfo) -> None:
        """See `Backend.check_base`."""
        if not base.name.startswith(BASE_PREFIX) or "/" in base.name:
            raise JournalError(f"{base.name!r} is no name for a base", hint=f"it begins with {BASE_PREFIX!r}")
        if self._reading.hash_at(base.position) != base.hash:
            raise JournalError(f"the base is not bound to record {base.position}")
        try:
            digest = self._digest(f"{self._directory}/{base.name}")
        except OSError as error:
            raise JournalError(f"the base {base.name} cannot be read: {error}") from error
        if digest != base.sha256:
            raise JournalError(f"the base {base.name} is not the file that was written")

    def _digest(self, path: str) -> bytes:
        digest, offset = hashlib.sha256(), 0
        file = self._disk.open(path)
        try:
            while piece := file.pread(_DIGEST_PIECE_BYTES, offset):
                digest.update(piece)
                offset += len(piece)
        finally:
            file.close()
        return digest.digest()

    def copy_sealed(self, number: int) -> None:
        """See `Backend.copy_sealed`."""
        row = self._closed_file(number)
        if row.state == SEALED:
            return
        self._copied.pop(number, None)
        try:
            self._copied[number] = make_sealed_copy(
                self._disk,
                self._directory,
                self._opened().identity,
                row,
                lambda: self._readers.borrow(row.name),
                vfs=self._vfs,
                rest=self._rest,
            )
        except (OSError, apsw.Error) as error:
            if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and is_full(error)):
                raise DiskFull(f"no space to seal file {number}", hint="free space on the volume") from error
            raise JournalError(f"file {number} could not be sealed: {error}", hint="check the disk") from error

    def seal(self, number: int) -> None:
        """See `Backend.seal`."""
        row = self._closed_file(number)
        if row.state == SEALED:
            return
        size_bytes = self._copied.pop(number, None)
        if size_bytes is None:
            raise JournalError(f"file {number} has no sealed copy yet")
        sealed = sealed_row(row, size_bytes)
        self._change(lambda connection: write_row(connection, sealed), self._opened().catalogue.replacing(sealed))
        self._discard(row.name)

    def record_base(self, base: BaseInfo) -> None:
        """See `Backend.record_base`."""
        state, older = self._opened(), self._opened().catalogue.base
        if not state.catalogue.oldest.sequence <= base.position <= state.head.sequence:
            raise JournalError(f"there is no record {base.position} for a base")
        if older is not None and base.position < older.position:
            raise JournalError(f"the base at {base.position} is older than the one at {older.position}")
        self._change(lambda connection: write_base(connection, base), state.catalogue.with_base(base))
        self._discard(older.name if older is not None and older.name != base.name else None)

    def drop(self, number: int) -> None:
        """See `Backend.drop`."""
        row = self._closed_file(number)
        catalogue = self._opened().catalogue
        if row is not catalogue.rows[0]:
            raise JournalError(f"file {number} is not the oldest one", hint="files are dropped oldest first")
        if not covers(catalogue.base, row):
            raise JournalError(f"no base covers file {number}", hint="record a base first")
        self._change(lambda connection: delete_row(connection, number), catalogue.without_oldest())
        self._discard(row.name)

    def _closed_file(self, number: int) -> FileRow:
        row = self._opened().catalogue.row(number)
        if row is None:
            raise JournalError(f"file {number} is active, or not there", hint="only files before the active one")
        return row

    def _change(self, change: Callable[[apsw.Connection], None], catalogue: Catalogue) -> None:
        self._write(change, catalogue)
        self._in_log = True

    def _discard(self, name: str | None) -> None:
        if name is not None:
            self._readers.retire(name)
            self._discarded.append(name)
        self.unlink_discarded()

    def unlink_discarded(self) -> None:
        """Remove files that were replaced or dropped, as soon as that is safe and nobody reads from them any more.

        Raises CommitAmbiguous.
        """
        try:
            self._in_log = self._in_log and not self._empty_log()
        except (OSError, apsw.Error) as error:
            raise CommitAmbiguous(f"checkpoint failed: {error}", hint="check the disk") from error
        if self._in_log or not self._discarded:
            return
        waiting, self._discarded = self._discarded, []
        for name in waiting:
            if self._readers.in_use(name):
                self._discarded.append(name)
                continue
            for beside in (name, f"{name}-wal", f"{name}-shm"):
                self._unlink(beside)

    def _unlink(self, name: str) -> None:
        """Remove a file that the catalogue names no more; a failure costs space until the next start, nothing else."""
        path = f"{self._directory}/{name}"
        try:
            if self._disk.exists(path):
                self._disk.unlink(path)
        except OSError:
            _log.warning("%s could not be removed; the next start tries again", name, exc_info=True)


def sealed_row(row: FileRow, size_bytes: int) -> FileRow:
    """A closed file's row after sealing: another name, another state."""
    return msgspec.structs.replace(row, name=sealed_name(row.number), state=SEALED, size_bytes=size_bytes)


def covers(base: BaseInfo | None, row: FileRow) -> bool:
    """Whether the base stands for every record of this file."""
    return base is not None and base.position >= row.last
