"""When a file is complete: the decision, pure.

A file that is still being written must never be taken. Three things are asked: has anything about it changed, does
somebody have it open for writing, and for how long has neither been so. Only the monotonic clock counts: devices
without a battery begin in 1970 and jump to today when they hear of it, and the times of files jump with them.
"""

from dataclasses import dataclass, replace

import msgspec


class Signature(msgspec.Struct, frozen=True, gc=False):
    """What a file is, as far as that can be told without reading it."""

    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that is waited for. `since` is when it last changed or was written, `seen` when it was first seen.

    Times are seconds of the monotonic clock. `is_whole`: it was renamed to its name, which is how a writer says that
    it is done. `signature` is None until it has been looked at.
    """

    seen: float
    since: float
    is_whole: bool = False
    signature: Signature | None = None

    def due(self, settle_seconds: float) -> float:
        """When to look at it."""
        if self.signature is None:
            return self.seen
        return self.since + settle_seconds


@dataclass(frozen=True, slots=True)
class Look:
    """What a file was like when it was looked at. `is_open`: somebody may still write to it."""

    signature: Signature
    is_open: bool


@dataclass(frozen=True, slots=True)
class Take:
    """It is complete, as it is now."""

    signature: Signature


def judge(waiting: Waiting, look: Look, now: float, settle_seconds: float) -> Waiting | Take:
    """Take it, or go on waiting."""
    if look.is_open:
        return replace(waiting, signature=look.signature, since=now)
    if waiting.is_whole and waiting.signature in {None, look.signature}:
        return Take(look.signature)
    if waiting.signature != look.signature:
        return replace(waiting, signature=look.signature, since=now, is_whole=False)
    if now - waiting.since >= settle_seconds:
        return Take(look.signature)
    return waiting
