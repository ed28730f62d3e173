"""Records across files: the catalogue says where a record is, and the readers lend a connection to that file.

Whoever reads holds the catalogue of one moment. When a file of it is replaced meanwhile, the readers refuse the old
name and the query is asked again with the catalogue of now; the records are the same ones.

Every record that is given out follows the one before it in the chain: the start checks the active file only, and what
the disk has changed in an older one must not be folded or replayed before somebody comes by to verify it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from journal.catalogue import Catalogue, FileRow
from journal.database import check_pages
from journal.errors import JournalDamaged, JournalError
from journal.files import ACTIVE, SEALED, FileInfo
from journal.readers import FileRetired, Readers, checked_body, rows
from journal.record import Head, Record, follows
from journal.verify import ADVICE, not_following

_COLUMNS = "sequence, written_at, stream, kind, payload, body_digest, body_size, hash"
_READ = f"SELECT {_COLUMNS} FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608 - our own constant
_PICK = f"SELECT {_COLUMNS} FROM record WHERE sequence = ?"  # noqa: S608 - our own constant
_HASH = "SELECT hash FROM record WHERE sequence = ?"
_POSITIONS = "SELECT name, position FROM follower"


class Reading:
    """Reads from any thread. `catalogue` gives the one of now; `active`, if any, serves the active file itself."""

    def __init__(
        self, readers: Readers, catalogue: Callable[[], Catalogue], active: Callable[[], apsw.Connection | None]
    ) -> None:
        self._readers = readers
        self._catalogue = catalogue
        self._active = active

    def read(self, after: int, limit: int) -> list[Record]:
        """See `Backend.read`."""
        found: list[Record] = []
        while len(found) < limit:
            catalogue = self._catalogue()
            after = max(after, catalogue.oldest.sequence)
            previous = found[-1].hash if found else self.hash_at(after)
            if previous is None and after < self._catalogue().oldest.sequence:
                continue  # dropped meanwhile
            row = catalogue.holding(after + 1)
            try:
                with self._connection(catalogue, row) as connection:
                    page = [Record(*one) for one in rows(connection, _READ, (after, limit - len(found)))]
            except FileRetired:
                continue
            found += _checked(after, previous, page)
            if row is None:
                break
            after = page[-1].sequence if page else after
            if len(found) < limit and after != row.last:
                raise JournalDamaged(f"records {after + 1} to {row.last} are missing", sequence=after + 1, hint=ADVICE)
        return found

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        """See `Backend.pick`."""
        found: list[Record] = []
        for sequence in sequences:
            before = found[-1] if found and found[-1].sequence == sequence - 1 else None
            for row in self._ask(sequence, _PICK):
                previous = before.hash if before is not None else self.hash_at(sequence - 1)
                if previous is None and sequence <= self._catalogue().oldest.sequence:
                    continue  # its file has been dropped meanwhile
                found += _checked(sequence - 1, previous, [Record(*row)])
        return found

    def body(self, sequence: int) -> bytes | None:
        """See `Backend.body`."""
        while True:
            catalogue = self._catalogue()
            row = catalogue.holding(sequence)
            if row is not None and row.state == SEALED:
                return None
            with contextlib.suppress(FileRetired), self._connection(catalogue, row) as connection:
                return checked_body(connection, sequence)

    def positions(self) -> dict[str, int]:
        """See `Backend.positions`."""
        while True:
            with contextlib.suppress(FileRetired), self._connection(self._catalogue(), None) as connection:
                return {str(name): int(position) for name, position in rows(connection, _POSITIONS)}

    def hash_at(self, sequence: int) -> bytes | None:
        """The chain's hash at a record, or at the place before the oldest one; None when it is not there."""
        catalogue = self._catalogue()
        if sequence == catalogue.oldest.sequence:
            return catalogue.oldest.hash
        row = catalogue.holding(sequence)
        if row is not None and sequence == row.last:
            return row.head  # also where the file itself is damaged
        found = self._ask(sequence, _HASH)
        return bytes(found[0][0]) if found else None

    def check_file(self, number: int) -> None:
        """See `Backend.check_file`."""
        while True:
            catalogue = self._catalogue()
            row = catalogue.row(number)
            if row is None and number != catalogue.number:
                raise JournalError(f"there is no file {number}")
            with contextlib.suppress(FileRetired), self._connection(catalogue, row) as connection:
                return _check_pages(connection, catalogue.origin.sequence + 1 if row is None else row.first)

    def _ask(self, sequence: int, query: str) -> list[tuple[Any, ...]]:
        while True:
            catalogue = self._catalogue()
            with (
                contextlib.suppress(FileRetired),
                self._connection(catalogue, catalogue.holding(sequence)) as connection,
            ):
                return rows(connection, query, (sequence,))

    @contextmanager
    def _connection(self, catalogue: Catalogue, row: FileRow | None) -> Iterator[apsw.Connection]:
        active = self._active() if row is None else None
        if active is not None:
            yield active
            return
        with self._readers.borrow(catalogue.name if row is None else row.name) as connection:
            yield connection


def _check_pages(connection: apsw.Connection, first: int) -> None:
    try:
        check_pages(connection)
    except apsw.Error as error:
        raise JournalDamaged(f"the journal cannot be read: {error}", sequence=first, hint=ADVICE) from error
    except JournalDamaged as damaged:
        damaged.sequence = first  # any of the file's records, for all that is known
        raise


def _checked(after: int, previous: bytes | None, records: list[Record]) -> list[Record]:
    """The records, each of which follows the one before it; the first one what has this hash at `after`.

    Raises JournalDamaged for the first that is missing or does not follow.
    """
    for record in records:
        if previous is None or record.sequence != after + 1:
            missing = after if previous is None else after + 1
            raise JournalDamaged(f"record {missing} is missing", sequence=missing, hint=ADVICE)
        if not follows(previous, record):
            raise not_following(record.sequence)
        after, previous = record.sequence, record.hash
    return records


def file_infos(catalogue: Catalogue, head: Head, size_bytes: int, last_written_at_ms: int) -> list[FileInfo]:
    """What the owner may know of the files; the last three arguments are the active file's."""
    infos = [
        FileInfo(
            row.number,
            row.name,
            row.state,
            row.first,
            row.last,
            row.size_bytes,
            row.closed_at_ms,
            row.last_written_at_ms,
        )
        for row in catalogue.rows
    ]
    first = catalogue.origin.sequence + 1
    written = last_written_at_ms if head.sequence >= first else 0
    return [
        *infos,
        FileInfo(catalogue.number, catalogue.name, ACTIVE, first, head.sequence, size_bytes, 0, written),
    ]
