"""What writes may still be taken in: the cap on what is pending, asked before a body is, and again when it is decided.

A body that is on its way holds its announced size from its first byte until its record is durable, so that what is
pending and what is arriving never exceed the cap together. What shrinks the backlog, or adds no bytes to it (deletes,
aborts, Complete, tags, buckets), is never refused here. Rules give some objects a share of the cap only, so that the
rest of it is left to others. What stays local is never pending, and has a cap of its own (local_room.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from journal import Appended
from s3d.capacity.pending import OPEN, Backlog, Cap, Reason, Verdict, judge
from s3d.commands.room import BeyondCap, InsideCap, InsideLocalCap, beyond_local
from s3d.errors import S3Error
from s3d.operations.local_room import LocalRoom
from s3d.operations.submitting import Submitter
from s3d.policy.rules import Rules
from s3d.policy.subjects import Written


class Room(msgspec.Struct, frozen=True, gc=False):
    """Room that is held for one record, and the cap under which it was given; None: it stays local."""

    size_bytes: int
    cap: Cap | None


class Intake:
    """Used on the event loop. `backlog` is what is pending and published; `refused` is told the reason of a refusal.

    `rules` is None where none speaks of shares, `local` where no bucket stays local.
    """

    def __init__(
        self,
        submitter: Submitter,
        cap: Cap,
        backlog: Callable[[], Backlog],
        refused: Callable[[str], None] = lambda _: None,
        rules: Rules | None = None,
        local: LocalRoom | None = None,
    ) -> None:
        self._submitter = submitter
        self.local = local
        self._backlog = backlog
        self._refused = refused
        self._held_records = 0
        self._held_bytes = 0
        self.replace(cap, rules)

    def replace(self, cap: Cap, rules: Rules | None) -> None:
        """Another cap and other shares of it from now on; what was let in keeps its room."""
        self.cap = cap
        self._rules = rules
        self._is_plain = rules is None and self.local is None
        shares = {share for _, share in rules.refusals} if rules is not None else set()
        self._whole = _Gate(cap)
        self._gates = {share: _Gate(cap.at(share)) for share in shares}

    def take(self, bucket: str, key: str, given: Mapping[str, Any], size_bytes: int, *, part: bool = False) -> Room:
        """Hold room for one more record with so many bytes, until `give`; `given` is what is kept of its input.

        Raises SlowDown; EntityTooLarge for what would not fit if nothing else were pending; LocalStorageFull.
        """
        if self.local is not None and bucket in self.local.buckets:
            return self._take_local(self.local, size_bytes)
        gate = self._whole
        if self._is_plain and gate.verdict is OPEN and self._fits(gate.cap, size_bytes):
            self._held_records += 1
            self._held_bytes += size_bytes
            return Room(size_bytes, gate.cap)
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

    def _fits(self, cap: Cap, size_bytes: int) -> bool:
        """Whether a cap that is open stays so: what `judge` says then, without what it costs a small PUT."""
        records, pending_bytes = self._backlog()
        return pending_bytes + self._held_bytes + size_bytes <= cap.bytes_max and (
            cap.records_max is None or records + self._held_records < cap.records_max
        )

    def _take_local(self, local: LocalRoom, size_bytes: int) -> Room:
        if size_bytes > local.cap.bytes_max:
            raise _never_fits(size_bytes, local.cap.bytes_max, "stay")
        reason = local.take(size_bytes, self._pending())
        if reason is not None:
            self._refused(reason)
            raise beyond_local(reason, local.cap)
        return Room(size_bytes, None)

    def give(self, room: Room) -> None:
        """Its record is durable and counted by now, or there will be none."""
        if room.cap is None:
            assert self.local is not None, "room in it was taken"
            self.local.give(room.size_bytes)
            return
        self._held_records -= 1
        self._held_bytes -= room.size_bytes

    def check(self, bucket: str, key: str, given: Mapping[str, Any]) -> None:
        """Raise SlowDown when not even a record without bytes may be added: before something is begun."""
        self.give(self.take(bucket, key, given, 0, part=True))

    def submit(self, command: Any, room: Room) -> Awaitable[Appended]:
        """`Submitter.submit` of a command that room was taken for."""
        beside = self.local.cap if self.local is not None else None
        if room.cap is not None:
            return self._submitter.submit(InsideCap(command, room.size_bytes, room.cap, beside))
        assert beside is not None, "room was taken under it"
        return self._submitter.submit(InsideLocalCap(command, room.size_bytes, beside))

    def refuses(self, share: float = 1.0) -> str:
        """Why every further write with this share of the cap is refused now; empty: not every one is."""
        return self._judge(self._gates.get(share, self._whole), 0) or ""

    def refuses_local(self) -> str:
        """Why every further byte that would stay local is refused now; empty: not every one is."""
        return (self.local.refuses(1, self._pending()) or "") if self.local is not None else ""

    @property
    def room_bytes(self) -> int:
        """What may still become pending."""
        return self.left_of(self.cap).bytes_max - self._backlog().size_bytes

    def left_of(self, cap: Cap) -> Cap:
        """A cap on what is pending, less what it has to leave to what stays local."""
        return cap if self.local is None else self.local.leaves(cap)

    def _judge(self, gate: "_Gate", size_bytes: int) -> Reason | None:
        gate.verdict = judge(self.left_of(gate.cap), self._pending(), size_bytes, gate.verdict)
        return gate.verdict.refused

    def _pending(self) -> Backlog:
        """With what is on its way."""
        pending = self._backlog()
        return Backlog(pending.records + self._held_records, pending.size_bytes + self._held_bytes)


class _Gate:
    """A cap, and what it last came to."""

    __slots__ = ("cap", "verdict")

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self.verdict: Verdict = OPEN


def _never_fits(size_bytes: int, limit: int, what: str = "wait for the remote") -> S3Error:
    return S3Error(
        "EntityTooLarge",
        f"Your proposed upload is larger than all that may {what} here",
        details={"ProposedSize": str(size_bytes), "MaxSizeAllowed": str(limit)},
    )
