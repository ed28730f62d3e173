"""Make a data directory of an export: the same records under the same numbers and hashes, in a new epoch.

It is made beside its place, verified as a whole, and then put there: an import that was interrupted, or that met
something wrong in the last line, leaves nothing. Bodies that the export does not have are gone there as they are in a
file that was sealed, so nobody takes them for zero bytes.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from journal import BaseInfo, Head, Identity, JournalDamaged, JournalError, Record, SqliteBackend, inspect
from journal.adoption import new_epoch
from journal.disk import Disk
from journal.epochs import begins_name
from journal.files import CLOSED, SEALED
from journal.imports import damaged
from s3d.blobs.files import BlobFiles, BlobWriter
from s3d.clock import Clock
from s3d.errors import DataDirectoryError
from s3d.history.importing import BasePiece, BlobPiece, Import, ImportedRecord, Item

BATCH_RECORDS = 1000
BATCH_BYTES = 8 * 1024 * 1024
FILE_BYTES_MAX = 64 * 1024 * 1024  # of exports that do not say where their files ended
_ROTATIONS_TRIED = 100


class Imported(msgspec.Struct, frozen=True):
    """What is in the new directory."""

    instance: str
    epoch: int
    first: int
    head: int
    records: int
    bodies: int
    blobs: int


def import_journal(
    file: BinaryIO, data_dir: str, disk: Disk, clock: Clock, advance: Callable[[int], object]
) -> Imported:
    """Import into a directory that is not there yet, or is empty; nothing else is touched.

    `advance` is told of bytes that were read. Raises JournalError with the line, where there is one; S3dError, OSError.
    """
    target = os.path.abspath(data_dir)
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise DataDirectoryError(
            f"{data_dir} is there already", hint="name a directory that is not: nothing is replaced"
        )
    export = Import(file, advance)
    making = tempfile.mkdtemp(prefix=f".{os.path.basename(target)[:100]}-", dir=os.path.dirname(target))
    try:
        imported = _Making(export, making, disk).run()
        identity, _ = new_epoch(f"{making}/journal", disk=disk, at_least=int(clock.now()))
        with inspect(f"{making}/journal") as inspection:
            inspection.verify()
        for directory in (f"{making}/journal", making):
            disk.sync_directory(directory)
        os.rename(making, target)
        disk.sync_directory(os.path.dirname(target))
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return msgspec.structs.replace(imported, epoch=identity.epoch)


class _Making:
    """One directory, on its way."""

    def __init__(self, export: Import, directory: str, disk: Disk) -> None:
        self._export = export
        self._disk = disk
        self._journal_dir = f"{directory}/journal"
        self._blobs = BlobFiles(disk, f"{directory}/blobs")
        self._identity = Identity(export.header.instance, export.header.epoch)
        self._ends = dict(export.header.files)
        self._sealed: list[int] = []
        self._writer: BlobWriter | None = None
        self._batch: list[Record] = []
        self._bodies: dict[int, bytes] = {}
        self._batch_bytes = self._file_bytes = 0
        self._records = self._with_body = self._with_blob = 0

    def run(self) -> Imported:
        """Read everything and write it down."""
        header = self._export.header
        base = self._export.base()
        if header.origin.sequence and (base is None or base.position < header.origin.sequence):
            raise damaged(1, f"records before {header.origin.sequence + 1} were dropped, and no base stands for them")
        self._disk.make_directory(self._journal_dir)
        self._backend = SqliteBackend(
            self._journal_dir,
            disk=self._disk,
            ballast_bytes=0,
            file_bytes_max=1,  # it goes on in a new file whenever it is asked to settle
            rest=lambda: None,
            continues=(self._identity, header.origin),
        )
        self._backend.open()
        try:
            self._write_all(base)
            self._finish(base)
        finally:
            self._backend.close()
        return Imported(
            self._identity.instance,
            self._identity.epoch,
            header.origin.sequence + 1,
            self._export.head.sequence,
            self._records,
            self._with_body,
            self._with_blob,
        )

    def _write_all(self, base: BaseInfo | None) -> None:
        base_file = open(f"{self._journal_dir}/{base.name}", "wb") if base is not None else None  # noqa: SIM115
        try:
            for item in self._export.items():
                if isinstance(item, BasePiece) and base_file is not None:
                    base_file.write(item.data)
                else:
                    self._take(item)
            if base_file is not None:
                base_file.flush()
                os.fsync(base_file.fileno())
        finally:
            if base_file is not None:
                base_file.close()
            if self._writer is not None:
                self._writer.abort()

    def _take(self, item: Item) -> None:
        match item:
            case ImportedRecord():
                self._take_record(item.record, item.body)
            case BlobPiece():
                self._take_blob(item)
            case BasePiece():
                raise JournalError("the export has a base that its first line does not know of")

    def _take_record(self, record: Record, body: bytes | None) -> None:
        self._batch.append(record)
        self._records += 1
        size = len(record.payload)
        if body is not None:
            self._bodies[record.sequence] = body
            self._with_body += 1
            size += len(body)
        self._batch_bytes += size
        self._file_bytes += size
        if record.sequence in self._ends:
            self._end_file(self._ends[record.sequence])
        elif not self._ends and self._file_bytes >= FILE_BYTES_MAX:
            self._end_file(CLOSED)
        elif len(self._batch) >= BATCH_RECORDS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def _take_blob(self, piece: BlobPiece) -> None:
        if piece.is_first:
            if not self._with_blob:
                self._blobs.prepare()
            self._writer = BlobWriter(self._blobs, piece.blob)
            self._writer.create()
        assert self._writer is not None, "the pieces of a blob come in order"
        self._writer.write(piece.data)
        if piece.is_last:
            self._writer.finish()
            self._writer = None
            self._with_blob += 1

    def _flush(self) -> None:
        if self._batch:
            self._backend.append(self._batch, self._bodies, {})
        self._batch, self._bodies, self._batch_bytes = [], {}, 0

    def _end_file(self, state: str) -> None:
        """Go on in the next one, as the journal did that was exported."""
        self._flush()
        number = self._backend.files()[-1].number
        for _ in range(_ROTATIONS_TRIED):
            self._backend.settle(idle=True)
            if self._backend.files()[-1].number > number:
                break
        else:
            raise JournalError("the next journal file cannot be begun", hint="is there space on the volume?")
        self._file_bytes = 0
        if state == SEALED or not self._export.has_bodies:
            self._sealed.append(number)

    def _finish(self, base: BaseInfo | None) -> None:
        self._flush()
        if not self._export.has_bodies and self._backend.files()[-1].last > self._backend.files()[-1].first - 1:
            self._end_file(SEALED)
        for number in self._sealed:
            self._backend.copy_sealed(number)
            self._backend.seal(number)
        self._backend.append((), {}, {begins_name(epoch): before for epoch, before in self._export.header.epochs})
        if base is not None:
            self._check_bound(base)
            self._backend.check_base(base)
            self._backend.record_base(base)

    def _check_bound(self, base: BaseInfo) -> None:
        head: Head = self._export.head
        if not self._export.header.origin.sequence <= base.position <= head.sequence:
            raise JournalDamaged(f"the export's base is of record {base.position}, which it does not have")
