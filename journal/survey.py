"""Which files lie in a journal's directory, which of them is the active one, and what was left behind.

The active file is the highest one. Only a rotation that was cut short leaves one above it that is not whole; the mark
tells the two apart, because it names a file only after that file has become durable.
"""

import apsw

from journal.catalogue import Catalogue
from journal.database import catalogue_of, check_pages, connect_writer, schema_of
from journal.disk import Disk
from journal.errors import JournalDamaged, JournalForeign, JournalShortened
from journal.files import BASE_PREFIX, database_of, file_name, file_number, is_database
from journal.mark import MARK_BYTES, MARK_NAME, Mark, newest_slot
from journal.verify import ADVICE


def find_active(disk: Disk, directory: str, vfs: str | None, *, has_mark: bool) -> int:
    """The number of the active file; 1 where there has never been a journal.

    Raises JournalShortened or JournalDamaged when files are there but the active one is not.
    """
    numbers = unsealed_numbers(disk.names(directory))
    if not numbers:
        if has_mark:
            raise JournalShortened(f"there is no journal file in {directory}, but its mark is there", hint=ADVICE)
        if any(file_number(name) is not None and name.endswith(".sealed.db") for name in disk.names(directory)):
            raise JournalDamaged(f"the active journal file in {directory} is missing", hint=ADVICE)
        return 1
    highest = numbers[-1]
    mark = peek_mark(disk, directory)
    if mark is None:
        return highest
    if mark.file_number > highest:
        raise JournalShortened(
            f"journal file {mark.file_number} is missing, but the mark names it", sequence=None, hint=ADVICE
        )
    if mark.file_number < highest and highest - 1 in numbers and not is_whole(disk, directory, highest, vfs):
        return highest - 1
    return highest


def unsealed_numbers(names: list[str]) -> list[int]:
    """The numbers of the files that are not sealed, in order."""
    return sorted(number for name in names if is_database(name) and (number := file_number(name)) is not None)


def peek_mark(disk: Disk, directory: str) -> Mark | None:
    """What the mark says, as far as it can be read."""
    path = f"{directory}/{MARK_NAME}"
    if not disk.exists(path):
        return None
    file = disk.open(path)
    try:
        newest = newest_slot(file.pread(MARK_BYTES, 0))
    finally:
        file.close()
    return newest.mark if newest is not None else None


def is_whole(disk: Disk, directory: str, number: int, vfs: str | None) -> bool:
    """Whether a file is one that a rotation finished; whatever a cut left of one that it did not is False."""
    path = f"{directory}/{file_name(number)}"
    if disk.size_bytes(path) == 0:
        return False
    connection = None
    try:
        connection = connect_writer(path, vfs, exclusive=True)
        version = schema_of(connection, path)
        if version == 0:
            return False
        check_pages(connection)
        return catalogue_of(connection, version).number == number
    except (apsw.NotADBError, apsw.CorruptError, apsw.SQLError, JournalDamaged, JournalForeign, UnicodeDecodeError):
        return False
    finally:
        if connection is not None:
            connection.close()


def check_present(disk: Disk, directory: str, catalogue: Catalogue) -> None:
    """Every file that the catalogue names has to be there. Raises JournalDamaged."""
    for row in catalogue.rows:
        path = f"{directory}/{row.name}"
        if not disk.exists(path) or disk.size_bytes(path) == 0:
            raise JournalDamaged(
                f"{path} is missing or empty: it had records {row.first} to {row.last}",
                sequence=row.first,
                hint=ADVICE,
            )


def leftovers(disk: Disk, directory: str, catalogue: Catalogue) -> list[str]:
    """The files of this journal's that nothing names: what an interrupted rotation, sealing or drop left behind.

    Bases are left over only while the one that counts is there: without it, another one may be all that is left.
    """
    wanted = {catalogue.name, *(row.name for row in catalogue.rows)}
    base = catalogue.base.name if catalogue.base is not None else None
    spare_bases = base is None or disk.exists(f"{directory}/{base}")
    found = []
    for name in disk.names(directory):
        if file_number(name) is not None:
            if database_of(name) not in wanted or name.endswith(".new"):
                found.append(name)
        elif name.startswith(BASE_PREFIX) and spare_bases and name != base:
            found.append(name)
    return found
