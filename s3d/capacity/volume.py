"""One volume for everything: what is let go of when it becomes narrow, and in which order. Pure.

    cached reads, least recently used first → bodies that the remote has, longest confirmed first → never what is
    pending

Narrow is measured two ways: by what the data directory takes, and by what the file system has left, whoever has taken
the rest of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

RESERVE_BYTES_MAX = 256 * 1024 * 1024
RESERVE_PART = 20


@dataclass(frozen=True, slots=True)
class Usage:
    """How things stand, in bytes: `used` by the data directory (0 where only the file system bounds it), `cached` of
    which may be let go of (what is not pinned).
    """

    used: int
    free: int
    cached: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """`volume` is what the data directory may take, `reserve` what is to be left free on the file system."""

    volume: int
    reserve: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """So many bytes of the cache, and so many of bodies that the remote has."""

    cached_bytes: int = 0
    body_bytes: int = 0


def decide(usage: Usage, bounds: Bounds) -> LetGo:
    """What to let go of now: as much as is missing, and no more."""
    missing = max(0, usage.used - bounds.volume, bounds.reserve - usage.free)
    cached = min(usage.cached, missing)
    return LetGo(cached, missing - cached)


def spare_bytes(usage: Usage, bounds: Bounds) -> int:
    """What may still be written when the cache gives way."""
    return max(0, min(bounds.volume - usage.used, usage.free - bounds.reserve) + usage.cached)


def units_for(sizes: Sequence[int], needed: int) -> int:
    """How many of these, from the first on, are at least so much together; all, when they are not."""
    for number, size in enumerate(sizes):
        if needed <= 0:
            return number
        needed -= size
    return len(sizes)


def reserve_bytes(size_bytes: int) -> int:
    """What of a file system of this size is nobody's: 256 MiB, or a twentieth of a small one."""
    return min(RESERVE_BYTES_MAX, size_bytes // RESERVE_PART)


def left_free_bytes(size_bytes: int, ballast_bytes: int) -> int:
    """From how little free space on bodies that the remote has are let go of.

    That is the reserve, and twice the ballast at least (but half of the volume at most): with less the journal would
    not take a ballast back that it has given up, and until then nothing is written.
    """
    return min(max(reserve_bytes(size_bytes), 2 * ballast_bytes), size_bytes // 2)
