"""What writes may still be taken in: the cap on what is pending, asked before a body is, and again when it is decided.

A body that is on its way holds its announced size from its first byte until its record is durable, so that what is
pending and what is arriving never exceed the cap together. What shrinks the backlog, or adds no bytes to it (deletes,
aborts, Complete, tags, buckets), is never refused here. Rules give some objects a share of the cap only, so that the
rest of it is left to others.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from journal import Appended
from s3d.capacity.pending import OPEN, Backlog, Cap, Reason, Verdict, judge
from s3d.commands.room import BeyondCap, InsideCap
from s3d.errors import S3Error
from s3d.operations.submitting import Submitter
from s3d.policy.rules import Rules
from s3d.policy.subjects import Written


class Room(msgspec.Struct, frozen=True, gc=False):
    """Room that is held for one record, and the cap under which it was given."""

    size_bytes: int
    cap: Cap


class Intake:
    """Used on the event loop. `backlog` is what is pending and published; `refused` is told the reason of a refusal.

    `rules` is None where none speaks of shares.
    """

    def __init__(
        self,
        submitter: Submitter,
        cap: Cap,
        backlog: Callable[[], Backlog],
        refused: Callable[[str], None] = lambda _: None,
        rules: Rules | None = None,
    ) -> None:
        self._submitter = submitter
        self.cap = cap
        self._backlog = backlog
        self._refused = refused
        self._rules = rules
        shares = {share for _, share in rules.refusals} if rules is not None else set()
        self._whole = _Gate(cap)
        self._gates = {share: _Gate(cap.at(share)) for share in shares}
        self._held_records = 0
        self._held_bytes = 0

    def take(self, bucket: str, key: str, given: Mapping[str, Any], size_bytes: int, *, part: bool = False) -> Room:
        """Hold room for one more record with so many bytes, until `give`; `given` is what is kept of its input.

        Raises SlowDown; EntityTooLarge for what would not fit if nothing else were pending.
        """
        gate = self._whole
        if self._rules is not None:
            share = self._rules.refuse_above(Written(bucket, key, given, None if part else size_bytes))
            gate = self._gates.get(share, gate)
        if size_bytes > gate.cap.bytes_max:
            raise _never_fits(size_bytes, gate.cap.bytes_max)
        reason = self._judge(gate, size_bytes)
        if reason is not None:
            self._refused(reason if gate.cap == self.cap else "pending-class")
            raise BeyondCap(reason)
        self._held_records += 1
        self._held_bytes += size_bytes
        return Room(size_bytes, gate.cap)

    def give(self, room: Room) -> None:
        """Its record is durable and counted by now, or there will be none."""
        self._held_records -= 1
        self._held_bytes -= room.size_bytes

    def check(self, bucket: str, key: str, given: Mapping[str, Any]) -> None:
        """Raise SlowDown when not even a record without bytes may be added: before something is begun."""
        self.give(self.take(bucket, key, given, 0, part=True))

    async def submit(self, command: Any, room: Room) -> Appended:
        """`Submitter.submit` of a command that room was taken for."""
        return await self._submitter.submit(InsideCap(command, room.size_bytes, room.cap))

    def refuses(self, share: float = 1.0) -> str:
        """Why every further write with this share of the cap is refused now; empty: not every one is."""
        return self._judge(self._gates.get(share, self._whole), 0) or ""

    def _judge(self, gate: "_Gate", size_bytes: int) -> Reason | None:
        pending = self._backlog()
        now = Backlog(pending.records + self._held_records, pending.size_bytes + self._held_bytes)
        gate.verdict = judge(gate.cap, now, size_bytes, gate.verdict)
        return gate.verdict.refused


class _Gate:
    """A cap, and what it last came to."""

    __slots__ = ("cap", "verdict")

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self.verdict: Verdict = OPEN


def _never_fits(size_bytes: int, limit: int) -> S3Error:
    return S3Error(
        "EntityTooLarge",
        "Your proposed upload is larger than all that may wait for the remote here",
        details={"ProposedSize": str(size_bytes), "MaxSizeAllowed": str(limit)},
    )
