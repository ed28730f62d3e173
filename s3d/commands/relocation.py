"""What a journal file still has to keep goes elsewhere, so that the file may lose its bodies, or be dropped.

One key that waits for a person would otherwise pin the file that it is in, and all later ones (decision 7). Both
commands are decided on the state as it is then: what is not needed any more is not moved.
"""

import msgspec

from journal import Decision, Entry, Record
from s3d.commands.knowledge import Knowledge
from s3d.events import CARRIED, LET_GO, OUTCOME_STREAM, RELOCATED, Carried, LetGo, Relocated, encode
from s3d.values import GONE, BlobBytes


class RelocateBodies(msgspec.Struct, frozen=True):
    """These records' bodies lie in these blobs too, durably: (sequence, blob). The answer is how many were taken."""

    moved: tuple[tuple[int, str], ...]

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        ask = state.questions
        taken = tuple(one for one in self.moved if ask.relocated(one[0]) is None and ask.row_is_needed(one[0]))
        if not taken:
            return Decision(answer=0)
        return Decision((Entry(OUTCOME_STREAM, RELOCATED, encode(Relocated(moved=taken))),), len(taken))


class LetGoObjects(msgspec.Struct, frozen=True):
    """Give up the files of objects that the remote has: (bucket, key, sequence). The answer is their blobs.

    Only what is confirmed is let go of, and only while there is a remote to read it from. What is pinned stays, unless
    `pinned`: there is more of that than may be.
    """

    objects: tuple[tuple[str, str, int], ...]
    pinned: bool = False

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        taken: list[tuple[str, str, int]] = []
        blobs: list[str] = []
        for bucket, key, sequence in self.objects if state.has_remote else ():
            row = state.questions.object(bucket, key)
            if row is None or row.sequence != sequence or not row.confirmed:
                continue
            if not self.pinned and state.questions.is_pinned(bucket, key):
                continue
            held = [extent.blob for extent in row.extents if isinstance(extent, BlobBytes) and extent.blob != GONE]
            if held:
                taken.append((bucket, key, sequence))
                blobs += held
        if not taken:
            return Decision(answer=())
        return Decision((Entry(OUTCOME_STREAM, LET_GO, encode(LetGo(objects=tuple(taken)))),), tuple(blobs))


class CarryRecords(msgspec.Struct, frozen=True):
    """Keep pending records outside of their file too. The answer is how many were taken."""

    records: tuple[Record, ...]

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        ask = state.questions
        taken = tuple(
            one for one in self.records if ask.pending(one.sequence) is not None and ask.carried(one.sequence) is None
        )
        if not taken:
            return Decision(answer=0)
        return Decision((Entry(OUTCOME_STREAM, CARRIED, encode(Carried(records=taken))),), len(taken))
