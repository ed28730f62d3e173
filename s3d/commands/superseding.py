"""Of many writes of one key that wait, the last is enough for the remote: the others are superseded, for now."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import OUTCOME_STREAM, SUPERSEDED, Superseded, encode

NAMED_MAX = 256  # in one record: each is an event of its own for those who listen


class SupersedeRecords(msgspec.Struct, frozen=True):
    """Send one record in the place of earlier ones of its key. The answer is which: those that still wait.

    Whoever submits it knows that nothing depends on them, and that none of them was ever attempted, or, `even_parked`,
    that those which wait for a person can never be sent.
    """

    sequences: tuple[int, ...]
    by: int
    even_parked: bool = False

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        last = state.questions.pending(self.by)
        if last is None or last.parked or last.superseded_by:
            return Decision(answer=())
        rows = [state.questions.pending(sequence) for sequence in self.sequences if sequence < self.by]
        if not self.even_parked and any(row is not None and row.parked for row in rows):
            return Decision(answer=())  # receipts have told of it meanwhile: what is behind it has to wait
        taken = tuple(
            row.sequence
            for row in rows
            if row is not None and not row.superseded_by and (row.bucket, row.key) == (last.bucket, last.key)
        )
        pieces = [taken[start : start + NAMED_MAX] for start in range(0, len(taken), NAMED_MAX)]
        entries = [Entry(OUTCOME_STREAM, SUPERSEDED, encode(Superseded(sequences=one, by=self.by))) for one in pieces]
        return Decision(entries, taken)
