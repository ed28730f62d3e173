"""Where an audit's records come from: a daemon that has the journal open, its files while none has, or an export."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from journal import FileInfo, Head, Inspection, Record
from s3d.audit.chain_file import HeaderLine, Line, RecordLine, parse_line, record_of
from s3d.audit.trail import first_of
from s3d.cli.asking import AdminClient
from s3d.errors import S3dError
from s3d.telemetry.journal_pages import JournalPage, JournalReport


class DaemonTrail:
    """Implements `audit.trail.Trail` by asking a daemon, page by page, up to what was its head at the beginning."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self.report = found = client.get("/v1/journal", JournalReport)
        self.instance, self.epoch, self.head = found.instance, found.epoch, found.head
        self.files: Sequence[FileInfo] = found.files
        self.origin = Head(first_of(found.files) - 1, bytes.fromhex(found.previous))

    def records(self, after: int) -> Iterator[Record]:
        """See Trail."""
        while after < self.head:
            page = self._client.get("/v1/journal/records", JournalPage, {"after": str(after)})
            if not page.records or page.records[0].sequence != after + 1:
                raise S3dError("the daemon has dropped old records while they were read", hint="begin again")
            for record in page.records:
                if record.sequence > self.head:
                    return
                yield record
            after = page.records[-1].sequence

    def record(self, sequence: int) -> Record | None:
        """See Trail."""
        query = {"after": str(sequence - 1), "limit": "1"}
        return _exactly(sequence, self._client.get("/v1/journal/records", JournalPage, query).records)


class FilesTrail:
    """Implements `audit.trail.Trail` over the journal of a data directory, of which it reads a private copy."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        identity = inspection.identity
        self.instance, self.epoch, self.head = identity.instance, identity.epoch, inspection.head.sequence
        self.files: Sequence[FileInfo] = inspection.files()
        self.origin = inspection.origin

    def records(self, after: int) -> Iterator[Record]:
        """See Trail."""
        self._inspection.check_mark()
        yield from self._inspection.records(after)

    def record(self, sequence: int) -> Record | None:
        """See Trail."""
        return _exactly(sequence, [*_first(self._inspection.records(sequence - 1))])


def _first(records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        yield record
        return


def _exactly(sequence: int, records: Sequence[Record]) -> Record | None:
    return records[0] if records and records[0].sequence == sequence else None


class ExportTrail:
    """Implements `audit.trail.Trail` over an export, of which `s3d audit verify` says whether it can be believed.

    Raises S3dError when it is none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        header, last, last_ms = None, 0, 0
        for line in self._lines():
            if isinstance(line, HeaderLine):
                header = line
            elif isinstance(line, RecordLine):
                last, last_ms = line.seq, line.at_ms
        if header is None:
            raise S3dError(f"{path} is no export", hint="`s3d audit export` makes one")
        self.instance, self.epoch, self.head = header.site, header.epoch, max(last, header.first - 1)
        self.origin = Head(header.first - 1, bytes.fromhex(header.previous))
        size = os.stat(path).st_size
        self.files: Sequence[FileInfo] = [FileInfo(1, path, "sealed", header.first, self.head, size, 0, last_ms)]

    def records(self, after: int) -> Iterator[Record]:
        """See Trail."""
        return (record_of(line) for line in self._lines() if isinstance(line, RecordLine) and line.seq > after)

    def record(self, sequence: int) -> Record | None:
        """See Trail."""
        return _exactly(sequence, [*_first(self.records(sequence - 1))])

    def _lines(self) -> Iterator[Line]:
        with open(self._path, "rb") as file:
            for number, content in enumerate(file, 1):
                try:
                    yield parse_line(content)
                except ValueError as error:
                    hint = "`s3d audit export` makes one, `s3d audit verify` says what is wrong with it"
                    raise S3dError(f"line {number} of {self._path} is not of an export: {error}", hint=hint) from None


Trails = DaemonTrail | FilesTrail | ExportTrail


@contextmanager
def opened_trail(client: AdminClient, data_dir: str | None, export_file: str | None = None) -> Iterator[Trails]:
    """The journal of the daemon that answers, of a directory, or as an export has it."""
    if export_file is not None:
        if data_dir is not None:
            raise S3dError("--export and --data-dir are two places to read from", hint="leave one of them out")
        yield ExportTrail(export_file)
        return
    if data_dir is None:
        yield DaemonTrail(client)
        return
    from journal.inspection import inspect
    from s3d.cli.directory import journal_directory

    with inspect(journal_directory(data_dir)) as inspection:
        yield FilesTrail(inspection)
