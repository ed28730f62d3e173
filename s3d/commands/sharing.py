"""Buckets that were this daemon's alone, and may not be any more: what is absent here is unknown from now on.

A journal that was restored from a backup, or adopted without its mark, has lost records of which the remote may have
had some: to answer "absent" for what they wrote would be a lie (invariant "unknown is never absent").
"""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import OUTCOME_STREAM, SHARED, Shared, encode


class ShareBuckets(msgspec.Struct, frozen=True):
    """Ask the remote for what is not here, in every bucket that is there too. The answer is their names."""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        names = tuple(row.name for row in state.questions.buckets() if row.sole and not row.stays_local)
        if not names:
            return Decision(answer=())
        return Decision((Entry(OUTCOME_STREAM, SHARED, encode(Shared(buckets=names))),), names)
