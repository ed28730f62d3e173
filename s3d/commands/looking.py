"""That the gap audit has looked at everything: for whoever asks later when somebody looked, and what they found."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import GAPS_LOOKED, OUTCOME_STREAM, GapsLooked, encode


class RecordLook(msgspec.Struct, frozen=True):
    """A look that is over."""

    looked: GapsLooked

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision((Entry(OUTCOME_STREAM, GAPS_LOOKED, encode(self.looked)),))
