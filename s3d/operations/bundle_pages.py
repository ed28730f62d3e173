"""Pages of pending records for a carried disk, with what they cannot be sent without.

A part cannot be sent without its upload, an upload not completed without all its parts, and a copy not made without
knowing its source. Where the remote has these already they come along with what it said, right before the first record
that builds on them. Small bodies come with their records; large ones are asked for one by one.
"""

from collections.abc import Iterator, Sequence

import msgspec

from journal import Journal, Record
from journal.record import genesis
from s3d.bundle.items import BundledRecord
from s3d.errors import S3dError
from s3d.events import Confirmation, Mutation, decode_mutation
from s3d.policy.bucket_map import KnownRemote, MappedBucket
from s3d.values import BucketSet
from s3d.view.questions import Questions
from s3d.view.rows import PendingRow

INLINE_BYTES_MAX = 1024 * 1024  # of bodies in one page, which is encoded on the event loop


class BundledBytes(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record for the disk, and its body when that is small; None: it has none, or is asked for."""

    bundled: BundledRecord
    body: bytes | None = None


class BundledPage(msgspec.Struct, frozen=True):
    """Records in order; `last` is where the next page goes on after, if there is `more`.

    `buckets` is where this site's buckets are at the remote, or at which of its several `remotes`, whose records these
    are; `epochs`: see Journal.epochs.
    """

    instance: str
    epoch: int
    buckets: tuple[MappedBucket, ...]
    records: tuple[BundledBytes, ...]
    last: int
    more: bool
    epochs: tuple[tuple[int, int], ...] = ()
    remotes: tuple[KnownRemote, ...] = ()


def read_page(
    journal: Journal, questions: Questions, after: int, through: int, limit: int, buckets: BucketSet | None = None
) -> tuple[tuple[BundledBytes, ...], int, bool]:
    """The records of a page, the last place that it covers, and whether there is more. On a thread.

    Those of other buckets than `buckets` (None: all) are left out. Raises S3dError for one that would arrive before
    what precedes it in its order group and is left out.
    """
    read = questions.pending_after(after, limit)
    rows = [row for row in read if row.sequence <= through and (buckets is None or row.bucket in buckets)]
    if buckets is not None:
        _check_groups(questions, rows, buckets)
    found, left, last = list[BundledBytes](), INLINE_BYTES_MAX, after
    reading = _Reading(journal, questions, [row.sequence for row in rows])
    for row in rows:
        if left <= 0:
            return tuple(found), last, True
        for bundled in reading.with_context(row):
            body = reading.small_body(bundled, left)
            left -= len(body or b"") + len(bundled.record.payload)
            found.append(BundledBytes(bundled, body))
        last = row.sequence
    last = min(read[-1].sequence, through) if read else after
    return tuple(found), last, len(read) == limit and last < through


def _check_groups(questions: Questions, rows: Sequence[PendingRow], buckets: BucketSet) -> None:
    groups = {row.order_group for row in rows if row.order_group}
    left_out = {
        group: next((one for one, bucket in questions.in_order_group(group) if bucket not in buckets), None)
        for group in groups
    }
    for row in rows:
        before = left_out.get(row.order_group)
        if before is not None and before < row.sequence:
            raise S3dError(
                f"record {before} of the order group {row.order_group} is for another remote, and has to go first",
                hint=f"record {row.sequence} cannot be carried before the link has delivered that one",
            )


class _Reading:
    def __init__(self, journal: Journal, questions: Questions, sequences: Sequence[int]) -> None:
        self._journal = journal
        self._questions = questions
        wanted = sorted({*sequences, *(one - 1 for one in sequences)})
        self._records = {record.sequence: record for record in journal.pick(wanted)}

    def with_context(self, row: PendingRow) -> list[BundledRecord]:
        """A pending record behind what it builds on; nothing when it was confirmed meanwhile."""
        record = self._record(row.sequence)
        if record is None:
            return []
        mutation = decode_mutation(record.payload)
        found = [self._bundled(one, confirmed) for one, confirmed in self._context(record, mutation)]
        found.append(self._bundled(record, None))
        # What was confirmed while we asked may have lost its parts: then there is nothing to carry.
        return found if self._questions.pending(row.sequence) is not None else []

    def small_body(self, bundled: BundledRecord, left: int) -> bytes | None:
        """The body in the record's own row."""
        mutation = decode_mutation(bundled.record.payload)
        if not 0 < bundled.body_bytes <= left or mutation.extents:
            return None
        return self._journal.body(bundled.record.sequence)

    def _context(self, record: Record, mutation: Mutation) -> Iterator[tuple[Record, Confirmation]]:
        if mutation.upload:
            yield from self._of_upload(record, mutation)
        if mutation.copy_sequence:
            source = self._questions.object(mutation.copy_bucket, mutation.copy_key)
            if source is not None and source.sequence == mutation.copy_sequence and source.confirmed:
                yield from self._confirmed(source.sequence, Confirmation(source.sequence, source.remote_etag))

    def _of_upload(self, record: Record, mutation: Mutation) -> Iterator[tuple[Record, Confirmation]]:
        upload = self._questions.upload(mutation.upload)
        if upload is None or record.sequence == upload.sequence:
            return
        if self._questions.pending(upload.sequence) is None:
            confirmation = Confirmation(upload.sequence, upload_id=upload.remote_id)
            yield from self._confirmed(upload.sequence, confirmation)
        named = {number for number, _, _ in mutation.parts}
        for part in self._questions.parts(mutation.upload) if named else ():
            if part.number in named and self._questions.pending(part.sequence) is None:
                yield from self._confirmed(part.sequence, Confirmation(part.sequence, part.remote_etag))

    def _confirmed(self, sequence: int, confirmation: Confirmation) -> Iterator[tuple[Record, Confirmation]]:
        record = self._record(sequence)
        if record is not None:
            yield record, confirmation

    def _bundled(self, record: Record, confirmed: Confirmation | None) -> BundledRecord:
        return BundledRecord(record, self._previous(record.sequence), _body_bytes(record, confirmed), confirmed)

    def _record(self, sequence: int) -> Record | None:
        if sequence not in self._records:
            picked = self._journal.pick([sequence])
            if not picked:
                return self._questions.carried(sequence)
            self._records[sequence] = picked[0]
        return self._records[sequence]

    def _previous(self, sequence: int) -> bytes:
        """The hash that a record's own continues; empty when it is not retained."""
        if sequence == 1:
            return genesis(self._journal.identity.instance)
        before = self._records.get(sequence - 1) or next(iter(self._journal.pick([sequence - 1])), None)
        return before.hash if before is not None else b""


def _body_bytes(record: Record, confirmed: Confirmation | None) -> int:
    """How many bytes of its own a record carries: an object of parts has none, nor a copy that captured none."""
    mutation = decode_mutation(record.payload)
    if record.kind == "CompleteMultipartUpload" or (record.kind == "CopyObject" and not mutation.extents):
        return 0
    if confirmed is not None and record.kind != "UploadPart":
        return 0
    return mutation.size
