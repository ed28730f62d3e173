"""Where an audit's records come from: a journal's files, or a daemon that has them open; and reading them through."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from journal import FileInfo, Head, JournalDamaged, Record
from journal.record import follows
from journal.verify import ADVICE, not_following
from s3d.audit.decided import Decisions
from s3d.audit.fates import DAY_MS, Fates

STEP_RECORDS = 1000


class Trail(Protocol):
    """A journal as it was at one moment."""

    @property
    def instance(self) -> str:
        """Which journal it is."""

    @property
    def epoch(self) -> int:
        """And in which epoch."""

    @property
    def head(self) -> int:
        """The sequence number of its last record; 0: it is empty."""

    @property
    def files(self) -> Sequence[FileInfo]:
        """Its files, oldest first."""

    def records(self, after: int) -> Iterator[Record]:
        """Every record behind a place, up to the head, in order. Raises JournalError or S3dError."""

    def record(self, sequence: int) -> Record | None:
        """One record; None: it is not retained."""


def first_of(files: Sequence[FileInfo]) -> int:
    """The oldest record that is retained."""
    return files[0].first if files else 1


def start_of(files: Sequence[FileInfo], since_ms: int) -> int:
    """Behind which record to begin, so that nothing of what was written since a moment is left out.

    Files whose last record is a day older are: no clock is set back by more than that without somebody knowing.
    """
    after = first_of(files) - 1
    for file in files:
        if not 0 < file.last_written_at_ms < since_ms - DAY_MS:
            break
        after = file.last
    return after


def read_through(
    trail: Trail, fates: Fates, decisions: Decisions, after: int, advance: Callable[[int], object]
) -> Record | None:
    """Give what is behind a record to `fates` and `decisions`, as far as it matters; the last record that was read.

    `advance` is told of every thousand records. Raises JournalDamaged where the chain breaks, JournalError, S3dError.
    """
    count, last = 0, None
    for record in chained(trail.records(after)):
        fates.take(record)
        decisions.take(record)
        count, last = count + 1, record
        if count % STEP_RECORDS == 0:
            advance(STEP_RECORDS)
            if fates.is_over:
                break
    return last


def chained(records: Iterable[Record]) -> Iterator[Record]:
    """The records, each of which follows the one before it. Raises JournalDamaged for the first that does not."""
    before: Record | None = None
    for record in records:
        if before is not None:
            if record.sequence != before.sequence + 1:
                missing = before.sequence + 1
                raise JournalDamaged(f"record {missing} is missing", sequence=missing, hint=ADVICE)
            if not follows(before.hash, record):
                raise not_following(record.sequence)
        before = record
        yield record


def following(origin: Head, records: Iterable[Record]) -> Iterator[Record]:
    """The same, the first of which follows `origin`. Raises JournalDamaged."""
    first = True
    for record in chained(records):
        if first and (record.sequence != origin.sequence + 1 or not follows(origin.hash, record)):
            raise not_following(record.sequence)
        first = False
        yield record
