"""Where the records of an audit come from: the daemon that has the journal open, or its files while it has not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from journal import FileInfo, Inspection, Record
from s3d.cli.asking import AdminClient
from s3d.errors import S3dError
from s3d.telemetry.journal_pages import JournalPage, JournalReport


class DaemonTrail:
    """Implements `audit.trail.Trail` by asking a daemon, page by page, up to what was its head at the beginning."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        found = client.get("/v1/journal", JournalReport)
        self.instance, self.epoch, self.head = found.instance, found.epoch, found.head
        self.files: Sequence[FileInfo] = found.files

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


@contextmanager
def opened_trail(client: AdminClient, data_dir: str | None) -> "Iterator[DaemonTrail | FilesTrail]":
    """The journal of the daemon that answers, or of a directory."""
    if data_dir is None:
        yield DaemonTrail(client)
        return
    from journal.inspection import inspect
    from s3d.cli.directory import journal_directory

    with inspect(journal_directory(data_dir)) as inspection:
        yield FilesTrail(inspection)
