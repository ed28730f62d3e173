"""A journal whose past is asked for, and its bodies: at the daemon that has it open, or on the disk of another."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from journal import BaseInfo, Inspection
from journal.disk import RealDisk
from s3d.blobs.files import BlobFiles
from s3d.cli.asking import AdminClient
from s3d.cli.trails import DaemonTrail, FilesTrail
from s3d.errors import S3dError
from s3d.history.whereabouts import moved_bodies
from s3d.telemetry.journal_pages import BodyReport
from s3d.values import GONE, BlobBytes, Extents, RowBytes
from s3d.view.rows import ObjectRow

_PIECE_BYTES = 1024 * 1024
Write = Callable[[bytes], object]


class PastObject(msgspec.Struct, frozen=True):
    """An object as it was; `relocated` is what the past view knows of a body that has left its row."""

    bucket: str
    key: str
    row: ObjectRow
    relocated: Callable[[int], str | None]


class DaemonPast(DaemonTrail):
    """Implements `history.past.PastSource`, and gives bodies."""

    def __init__(self, client: AdminClient) -> None:
        super().__init__(client)
        self._client = client

    def base(self) -> BaseInfo | None:
        """See PastSource."""
        return self.report.base

    def copy_base(self, write: Write) -> None:
        """See PastSource."""
        assert self.report.base is not None, "only a base that was told of is asked for"
        self._client.download("/v1/journal/base", write, {"position": str(self.report.base.position)})

    def has_body(self, wanted: PastObject) -> bool:
        """Whether the daemon still has the bytes of an object on its disk."""
        query = {"bucket": wanted.bucket, "key": wanted.key}
        return self._client.get(f"/v1/journal/bodies/{wanted.row.sequence}", BodyReport, query).here

    def copy_body(self, wanted: PastObject, write: Write) -> None:
        """Hand them to `write`. Raises S3dError."""
        query = {"bucket": wanted.bucket, "key": wanted.key}
        self._client.download(f"/v1/journal/bodies/{wanted.row.sequence}/bytes", write, query)


class FilesPast(FilesTrail):
    """The same for the journal in `directory`, which `inspection` has a private copy of; only read, never changed."""

    def __init__(self, inspection: Inspection, directory: str) -> None:
        super().__init__(inspection)
        self._inspection = inspection
        self._directory = directory
        self._moved: Mapping[int, str] | None = None
        self._blobs = BlobFiles(RealDisk(), f"{os.path.dirname(os.path.abspath(directory))}/blobs")

    def base(self) -> BaseInfo | None:
        """See PastSource."""
        return self._inspection.base()

    def copy_base(self, write: Write) -> None:
        """See PastSource."""
        base = self._inspection.base()
        assert base is not None, "only a base that was told of is asked for"
        with open(f"{self._directory}/{base.name}", "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                write(piece)

    def has_body(self, wanted: PastObject) -> bool:
        """Whether the bytes are in the directory."""
        return self.has_bytes(wanted.row.extents, wanted.relocated)

    def has_bytes(self, extents: Extents, relocated: Callable[[int], str | None]) -> bool:
        """Whether all of these are; `relocated` is what a view knows of bodies that have left their row."""
        return self._found(extents, relocated) is not None

    def copy_body(self, wanted: PastObject, write: Write) -> None:
        """Hand them to `write`. Raises JournalError, BlobDamaged or OSError."""
        extents = self._found(wanted.row.extents, wanted.relocated)
        if extents is None:
            raise S3dError(f"the bytes of record {wanted.row.sequence} are not here")
        for extent in extents:
            if isinstance(extent, RowBytes):
                body = self._inspection.body(extent.sequence) or b""
                write(body[extent.offset : extent.offset + extent.length])
                continue
            self._blobs.check(extent.blob)
            for offset in range(extent.offset, extent.offset + extent.length, _PIECE_BYTES):
                length = min(_PIECE_BYTES, extent.offset + extent.length - offset)
                write(self._blobs.read(extent.blob, offset, length))

    def _found(self, extents: Extents, relocated: Callable[[int], str | None]) -> Extents | None:
        """Where all the bytes are by now; None: not all of them are anywhere here."""
        rows = [one.sequence for one in extents if isinstance(one, RowBytes)]
        gone = {one for one in rows if self._inspection.body(one) is None}
        blobs = {one: blob for one in gone if (blob := relocated(one)) is not None}
        if missing := gone - blobs.keys():
            if self._moved is None:
                self._moved = moved_bodies(self.records(0))
            blobs |= {one: self._moved[one] for one in missing if one in self._moved}
        if gone - blobs.keys():
            return None
        found = tuple(
            BlobBytes(blobs[one.sequence], one.offset, one.length)
            if isinstance(one, RowBytes) and one.sequence in blobs
            else one
            for one in extents
        )
        return found if all(self._is_there(one.blob) for one in found if isinstance(one, BlobBytes)) else None

    def _is_there(self, blob: str) -> bool:
        return blob != GONE and os.path.exists(self._blobs.path(blob))


Past = DaemonPast | FilesPast


@contextmanager
def opened_past(client: AdminClient, data_dir: str | None) -> Iterator[Past]:
    """The journal of the daemon that answers, or of a directory."""
    if data_dir is None:
        yield DaemonPast(client)
        return
    with opened_files(data_dir) as source:
        yield source


@contextmanager
def opened_files(data_dir: str) -> Iterator[FilesPast]:
    """The journal of a directory."""
    from journal.inspection import inspect
    from s3d.cli.directory import journal_directory

    directory = journal_directory(data_dir)
    with inspect(directory) as inspection:
        yield FilesPast(inspection, directory)
