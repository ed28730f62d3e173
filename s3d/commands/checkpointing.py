"""What is for auditors alone: signed checkpoints, that they lie at the remote, and how many were refused."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import (
    ANCHORED,
    CHECKPOINT,
    OUTCOME_STREAM,
    REFUSED,
    AuditAnchored,
    AuditCheckpoint,
    RequestsRefused,
    encode,
)


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


class RecordRefusals(msgspec.Struct, frozen=True):
    """How many requests were refused in a while."""

    refused: RequestsRefused

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision((Entry(OUTCOME_STREAM, REFUSED, encode(self.refused)),))
