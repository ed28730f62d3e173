"""What the cache counts since the daemon began, and what the admin listener says of it.

Sizes are in bytes; a *place* is a bucket, or a prefix of its keys, as `BUCKET/PREFIX`. Fields may be added.
"""

from typing import Literal

import msgspec

Why = Literal["unsent", "local", "pinned", "journal"]


class CacheCounts(msgspec.Struct):
    """Reads of objects whose bytes are not kept here for their own sake, by whether all of them were in the cache.

    `mismatches` are fetched objects that were not what the remote had announced; none of them was kept. Counted on the
    event loop.
    """

    hits: int = 0
    misses: int = 0
    mismatches: int = 0


class PlaceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is here of a place that the remote has as well.

    Cached: read from the remote, in `pieces`; written: files of objects that were written here and are confirmed.
    `pinned_bytes` of both stay. `unused_seconds` is for how long nobody asked for the one of the cached objects for
    which that is longest; None: none is cached.
    """

    place: str
    cached_objects: int
    cached_bytes: int
    pieces: int
    written_objects: int
    written_bytes: int
    pinned_bytes: int
    unused_seconds: float | None = None


class PinReport(msgspec.Struct, frozen=True, kw_only=True):
    """A pinned place: since when, by which record, by whom and why; `bytes` of so many `objects` are here."""

    place: str
    since: str
    seq: str
    caller: str
    reason: str
    objects: int
    bytes: int


class CacheReport(msgspec.Struct, frozen=True, kw_only=True):
    """The cache as a whole, and by place: each bucket, or the one place that was asked about.

    `pinned_bytes` are of all pinned objects that are here; `pinned_max_bytes` of them are kept however narrow the
    volume becomes. `tagged` objects are pinned by their tag.
    """

    bytes: int
    capacity_bytes: int
    pinned_bytes: int
    pinned_max_bytes: int
    counts: CacheCounts
    counted_since: str
    places: tuple[PlaceReport, ...]
    pins: tuple[PinReport, ...]
    tagged: int


class PinChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a place is pinned now, and whether that is new; `seq` is the record that says so, if one was made.

    `objects` with so many `bytes` are here of it. `held_by` are other pins that hold all of it.
    """

    place: str
    pinned: bool
    changed: bool
    seq: str = ""
    objects: int = 0
    bytes: int = 0
    held_by: tuple[str, ...] = ()


class Kept(msgspec.Struct, frozen=True):
    """Objects that were not let go of: the remote does not have them (`unsent`), or never will (`local`), they are
    `pinned`, or they lie in the `journal`, which lets go of them itself.
    """

    why: Why
    objects: int
    bytes: int


class EvictedPage(msgspec.Struct, frozen=True):
    """Some objects of a place were let go of, and some were not. `next` goes into `after`; empty: that was all."""

    objects: int
    bytes: int
    kept: tuple[Kept, ...] = ()
    next: str = ""
