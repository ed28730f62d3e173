"""A receipt: what the remote said when it took a record, durable because it is in the journal.

The record that says so comes after the one that it is about, mostly soon. Of an object that is still its key's current
one the view knows it at once; of any other it is looked for, page by page, which after a long time offline may take
seconds, but holds up nothing else.
"""

import asyncio

from journal import Journal, Record
from s3d.errors import S3dError
from s3d.events import (
    CONFIRMED,
    CONFLICTED,
    DEFAULT_REMOTE,
    DISCARDED,
    OUTCOMES,
    SUPERSEDED,
    Mutation,
    decode_confirmed,
    decode_mutation,
)
from s3d.operations.announcing import Outcome, names_of, outcomes_in
from s3d.telemetry.report import Receipt, RemoteReceipt, format_sequence, iso_time
from s3d.view.questions import Questions
from s3d.view.rows import ObjectRow, PendingRow

_PAGE_RECORDS = 2000
_GOES_ON = frozenset({"local", "hold"})  # a conflict that was decided so: its record is sent, or waits
_ENDS = frozenset({CONFIRMED, CONFLICTED, DISCARDED, SUPERSEDED})


class Known:
    """What the view says of one record; asked on the thread that owns `questions`."""

    def __init__(self, questions: Questions, record: Record, mutation: Mutation) -> None:
        bucket, key = names_of(record, mutation)
        self.pending: PendingRow | None = questions.pending(record.sequence)
        row = questions.object(bucket, key) if key and not mutation.part else None
        self.row: ObjectRow | None = row
        self.confirmed: ObjectRow | None = (
            row if row is not None and row.sequence == record.sequence and row.confirmed else None
        )
        self.is_of_one_remote = not questions.has_sent_elsewhere()


class Receipts:
    """Reads a journal. `head` is asked first, so that a record that does not exist is told apart from one that did.

    `several`: there are other remotes than `[remote]`. The view does not know which of them took what.
    """

    def __init__(self, journal: Journal, *, several: bool = False) -> None:
        self._journal = journal
        self._several = several

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
            raise S3dError(
                f"record {named} is a {found[0].kind}: it tells of others", hint=f"`s3d journal show {named}` shows it"
            )
        return found[0], decode_mutation(found[0].payload)

    async def receipt(self, record: Record, mutation: Mutation, known: Known) -> Receipt:
        """What there is to say of it."""
        if mutation.stays_local:
            return self._receipt(record, mutation, known, "local")
        if known.pending is not None:
            state = "parked" if known.pending.parked else "pending"
            return self._receipt(record, mutation, known, state)
        if known.confirmed is not None and known.is_of_one_remote and not self._several:
            return self._confirmed(record, mutation, known, known.confirmed, DEFAULT_REMOTE)
        found = await self._find(record.sequence)
        if found is None and known.confirmed is not None:
            return self._confirmed(record, mutation, known, known.confirmed, "")
        if found is None:
            return self._receipt(record, mutation, known, "settled")
        outcome, said = found
        if said.sequence != record.sequence:
            return self._receipt(record, mutation, known, "superseded", replaced_by=said.sequence)
        if outcome.kind == DISCARDED:
            return self._receipt(record, mutation, known, "dropped")
        if outcome.kind == CONFLICTED:
            return self._receipt(record, mutation, known, "gave-way", said=said)
        epoch = self._journal.identity.epoch
        at, seq = iso_time(outcome.written_at / 1000), format_sequence(epoch, outcome.sequence)
        remote = RemoteReceipt(said.etag, said.version_id, at, seq, decode_confirmed(outcome.payload).remote_name)
        return self._receipt(record, mutation, known, "confirmed", remote)

    def _confirmed(self, record: Record, mutation: Mutation, known: Known, row: ObjectRow, name: str) -> Receipt:
        """As the view has it, which forgets the record that says so."""
        at = iso_time(row.confirmed_ms / 1000)
        remote = RemoteReceipt(row.remote_etag, row.remote_version, at, name=name)
        return self._receipt(record, mutation, known, "confirmed", remote)

    async def _find(self, sequence: int) -> tuple[Record, Outcome] | None:
        """The record that says how this one ended, or the one that was sent in its place; None: it is not retained."""
        after, head, places = sequence, self._journal.head.sequence, _Places(sequence)
        while after < head:
            page = await asyncio.to_thread(self._journal.read, after, _PAGE_RECORDS)
            if not page:
                break
            for record in page:
                if record.kind in _ENDS and places.may_be_in(record.payload):
                    for said in outcomes_in(record):
                        if places.is_end(record.kind, said):
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
        replaced_by: int = 0,
    ) -> Receipt:
        epoch, row, told = self._journal.identity.epoch, known.row, known.pending or said
        bucket, key = names_of(record, mutation)
        if not replaced_by and row is not None and row.sequence > record.sequence:
            replaced_by = row.sequence
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
            replaced_by=format_sequence(epoch, replaced_by) if replaced_by else "",
            code=told.code if told is not None else "",
            message=told.message if told is not None else "",
        )


class _Places:
    """Who was sent in whose place: of a record that was superseded, what becomes of the later one decides."""

    def __init__(self, sequence: int) -> None:
        self._chain = [sequence]

    def may_be_in(self, payload: bytes) -> bool:
        """Whether a payload may tell of one of them."""
        return any(b"%d" % one in payload for one in self._chain)

    def is_end(self, kind: str, said: Outcome) -> bool:
        """Whether this is the end of the record. What it had superseded outlives one that is given up; one that is
        superseded may arrive all the same, on a carried disk.
        """
        if said.sequence not in self._chain or said.code in _GOES_ON:
            return False
        if kind == CONFIRMED:
            return True
        if said.sequence != self._chain[-1]:
            return False
        if kind == SUPERSEDED:
            self._chain.append(said.superseded_by)
            return False
        if kind == DISCARDED and len(self._chain) > 1:
            self._chain.pop()
            return False
        return True
