"""A journal's records without a journal: what an auditor reads, made by hand."""

from collections.abc import Iterator, Sequence
from typing import Any

from journal import Entry, FileInfo, Record
from journal.record import genesis, link
from s3d.events import OUTCOME_STREAM, Mutation, encode

HOUR_MS = 3_600_000


class Records:
    """Implements `audit.trail.Trail`; `at_ms` is the clock."""

    def __init__(self, at_ms: int) -> None:
        self.instance, self.epoch = "instance", 1
        self.at_ms = at_ms
        self.written: list[Record] = []
        self.kept_from = 1  # what is before it has been dropped

    def write(self, stream: str, kind: str = "PutObject", size: int = 1, **said: Any) -> int:
        """A mutation; its sequence number."""
        return self._append(Entry(stream, kind, encode(Mutation(size=size, **said)), None, b"", size))

    def tell(self, kind: str, payload: Any) -> int:
        """An outcome."""
        return self._append(Entry(OUTCOME_STREAM, kind, encode(payload)))

    def _append(self, entry: Entry) -> int:
        before = self.written[-1].hash if self.written else genesis(self.instance)
        self.written.append(link(before, len(self.written) + 1, self.at_ms, entry))
        return len(self.written)

    @property
    def head(self) -> int:
        return len(self.written)

    @property
    def files(self) -> Sequence[FileInfo]:
        last_ms = self.written[-1].written_at if self.written else 0
        return [FileInfo(1, "journal-000001.db", "active", self.kept_from, self.head, 0, 0, last_ms)]

    def records(self, after: int) -> Iterator[Record]:
        yield from self.written[max(after, self.kept_from - 1) :]

    def record(self, sequence: int) -> Record | None:
        return self.written[sequence - 1] if self.kept_from <= sequence <= self.head else None
