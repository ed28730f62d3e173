"""What is told of the audit's checkpoints and anchors, for both ends of the admin listener."""

import msgspec

from s3d.events import AuditCheckpoint


class CheckpointReport(msgspec.Struct, frozen=True):
    """A checkpoint: its number, the last record that it covers, and when it was signed (ISO 8601, UTC)."""

    number: int
    covers: str
    at: str


class AnchorReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far checkpoints lie at the remote, under `place` (bucket and prefix); so many do not yet.

    `locks`: they are locked by Object Lock, or nobody has asked the bucket yet. `error` is why the last attempt failed.
    """

    place: str
    last: CheckpointReport | None = None
    waiting: int = 0
    locks: bool = False
    error: str = ""


class NotaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the site signs with, and how far it has. `key` is empty where it does not sign (and where only the standing
    was asked for); `anchors` is None where none are made.
    """

    key: str = ""
    last: CheckpointReport | None = None
    anchors: AnchorReport | None = None


class SignedReport(msgspec.Struct, frozen=True):
    """The checkpoint that covers everything up to now; None: the site does not sign."""

    checkpoint: AuditCheckpoint | None
