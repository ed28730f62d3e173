"""What became of records at the remote: the one arrow that runs backwards, from the replicator into the journal."""

from collections.abc import Sequence

import msgspec

from journal import Decision, Entry, Record
from s3d.commands.knowledge import Knowledge
from s3d.errors import S3Error
from s3d.events import (
    CONFIRMED,
    DISCARDED,
    OUTCOME_STREAM,
    PARKED,
    RESUMED,
    Confirmation,
    Confirmed,
    Discarded,
    Parked,
    Resumed,
    encode,
)

BROKEN_CODE = "OrderGroupBroken"
DISCARDABLE = frozenset({"PutObject", "CopyObject", "DeleteObject"})


class ConfirmRecords(msgspec.Struct, frozen=True):
    """The remote has these records; those that were confirmed before are left out. The answer is the others' places.

    `bundle` and `remote`: see `events.Confirmed`.
    """

    confirmations: tuple[Confirmation, ...]
    bundle: str = ""
    remote: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        new = tuple(one for one in self.confirmations if state.questions.pending(one.sequence) is not None)
        if not new:
            return Decision(answer=())
        confirmed = Confirmed(confirmations=new, bundle=self.bundle, remote=self.remote)
        return Decision((Entry(OUTCOME_STREAM, CONFIRMED, encode(confirmed)),), tuple(one.sequence for one in new))


class ParkRecord(msgspec.Struct, frozen=True):
    """A record waits for a person from now on; not one in whose place a later one is sent: nobody has to act for it."""

    sequence: int
    code: str
    message: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        row = state.questions.pending(self.sequence)
        if row is None or row.parked or row.superseded_by:
            return Decision()
        parked = Parked(sequence=self.sequence, code=self.code, message=self.message)
        return Decision((Entry(OUTCOME_STREAM, PARKED, encode(parked)),))


class ResumeRecords(msgspec.Struct, frozen=True):
    """A person lets parked records try again; the answer is the sequences that were parked. None: all of them."""

    sequences: tuple[int, ...] | None
    caller: str
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        parked = [row.sequence for row in state.questions.parked(1_000_000)]
        wanted = parked if self.sequences is None else [one for one in parked if one in set(self.sequences)]
        if self.sequences is not None and not wanted:
            raise S3Error("NoSuchRecord", "None of these records is parked.")
        if not wanted:
            return Decision(answer=())
        resumed = Resumed(sequences=tuple(wanted), caller=self.caller, claimed=self.claimed)
        return Decision((Entry(OUTCOME_STREAM, RESUMED, encode(resumed)),), tuple(wanted))


class DiscardRecords(msgspec.Struct, frozen=True):
    """A person gives up parked records of objects, for good: all of these or none. The answer is their sequences.

    What others depend on (a bucket, an upload, its parts) is not given up this way: they would be left without it. A
    barrier that waits in the order group of one of them must not leave as if everything before it had arrived: it is
    parked, so that a person decides about it too. What they had superseded is sent after all: `revived` (see given_up).
    """

    sequences: tuple[int, ...]
    caller: str
    revived: tuple[Record, ...] = ()
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        sequences = tuple(sorted(set(self.sequences)))
        for sequence in sequences:
            row = state.questions.pending(sequence)
            if row is None or not row.parked:
                raise S3Error("NoSuchRecord", f"Record {sequence} is not parked: nothing was dropped.")
            if row.kind not in DISCARDABLE:
                raise S3Error(
                    "NotDroppable", f"Record {sequence} is a {row.kind}, on which others depend: nothing was dropped."
                )
        return Decision(given_up(state, sequences, self.caller, self.revived, self.claimed), sequences)


def given_up(
    state: Knowledge, sequences: tuple[int, ...], caller: str, revived: tuple[Record, ...], claimed: str
) -> list[Entry]:
    """The outcomes of giving up parked records. `revived` has to hold the records that their keys are then again: a
    decision cannot read the journal.
    """
    wanted = {state.questions.last_superseded_by(sequence) for sequence in sequences} - {None}
    if wanted - {record.sequence for record in revived}:
        raise S3Error("OperationAborted", "What was superseded has changed meanwhile: nothing was done. Try again.")
    kept = tuple(record for record in revived if record.sequence in wanted)
    discarded = Discarded(sequences=sequences, caller=caller, claimed=claimed, revived=kept)
    entries = [Entry(OUTCOME_STREAM, DISCARDED, encode(discarded))]
    entries += [Entry(OUTCOME_STREAM, PARKED, encode(parked)) for parked in broken_barriers(state, sequences)]
    return entries


def broken_barriers(state: Knowledge, given_up: Sequence[int]) -> list[Parked]:
    """The barriers that cannot hold any more, because something before them in their group is given up."""
    broken: dict[int, int] = {}
    for sequence in given_up:
        row = state.questions.pending(sequence)
        if row is not None and row.order is not None:
            for barrier in state.questions.barriers_behind(row.order.group, sequence):
                if not barrier.parked and barrier.sequence not in given_up:
                    broken.setdefault(barrier.sequence, sequence)
    return [
        Parked(sequence=barrier, code=BROKEN_CODE, message=f"record {before} before it in its order group was given up")
        for barrier, before in sorted(broken.items())
    ]
