"""What became of records at the remote: the one arrow that runs backwards, from the replicator into the journal."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.errors import S3Error
from s3d.events import (
    CONFIRMED,
    OUTCOME_STREAM,
    PARKED,
    RESUMED,
    Confirmation,
    Confirmed,
    Parked,
    Resumed,
    encode,
)


class ConfirmRecords(msgspec.Struct, frozen=True):
    """The remote has these records; those that were confirmed before are left out."""

    confirmations: tuple[Confirmation, ...]

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        new = tuple(one for one in self.confirmations if state.questions.pending(one.sequence) is not None)
        if not new:
            return Decision()
        return Decision((Entry(OUTCOME_STREAM, CONFIRMED, encode(Confirmed(confirmations=new))),))


class ParkRecord(msgspec.Struct, frozen=True):
    """A record waits for a person from now on."""

    sequence: int
    code: str
    message: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        row = state.questions.pending(self.sequence)
        if row is None or row.parked:
            return Decision()
        parked = Parked(sequence=self.sequence, code=self.code, message=self.message)
        return Decision((Entry(OUTCOME_STREAM, PARKED, encode(parked)),))


class ResumeRecords(msgspec.Struct, frozen=True):
    """A person lets parked records try again; the answer is the sequences that were parked. None: all of them."""

    sequences: tuple[int, ...] | None
    caller: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        parked = [row.sequence for row in state.questions.parked(1_000_000)]
        wanted = parked if self.sequences is None else [one for one in parked if one in set(self.sequences)]
        if self.sequences is not None and not wanted:
            raise S3Error("NoSuchRecord", "None of these records is parked.")
        if not wanted:
            return Decision(answer=())
        resumed = Resumed(sequences=tuple(wanted), caller=self.caller)
        return Decision((Entry(OUTCOME_STREAM, RESUMED, encode(resumed)),), tuple(wanted))
