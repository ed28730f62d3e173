"""A receipt: what the remote said when it took a record, durable because it is in the journal.

The record that says so comes after the one that it is about, mostly soon. Of an object that is still its key's current
one the view knows it at once; of any other it is looked for, page by page, which after a long time offline may take
seconds, but holds up nothing else.
"""

import asyncio

from journal import Journal, Record
from s3d.errors import S3dError
from s3d.events import CONFIRMED, CONFLICTED, DISCARDED, OUTCOMES, Mutation, decode_mutation
from s3d.operations.announcing import Outcome, names_of, outcomes_in
from s3d.telemetry.report import Receipt, RemoteReceipt, format_sequence, iso_time
from s3d.view.questions import Questions
from s3d.view.rows import ObjectRow, PendingRow

_PAGE_RECORDS = 2000
_ENDS = frozenset({CONFIRMED, CONFLICTED, DISCARDED})
_GOES_ON = frozenset({"local", "hold"})  # a conflict that was decided so: its record is sent, or waits


class Known:
    """What the view says of one record; asked on the thread that owns `questions`."""

    def __init__(self, questions: Questions, record: Record, mutation: Mutation) -> None:
        bucket, key = names_of(record, mutation)
        self.pending: PendingRow | None = questions.pending(record.sequence)
        self.row: ObjectRow | None = questions.object(bucket, key) if key and not mutation.part else None


class Receipts:
    """Reads a journal. `head` is asked first, so that a record that does not exist is told apart from one that did."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def record(self, sequence: int) -> tuple[Record, Mutation]:
        """The record of a mutation. Raises S3dError for any other."""
        epoch, head = self._journal.identity.epoch, self._journal.head.sequence
        named = format_sequence(epoch, sequence)
        if not 0 < sequence <= head:
            raise S3dError(
                f"there is no record {named}; the last one is {format_sequence(epoch, head)}",
                hint="was it written on another edge?",
            )
        found = await asyncio.to_thread(self._journal.pick, [sequence])
        if not found:
            raise S3dError(
                f"record {named} is not retained any more: the file that it was in has been dropped",
                hint="a dropped file had nothing pending; see journal.retain_days and its neighbours",
            )
        if found[0].kind in OUTCOMES:
            raise S3dError(f"record {named} is a {found[0].kind}: it tells of others", hint=f"see /records/{named}")
        return found[0], decode_mutation(found[0].payload)

    async def receipt(self, record: Record, mutation: Mutation, known: Known) -> Receipt:
        """What there is to say of it."""
        if known.pending is not None:
            state = "parked" if known.pending.parked else "pending"
            return self._receipt(record, mutation, known, state)
        row = known.row
        if row is not None and row.sequence == record.sequence and row.confirmed:
            remote = RemoteReceipt(row.remote_etag, row.remote_version, iso_time(row.confirmed_ms / 1000))
            return self._receipt(record, mutation, known, "confirmed", remote)
        found = await self._find(record.sequence)
        if found is None:
            return self._receipt(record, mutation, known, "settled")
        outcome, said = found
        if outcome.kind == DISCARDED:
            return self._receipt(record, mutation, known, "dropped")
        if outcome.kind == CONFLICTED:
            return self._receipt(record, mutation, known, "gave-way", said=said)
        epoch = self._journal.identity.epoch
        at, seq = iso_time(outcome.written_at / 1000), format_sequence(epoch, outcome.sequence)
        return self._receipt(record, mutation, known, "confirmed", RemoteReceipt(said.etag, said.version_id, at, seq))

    async def _find(self, sequence: int) -> tuple[Record, Outcome] | None:
        """The record that says how this one ended; None: it is not retained."""
        after, head = sequence, self._journal.head.sequence
        while after < head:
            page = await asyncio.to_thread(self._journal.read, after, _PAGE_RECORDS)
            if not page:
                break
            for record in page:
                if record.kind in _ENDS and b"%d" % sequence in record.payload:
                    for said in outcomes_in(record):
                        if said.sequence == sequence and said.code not in _GOES_ON:
                            return record, said
            after = page[-1].sequence
        return None

    def _receipt(
        self,
        record: Record,
        mutation: Mutation,
        known: Known,
        state: str,
        remote: RemoteReceipt | None = None,
        said: Outcome | None = None,
    ) -> Receipt:
        epoch, row, told = self._journal.identity.epoch, known.row, known.pending or said
        bucket, key = names_of(record, mutation)
        replaced = row is not None and row.sequence > record.sequence
        return Receipt(
            seq=format_sequence(epoch, record.sequence),
            state=state,
            at=iso_time(record.written_at / 1000),
            operation=record.kind,
            bucket=bucket,
            key=key,
            bytes=record.body_size,
            etag=mutation.etag,
            sha256=record.body_digest.hex(),
            checksums=mutation.checksums,
            remote=remote,
            replaced_by=format_sequence(epoch, row.sequence) if row is not None and replaced else "",
            code=told.code if told is not None else "",
            message=told.message if told is not None else "",
        )
