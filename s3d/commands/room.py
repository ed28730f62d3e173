"""A write inside the cap on what may be pending, decided where nothing can come in between.

The request path refuses first, before it takes a body in; this is the decision that counts, on the writer's thread,
with the commands of the same batch that came before it.
"""

import msgspec

from journal import Decision
from s3d.capacity.local import LocalCap, LocalReason, judge_local
from s3d.capacity.pending import OPEN, Cap, Reason, judge
from s3d.commands.knowledge import Command, Knowledge
from s3d.errors import S3Error

RETRY_SECONDS = 10


class BeyondCap(S3Error):
    """Too much is pending: 503 SlowDown. Nothing was kept; it fits when the remote has confirmed enough of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(
            "SlowDown",
            "Too much waits for the remote; nothing was kept. Reads and deletes go on.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
        self.reason = reason


class LocalFull(S3Error):
    """Buckets that stay local hold all that they may: 507. To come again would not help, as only deleting does."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "LocalStorageFull",
            "The buckets that stay local hold all that they may; nothing was kept. Deleting from them makes room.",
            details={"MaxSizeAllowed": str(limit)},
        )


class InsideCap(msgspec.Struct, frozen=True, gc=False):
    """A command whose record makes the backlog larger by so many bytes.

    `beside` is given where buckets stay local: what they have may leave less than the cap. Raises BeyondCap, or what
    the command raises.
    """

    command: Command
    adding_bytes: int
    cap: Cap
    beside: LocalCap | None = None

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        cap = self.cap if self.beside is None else self.beside.leaves(self.cap, state.staying().size_bytes)
        refused = judge(cap, state.backlog(), self.adding_bytes, OPEN).refused
        if refused is not None:
            raise BeyondCap(refused)
        return self.command.decide(state, now_ms)


class InsideLocalCap(msgspec.Struct, frozen=True, gc=False):
    """A command whose record makes what stays local larger by so many bytes.

    Raises LocalFull, BeyondCap where what is pending has taken the room, or what the command raises.
    """

    command: Command
    adding_bytes: int
    cap: LocalCap

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        refused = judge_local(self.cap, state.staying().size_bytes, state.backlog(), self.adding_bytes)
        if refused is not None:
            raise beyond_local(refused, self.cap)
        return self.command.decide(state, now_ms)


def beyond_local(reason: LocalReason, cap: LocalCap) -> S3Error:
    """What a client is told whose write would not fit."""
    return LocalFull(cap.bytes_max) if reason == "local-bytes" else BeyondCap(reason)
