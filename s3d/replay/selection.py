"""Which pending records are replayed: a range of sequences or times, a prefix, some operations. Pure.

What a selected record cannot do without is selected along with it: the making of its bucket and, for a part of an
upload, the rest of that upload.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from s3d.audit.period import parse_moment
from s3d.errors import S3dError
from s3d.values import BucketSet
from s3d.view.questions import SEQUENCE_MAX, Questions
from s3d.view.rows import PendingRow, PendingTotals

UPLOAD = frozenset({"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"})
OPERATIONS = frozenset(
    {
        "PutObject",
        "CopyObject",
        "DeleteObject",
        "PutObjectTagging",
        "DeleteObjectTagging",
        "CreateBucket",
        "DeleteBucket",
        *UPLOAD,
    }
)
_SEQUENCE = re.compile(r"(?:[0-9]{1,9}-)?([0-9]{1,18})\Z", re.ASCII)
_PAGE = 500


class PlaceError(S3dError):
    """Neither a sequence nor a time."""


class Place(msgspec.Struct, frozen=True):
    """A place in the journal: a sequence, or a time in milliseconds since 1970. One of them is set."""

    sequence: int = 0
    at_ms: int = 0


def parse_place(text: str) -> Place:
    """`1042`, `1-1042` as `x-s3d-seq` has it, or a time such as `2026-11-23T08:00:00Z`; UTC where it names no zone.

    Raises PlaceError.
    """
    if found := _SEQUENCE.match(text):
        return Place(sequence=int(found[1]))
    try:
        return Place(at_ms=parse_moment(text))
    except S3dError:
        raise PlaceError(
            f"{text[:40]!r} is neither a sequence nor a time",
            hint="for instance 1042, 2026-11-23 or 2026-11-23T08:00:00Z",
        ) from None


class Selection(msgspec.Struct, frozen=True):
    """What is asked for, both ends included. `prefix`: `BUCKET` or `BUCKET/PREFIX`; `operations` are empty for all.

    `buckets` are those that are at one of several remotes; None: it does not matter.
    """

    first: Place = Place()
    last: Place = Place(sequence=SEQUENCE_MAX)
    prefix: str = ""
    operations: frozenset[str] = frozenset()
    buckets: BucketSet | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def selects(self, row: PendingRow) -> bool:
        """Whether this record is to be sent."""
        if self._is_after(row) or not (self.buckets is None or row.bucket in self.buckets):
            return False
        if row.kind == "CreateBucket" and self.prefix.partition("/")[0] in {"", row.bucket}:
            return True
        return not self._is_before(row) and self._is_of_the_operations(row) and self._is_under_the_prefix(row)

    def _is_before(self, row: PendingRow) -> bool:
        return row.at_ms < self.first.at_ms or row.sequence < self.first.sequence

    def _is_after(self, row: PendingRow) -> bool:
        if self.last.at_ms:
            return row.at_ms > self.last.at_ms
        return row.sequence > self.last.sequence

    def _is_of_the_operations(self, row: PendingRow) -> bool:
        if not self.operations or row.kind in self.operations:
            return True
        return row.kind in UPLOAD and not UPLOAD.isdisjoint(self.operations)

    def _is_under_the_prefix(self, row: PendingRow) -> bool:
        bucket, slash, prefix = self.prefix.partition("/")
        if not bucket:
            return True
        return row.bucket == bucket and (not slash or (bool(row.key) and row.key.startswith(prefix)))


class SelectedQuestions(Questions):
    """Questions whose pending records are the selected ones only."""

    def __init__(self, connection: Any, selection: Selection) -> None:
        super().__init__(connection)
        self._selection = selection

    def unsent_after(self, sequence: int, limit: int) -> list[PendingRow]:
        """See `Questions.unsent_after`."""
        if self._selection.is_everything:
            return super().unsent_after(sequence, limit)
        found: list[PendingRow] = []
        while page := super().unsent_after(sequence, max(limit, _PAGE)):
            found += [row for row in page if self._selection.selects(row)]
            if len(found) >= limit:
                return found[:limit]
            sequence = page[-1].sequence
        return found

    def unsent_among(self, sequence: int, buckets: BucketSet, limit: int) -> tuple[list[PendingRow], int, bool]:
        """See `PendingAmong.unsent_among`."""
        rows, last, more = super().unsent_among(sequence, buckets, limit)
        return [row for row in rows if self._selection.selects(row)], last, more

    def selected_totals(self) -> PendingTotals:
        """`pending_totals` of the selected ones. Reads every pending record."""
        if self._selection.is_everything:
            return self.pending_totals()
        rows = list(self.selected())
        oldest = min((row.at_ms for row in rows), default=0)
        parked = sum(1 for row in rows if row.parked)
        return PendingTotals(len(rows), sum(row.size for row in rows), parked, oldest, self.position)

    def selected(self, *, others: bool = False) -> Iterator[PendingRow]:
        """Every selected pending record, in order; with `others` those that are not selected instead."""
        sequence = 0
        while page := self.pending_after(sequence, _PAGE):
            yield from (row for row in page if self._selection.selects(row) is not others)
            sequence = page[-1].sequence

    def confirmed_objects(self) -> int:
        """How many keys are claimed to be as the remote has them. Reads the whole table."""
        row = self._ask.one("SELECT count(*) FROM object WHERE replication = 1")
        return int(row[0]) if row is not None else 0
