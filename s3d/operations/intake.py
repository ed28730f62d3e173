"""What writes may still be taken in: the cap on what is pending, asked before a body is, and again when it is decided.

A body that is on its way holds its announced size from its first byte until its record is durable, so that what is
pending and what is arriving never exceed the cap together. What shrinks the backlog, or adds no bytes to it (deletes,
aborts, Complete, tags, buckets), is never refused here.
"""

from collections.abc import Callable
from typing import Any

from journal import Appended
from s3d.capacity.pending import OPEN, Backlog, Cap, Verdict, judge
from s3d.commands.room import BeyondCap, InsideCap
from s3d.errors import S3Error
from s3d.operations.submitting import Submitter


class Intake:
    """Used on the event loop. `backlog` is what is pending and published; `refused` is told the reason of a refusal."""

    def __init__(
        self,
        submitter: Submitter,
        cap: Cap,
        backlog: Callable[[], Backlog],
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._submitter = submitter
        self.cap = cap
        self._backlog = backlog
        self._refused = refused
        self._verdict = OPEN
        self._held_records = 0
        self._held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold room for one more record with so many bytes, until `give`.

        Raises SlowDown; EntityTooLarge for what would not fit if nothing else were pending.
        """
        cap = self.cap
        if size_bytes > cap.bytes_max:
            raise _never_fits(size_bytes, cap.bytes_max)
        verdict = self._judge(size_bytes)
        if verdict.refused is not None:
            self._refused(verdict.refused)
            raise BeyondCap(verdict.refused)
        self._held_records += 1
        self._held_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Its record is durable and counted by now, or there will be none."""
        self._held_records -= 1
        self._held_bytes -= size_bytes

    def check(self) -> None:
        """Raise SlowDown when not even a record without bytes may be added: before something is begun."""
        self.take(0)
        self.give(0)

    async def submit(self, command: Any, size_bytes: int) -> Appended:
        """`Submitter.submit` of a command that room was taken for."""
        return await self._submitter.submit(InsideCap(command, size_bytes, self.cap))

    def refuses(self) -> str:
        """Why every further write is refused now; empty: not every one is."""
        verdict = self._judge(0)
        return verdict.refused or ""

    def _judge(self, size_bytes: int) -> Verdict:
        pending = self._backlog()
        records, held = pending.records + self._held_records, pending.size_bytes + self._held_bytes
        self._verdict = judge(self.cap, Backlog(records, held), size_bytes, self._verdict)
        return self._verdict


def _never_fits(size_bytes: int, limit: int) -> S3Error:
    return S3Error(
        "EntityTooLarge",
        "Your proposed upload is larger than all that may wait for the remote here",
        details={"ProposedSize": str(size_bytes), "MaxSizeAllowed": str(limit)},
    )
