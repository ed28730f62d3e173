"""How far the backlog may grow: what is pending, the cap on it, and when a write is refused. Pure.

Pending bytes are the one thing that must never be let go of, so the only way to bound them is not to take more in. A
cap that was reached stays closed until the backlog has shrunk a little below it: without that a link that is slower
than the writers would have them refused and let in again by turns.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

CLOSED_SHARE = 0.05  # of a limit: so much has to be sent before a cap that was reached opens again
Reason = Literal["pending-bytes", "pending-records", "pending-class"]


class Backlog(NamedTuple):
    """What the remote has not confirmed: records, and their body bytes."""

    records: int = 0
    size_bytes: int = 0

    def plus(self, other: "Backlog") -> "Backlog":
        """Both together."""
        return Backlog(self.records + other.records, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Cap:
    """How large a backlog may become; `records_max` is None where any number may be."""

    bytes_max: int
    records_max: int | None = None

    def at(self, share: float) -> "Cap":
        """The cap of writes that may only use a share of it, of more than 0 to 1."""
        assert 0 < share <= 1, "a share is of something"
        records_max = None if self.records_max is None else int(self.records_max * share)
        return Cap(int(self.bytes_max * share), records_max)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a write is refused, and what is closed from now on."""

    refused: Reason | None
    bytes_closed: bool
    records_closed: bool


OPEN = Verdict(None, bytes_closed=False, records_closed=False)


def judge(cap: Cap, backlog: Backlog, adding_bytes: int, before: Verdict) -> Verdict:
    """Whether one more record with so many bytes may be added; `before` is the verdict of the one before.

    A body that does not fit where smaller ones would is refused alone: only a backlog that is near its limit closes it.
    """
    if (
        before is OPEN  # nearly always: what follows would come to the same
        and backlog.size_bytes + adding_bytes <= cap.bytes_max
        and (cap.records_max is None or backlog.records < cap.records_max)
    ):
        return OPEN
    bytes_refused, bytes_closed = _judge(cap.bytes_max, backlog.size_bytes, adding_bytes, before.bytes_closed)
    records_refused = records_closed = False
    if cap.records_max is not None:
        records_refused, records_closed = _judge(cap.records_max, backlog.records, 1, before.records_closed)
    if not (bytes_refused or records_refused or bytes_closed or records_closed):
        return OPEN
    refused: Reason | None = "pending-bytes" if bytes_refused else "pending-records" if records_refused else None
    return Verdict(refused, bytes_closed, records_closed)


def opens_at(limit: int) -> int:
    """The backlog at which a limit that was reached opens again."""
    return limit - int(limit * CLOSED_SHARE) - 1 if limit else 0


def _judge(limit: int, now: int, adding: int, closed: bool) -> tuple[bool, bool]:  # noqa: FBT001 - a state, not a choice
    """Whether so much more is refused, and whether it is closed afterwards."""
    near = now > opens_at(limit)
    refused = (closed and near) or now + adding > limit
    return refused, refused and near
