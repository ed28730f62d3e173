"""That the site has signed how far its journal goes, and that its word lies at the remote."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import ANCHORED, CHECKPOINT, OUTCOME_STREAM, AuditAnchored, AuditCheckpoint, encode


class RecordCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that was signed just now."""

    checkpoint: AuditCheckpoint

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision((Entry(OUTCOME_STREAM, CHECKPOINT, encode(self.checkpoint)),))


class RecordAnchors(msgspec.Struct, frozen=True):
    """Checkpoints that lie at the remote since just now."""

    anchored: AuditAnchored

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision((Entry(OUTCOME_STREAM, ANCHORED, encode(self.anchored)),))
