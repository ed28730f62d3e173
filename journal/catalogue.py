"""The catalogue: which files the journal consists of, and which base stands for those that were dropped.

It lies in the active file, where every change of it is a transaction of the writer's; here it is a frozen value that
readers on any thread may hold while the writer replaces it.
"""

from bisect import bisect_left
from typing import TypeVar

import apsw
import msgspec

from journal.errors import JournalDamaged
from journal.files import BaseInfo, file_name
from journal.record import Head
from journal.verify import ADVICE

T = TypeVar("T")


class FileRow(msgspec.Struct, frozen=True):
    """A file before the active one; the columns are explained in catalogue.sql."""

    number: int
    name: str
    state: str
    first: int
    last: int
    previous: bytes
    head: bytes
    size_bytes: int
    closed_at_ms: int
    last_written_at_ms: int


class Catalogue(msgspec.Struct, frozen=True):
    """The active file's `number`, what its first record follows (`origin`), the files before it, and the base."""

    number: int
    origin: Head
    rows: tuple[FileRow, ...] = ()
    base: BaseInfo | None = None

    @property
    def name(self) -> str:
        """The active file's database."""
        return file_name(self.number)

    @property
    def oldest(self) -> Head:
        """What the oldest record that is still there follows."""
        return Head(self.rows[0].first - 1, self.rows[0].previous) if self.rows else self.origin

    def holding(self, sequence: int) -> FileRow | None:
        """The file that has this record; None when it is the active one's (or nobody's, above or below all)."""
        if not self.oldest.sequence < sequence <= self.origin.sequence:
            return None
        return self.rows[bisect_left(self.rows, sequence, key=lambda row: row.last)]

    @property
    def is_accounted_for(self) -> bool:
        """Whether records that are no longer there are in a base."""
        return self.oldest.sequence <= (self.base.position if self.base is not None else 0)

    def row(self, number: int) -> FileRow | None:
        """The row of a file before the active one."""
        return next((row for row in self.rows if row.number == number), None)

    def replacing(self, row: FileRow) -> "Catalogue":
        """With another row for the same file."""
        rows = tuple(row if one.number == row.number else one for one in self.rows)
        return msgspec.structs.replace(self, rows=rows)

    def without_oldest(self) -> "Catalogue":
        """Without the oldest file."""
        return msgspec.structs.replace(self, rows=self.rows[1:])

    def with_base(self, base: BaseInfo) -> "Catalogue":
        """With another base."""
        return msgspec.structs.replace(self, base=base)

    def rotated(self, row: FileRow) -> "Catalogue":
        """With the active file closed, as `row`, and an empty one after it."""
        return Catalogue(self.number + 1, Head(row.last, row.head), (*self.rows, row), self.base)


def read_catalogue(connection: apsw.Connection) -> Catalogue:
    """The catalogue of a file of schema 2. Raises JournalDamaged when it contradicts itself."""
    numbers = typed_rows(connection, "SELECT file_number FROM identity", tuple[int])
    origins = typed_rows(connection, "SELECT sequence, hash FROM origin", tuple[int, bytes])
    if not numbers or not origins:
        raise JournalDamaged("a journal file does not say what it follows", hint=ADVICE)
    found = typed_rows(
        connection,
        "SELECT * FROM file ORDER BY number",
        tuple[int, str, str, int, int, bytes, bytes, int, int, int],
    )
    rows = tuple(FileRow(*row) for row in found)
    bases = typed_rows(connection, "SELECT position, hash, name, sha256 FROM base", tuple[int, bytes, str, bytes])
    catalogue = Catalogue(numbers[0][0], Head(*origins[0]), rows, BaseInfo(*bases[0]) if bases else None)
    _check_gapless(catalogue)
    return catalogue


def typed_rows(connection: apsw.Connection, query: str, kind: type[T]) -> list[T]:
    """Rows of these types, whatever the disk has made of the page they are on. Raises JournalDamaged."""
    try:
        return msgspec.convert(connection.execute(query).fetchall(), list[kind])  # type: ignore[valid-type]
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"a journal file says nothing sensible about itself: {error}", hint=ADVICE) from error


def write_catalogue(connection: apsw.Connection, catalogue: Catalogue) -> None:
    """Fill the tables of a new file."""
    connection.execute("INSERT INTO origin VALUES (1, ?, ?)", (catalogue.origin.sequence, catalogue.origin.hash))
    for row in catalogue.rows:
        write_row(connection, row)
    if catalogue.base is not None:
        write_base(connection, catalogue.base)


def write_row(connection: apsw.Connection, row: FileRow) -> None:
    """Insert or replace the row of a file."""
    connection.execute(
        "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row)
    )


def delete_row(connection: apsw.Connection, number: int) -> None:
    """Forget a file."""
    connection.execute("DELETE FROM file WHERE number = ?", (number,))


def write_base(connection: apsw.Connection, base: BaseInfo) -> None:
    """Insert or replace the base."""
    connection.execute("INSERT OR REPLACE INTO base VALUES (1, ?, ?, ?, ?)", msgspec.structs.astuple(base))


def _check_gapless(catalogue: Catalogue) -> None:
    """Each file follows the one before it, and the active one follows the last of them."""
    number, origin = catalogue.number - len(catalogue.rows), catalogue.oldest
    for row in catalogue.rows:
        if row.number != number or row.first != origin.sequence + 1 or row.previous != origin.hash:
            raise JournalDamaged(
                f"the catalogue contradicts itself at file {row.number}", sequence=row.first, hint=ADVICE
            )
        number, origin = number + 1, Head(row.last, row.head)
    if origin != catalogue.origin:
        raise JournalDamaged(
            f"file {catalogue.number} does not follow the file before it", sequence=origin.sequence + 1, hint=ADVICE
        )
