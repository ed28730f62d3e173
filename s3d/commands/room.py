"""A write inside the cap on what may be pending, decided where nothing can come in between.

The request path refuses first, before it takes a body in; this is the decision that counts, on the writer's thread,
with the commands of the same batch that came before it.
"""

import msgspec

from journal import Decision
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


class InsideCap(msgspec.Struct, frozen=True, gc=False):
    """A command whose record makes the backlog larger by so many bytes.

    Raises BeyondCap, or what the command raises.
    """

    command: Command
    adding_bytes: int
    cap: Cap

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        refused = judge(self.cap, state.backlog(), self.adding_bytes, OPEN).refused
        if refused is not None:
            raise BeyondCap(refused)
        return self.command.decide(state, now_ms)
