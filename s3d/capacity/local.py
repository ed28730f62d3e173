"""How much buckets that stay local may hold: a cap of their own, and one together with what is pending. Pure.

Neither can be let go of to make room, so both together have to fit on the volume. What stays local has a smaller share
of it, which nobody but its own clients can make free again; the rest is left for what waits for the remote.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from s3d.capacity.pending import Backlog, Cap

LocalReason = Literal["local-bytes", "pending-bytes"]


class Staying(NamedTuple):
    """What stays on this disk: objects and parts of uploads, and their body bytes."""

    bodies: int = 0
    size_bytes: int = 0

    def plus(self, other: "Staying") -> "Staying":
        """Both together."""
        return Staying(self.bodies + other.bodies, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class LocalCap:
    """`bytes_max` of what stays local, `together_bytes_max` of that and what is pending."""

    bytes_max: int
    together_bytes_max: int

    def leaves(self, cap: Cap, staying_bytes: int) -> Cap:
        """What is left of the cap on what is pending."""
        room = max(0, self.together_bytes_max - staying_bytes)
        return cap if room >= cap.bytes_max else Cap(room, cap.records_max)


def judge_local(cap: LocalCap, staying_bytes: int, backlog: Backlog, adding_bytes: int) -> LocalReason | None:
    """Why so many bytes more may not stay; None: they may. What adds none is never refused."""
    if not adding_bytes:
        return None
    if staying_bytes + adding_bytes > cap.bytes_max:
        return "local-bytes"
    return "pending-bytes" if staying_bytes + backlog.size_bytes + adding_bytes > cap.together_bytes_max else None
