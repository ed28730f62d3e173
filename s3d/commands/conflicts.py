"""A conflict with somebody else's write, brought into the journal: both sides, and what was decided."""

import msgspec

from journal import Decision, Entry, Record
from s3d.commands.knowledge import Knowledge
from s3d.commands.outcomes import broken_barriers
from s3d.events import CONFLICTED, OUTCOME_STREAM, PARKED, Conflicted, Mutation, Parked, encode
from s3d.values import Extents, stream_of

CONFLICT_CODE = "Conflict"
_CONDITIONS = frozenset({"IfMatch", "IfNoneMatch"})


class RecordConflict(msgspec.Struct, frozen=True):
    """What was decided about a record's conflict; the answer is whether it was still pending.

    `extents` are the bytes of the record, which a sibling takes over; `told` says in words what is at the remote.
    """

    record: Record
    mutation: Mutation
    bucket: str
    conflicted: Conflicted
    extents: Extents
    told: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        sequence, decided = self.conflicted.sequence, self.conflicted.decided
        row = state.questions.pending(sequence)
        if row is None:
            return Decision(answer=False)
        # The sibling first: the bytes are then never without somebody who needs them.
        entries = [self._sibling(state)] if decided == "keep-both" else []
        entries.append(Entry(OUTCOME_STREAM, CONFLICTED, encode(self.conflicted)))
        parked: list[Parked] = []
        if decided == "hold":
            parked = [Parked(sequence=sequence, code=CONFLICT_CODE, message=self._message())]
        elif decided != "local":  # it gives way: what relies on it being there must not go on by itself
            parked = broken_barriers(state, (sequence,))
        entries += [Entry(OUTCOME_STREAM, PARKED, encode(one)) for one in parked]
        return Decision(entries, answer=True)

    def _sibling(self, state: Knowledge) -> Entry:
        """The same object under its own name, unguarded: nobody else makes that name."""
        mutation, key = self.mutation, self.conflicted.sibling
        row = state.questions.object(self.bucket, key)
        written = msgspec.structs.replace(
            mutation,
            input={name: value for name, value in mutation.input.items() if name not in _CONDITIONS},
            extents=self.extents,
            replaces=row.sequence if row is not None else 0,
            replaces_etag=row.etag if row is not None else "",
            conflict="",
            believed=None,
            copy_bucket="",
            copy_key="",
            copy_sequence=0,
            copy_etag="",
            upload="",
            parts=(),
            group="",
            barrier=None,
        )
        stream = stream_of(self.bucket, key)
        return Entry(stream, "PutObject", encode(written), None, self.record.body_digest, mutation.size)

    def _message(self) -> str:
        ours = self.conflicted.ours
        what = f"ours: ETag {ours.etag}, {ours.size} bytes" if ours.present else "ours: a deletion"
        return f"{self.told}; {what}. retry: ours goes over it; drop: theirs stays"
