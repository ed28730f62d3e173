"""Write a damaged journal anew, in a directory of its own: what was saved, and what keeps the places of the rest.

Sequence numbers and hashes stay what they were, also behind a loss, so that bodies in files, the view, receipts and
whatever was signed still mean the same records. Files that are whole are linked. Where records were lost a new epoch
begins: their effects may be at the remote, and the owner has to ask there for what is not here.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator

import msgspec

from journal.backend import Identity
from journal.catalogue import Catalogue, FileRow
from journal.database import PAGE_SIZE_BYTES, connect_scratch, create_schema
from journal.diagnosis import Copied, Diagnosis, FileLook, diagnose
from journal.disk import Disk
from journal.epochs import begins_name
from journal.errors import JournalDamaged, JournalError
from journal.files import BaseInfo
from journal.mark import Mark, MarkFile, owner_of
from journal.record import Head

_WRITE = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class NewBase(msgspec.Struct, frozen=True):
    """A base that lies in the new directory already: up to which record it is, its name, and its SHA-256."""

    position: int
    name: str
    sha256: bytes


def rebuild(
    copied: Copied, found: Diagnosis, target: str, disk: Disk, *, base: NewBase | None, new_epoch: bool
) -> tuple[Identity, Head]:
    """Write the journal of `found` into the directory `target`, durably; who it is now, and its last record.

    Raises JournalDamaged when what was written does not verify, JournalError or OSError.
    """
    assert found.identity is not None, "who it is was found out before anybody wanted it written"
    assert found.catalogue is not None, "and what its files are"
    identity = Identity(found.identity.instance, found.identity.epoch + int(new_epoch))
    rows = tuple(
        _older(copied, found.directory, target, disk, identity, *pair)
        for pair in zip(found.files[:-1], found.catalogue.rows, strict=True)
    )
    old = None if found.base_trouble else found.catalogue.base
    if old is not None and base is None:
        _link(f"{found.directory}/{old.name}", f"{target}/{old.name}")
    active, hashes = found.files[-1], {found.files[-1].origin.sequence: found.files[-1].origin.hash}
    catalogue = Catalogue(active.number, active.origin, rows)
    begins = {begins_name(identity.epoch): found.head.sequence} if new_epoch else {}
    with _scratch(f"{target}/{active.name}", disk) as writing:
        writing.begin(identity, catalogue, copied.positions() | begins)
        writing.records(copied, active, hashes)
        if base is not None:
            writing.base(BaseInfo(base.position, _hash(hashes, base.position), base.name, base.sha256))
        elif old is not None:
            writing.base(old)
    head = found.head
    MarkFile.create(disk, target, Mark(active.number, head, owner_of(identity))).close()
    disk.sync_directory(target)
    _prove(target, head)
    return identity, head


def _older(
    copied: Copied, source: str, target: str, disk: Disk, identity: Identity, look: FileLook, row: FileRow
) -> FileRow:
    if not look.trouble:
        _link(f"{source}/{look.name}", f"{target}/{look.name}")
        return row
    path = f"{target}/{row.name}"
    with _scratch(path, disk) as writing:
        writing.begin(identity, Catalogue(look.number, look.origin), {})
        writing.records(copied, look, {})
    return msgspec.structs.replace(row, size_bytes=disk.size_bytes(path))


class _Writing:
    def __init__(self, path: str) -> None:
        self._connection = connect_scratch(path, None)
        self._connection.execute(f"PRAGMA page_size={PAGE_SIZE_BYTES}")
        self.close = self._connection.close

    def begin(self, identity: Identity, catalogue: Catalogue, positions: dict[str, int]) -> None:
        create_schema(self._connection, identity, catalogue, positions)

    def records(self, copied: Copied, look: FileLook, hashes: dict[int, bytes]) -> None:
        with self._connection:
            for record, body in copied.saved(look):
                self._connection.execute(_WRITE, (*msgspec.structs.astuple(record), body))
                hashes[record.sequence] = record.hash

    def base(self, base: BaseInfo) -> None:
        with self._connection:
            self._connection.execute("INSERT INTO base VALUES (1, ?, ?, ?, ?)", msgspec.structs.astuple(base))


@contextlib.contextmanager
def _scratch(path: str, disk: Disk) -> Iterator[_Writing]:
    """A new database, durable at the end of the block."""
    file = disk.create(path)  # kept open until the sync, so that no failed write-back in between goes unseen
    try:
        writing = _Writing(path)
        try:
            yield writing
        finally:
            writing.close()
        file.sync()
    finally:
        file.close()


def _hash(hashes: dict[int, bytes], position: int) -> bytes:
    if position not in hashes:
        raise JournalError(f"record {position}, up to which the base is, is not in the active file")
    return hashes[position]


def _link(source: str, target: str) -> None:
    """The same file under another name: it is written no more."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prove(target: str, head: Head) -> None:
    found = diagnose(target)
    if found.hopeless or found.damaged or found.mark_trouble or found.base_trouble or found.head != head:
        raise JournalDamaged(
            "what was written does not verify: nothing was exchanged", hint="check the disk, and call this again"
        )
