"""Verify the files before the active one while the journal is already open (only the active one is checked at start).

One step is one page of records, so that whoever takes the steps decides how much of the machine they may have. Files
may be sealed or dropped between two steps: the chain is the same one.
"""

from collections.abc import Iterator

import msgspec

from journal.backend import Backend
from journal.errors import JournalDamaged
from journal.files import FileInfo
from journal.record import Head, Record, follows
from journal.verify import ADVICE

PAGE_RECORDS = 500


class Verified(msgspec.Struct, frozen=True):
    """How far a verification has come: up to record `position`, in file `number`, of records up to `last`."""

    number: int
    position: int
    last: int


def verify_older(backend: Backend, page_records: int = PAGE_RECORDS) -> Iterator[Verified]:
    """Follow the chain through every file before the active one, and into it; one step is one page.

    Raises JournalDamaged naming the first record that does not follow.
    """
    position = backend.origin()
    while (file := _file_after(backend, position)) is not None:
        if position.sequence + 1 == file.first:
            backend.check_file(file.number)
        records = backend.read(position.sequence, min(page_records, file.last - position.sequence))
        origin = backend.origin()
        if position.sequence < origin.sequence:  # its file was dropped meanwhile
            position = origin
            continue
        if not records:
            raise JournalDamaged(f"record {position.sequence + 1} cannot be read", sequence=position.sequence + 1)
        position = _follow(position, records)
        yield Verified(file.number, position.sequence, backend.files()[-1].first - 1)
    _follow(position, backend.read(position.sequence, 1))


def _file_after(backend: Backend, position: Head) -> FileInfo | None:
    return next((file for file in backend.files()[:-1] if file.last > position.sequence), None)


def _follow(position: Head, records: list[Record]) -> Head:
    for record in records:
        if record.sequence != position.sequence + 1 or not follows(position.hash, record):
            raise JournalDamaged(
                f"record {position.sequence + 1} is missing, or does not follow the one before it",
                sequence=position.sequence + 1,
                hint=ADVICE,
            )
        position = Head(record.sequence, record.hash)
    return position
