"""Where an audit's records come from: a daemon that has the journal open, its files while none has, or an export."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from journal import FileInfo, Head, Inspection, Record
from s3d.audit.chain_file import CheckpointLine, HeaderLine, Line, RecordLine, parse_line, record_of
from s3d.audit.checkpoint import milliseconds_of, statement_of
from s3d.audit.trail import first_of
from s3d.cli.asking import AdminClient
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint
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
    """Implements `audit.trail.Trail` over exports that follow each other, oldest first, of which `s3d audit verify`
    says whether they can be believed. `as_of_ms` is when the last of them was signed: it knows of nothing after that.

    Raises S3dError when one is none, when they are of different sites, and when records between them are in neither.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        parts = [_read_part(path) for path in paths]
        header, newest = parts[0].header, parts[-1]
        self.instance, self.epoch, self.head = header.site, newest.header.epoch, newest.last
        self.origin = Head(header.first - 1, bytes.fromhex(header.previous))
        self.as_of_ms = newest.as_of_ms
        self.files: Sequence[FileInfo] = [*_in_a_row(parts)]

    def records(self, after: int) -> Iterator[Record]:
        """See Trail."""
        for file in self.files:
            if file.last <= after:
                continue
            for line in _lines_of(file.name):
                if isinstance(line, RecordLine) and line.seq > after:
                    yield record_of(line)
                    after = line.seq

    def record(self, sequence: int) -> Record | None:
        """See Trail."""
        return _exactly(sequence, [*_first(self.records(sequence - 1))])


class _Part(NamedTuple):
    """One export: its first line, its last record, when that was written, and when it was signed."""

    path: str
    header: HeaderLine
    last: int
    last_ms: int
    as_of_ms: int


def _read_part(path: str) -> _Part:
    header, last, last_ms, as_of_ms = None, 0, 0, 0
    for line in _lines_of(path):
        if isinstance(line, HeaderLine):
            header = line
        elif isinstance(line, RecordLine):
            last, last_ms = line.seq, line.at_ms
        elif isinstance(line, CheckpointLine):
            said = statement_of(AuditCheckpoint(statement=line.statement, signature=line.signature))
            as_of_ms = milliseconds_of(said.at)
    if header is None:
        raise S3dError(f"{path} is no export", hint="`s3d audit export` makes one")
    return _Part(path, header, max(last, header.first - 1), last_ms, as_of_ms or last_ms)


def _in_a_row(parts: Sequence[_Part]) -> Iterator[FileInfo]:
    """Each with what the ones before it do not have."""
    first = parts[0].header.first
    for number, part in enumerate(parts, 1):
        if part.header.site != parts[0].header.site:
            raise S3dError(f"{part.path} and {parts[0].path} are of different sites", hint="name those of one")
        if part.header.first > first:
            gone = f"records {first} to {part.header.first - 1}"
            raise S3dError(f"{gone} are in none of these exports", hint="name them oldest first, and all of them")
        if part.last < first - 1:
            raise S3dError(f"{part.path} ends before the export before it", hint="name the oldest export first")
        size = os.stat(part.path).st_size
        yield FileInfo(number, part.path, "sealed", first, part.last, size, 0, part.last_ms)
        first = part.last + 1


def _lines_of(path: str) -> Iterator[Line]:
    with open(path, "rb") as file:
        for number, content in enumerate(file, 1):
            try:
                yield parse_line(content)
            except ValueError as error:
                hint = "`s3d audit export` makes one, `s3d audit verify` says what is wrong with it"
                raise S3dError(f"line {number} of {path} is not of an export: {error}", hint=hint) from None


Trails = DaemonTrail | FilesTrail | ExportTrail


@contextmanager
def opened_trail(client: AdminClient, data_dir: str | None, export_files: Sequence[str] = ()) -> Iterator[Trails]:
    """The journal of the daemon that answers, of a directory, or as exports have it."""
    if export_files:
        if data_dir is not None:
            raise S3dError("--export and --data-dir are two places to read from", hint="leave one of them out")
        yield ExportTrail(export_files)
        return
    if data_dir is None:
        yield DaemonTrail(client)
        return
    from journal.inspection import inspect
    from s3d.cli.directory import journal_directory

    with inspect(journal_directory(data_dir)) as inspection:
        yield FilesTrail(inspection)
