"""What a report of completeness says. Fields may be added; times are ISO 8601 in UTC, durations seconds."""

from typing import Literal

import msgspec

from s3d.telemetry.report import GapReport

Verdict = Literal["complete", "pending", "parked", "lacking", "unknown"]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Writes of one operation by one identity (both empty: all writes), and what became of them.

    `confirmed` are at the remote; of `superseded` a later write of the same key is. `pending` are on their way,
    `parked` wait for a person. `dropped` were given up by one, `gave_way` stood behind somebody else's write: both are
    for good. `bytes` are those of the bodies that came in; a completed upload adds none to its parts.
    """

    operation: str = ""
    identity: str = ""
    records: int = 0
    bytes: int = 0
    confirmed: int = 0
    confirmed_bytes: int = 0
    superseded: int = 0
    pending: int = 0
    parked: int = 0
    dropped: int = 0
    gave_way: int = 0


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """A write that the remote does not have. `since` is when what `why` says became so, `by` who decided it."""

    seq: str
    at: str
    operation: str
    bucket: str
    key: str
    bytes: int
    identity: str
    why: str = ""
    by: str = ""
    since: str = ""


class Decided(msgspec.Struct, frozen=True):
    """What a person decided: `who` is certain, `claimed` is who it was said to be (see `audit.listing.AuditEvent`)."""

    seq: str
    at: str
    event: str
    who: str = ""
    claimed: str = ""
    about: str = ""
    says: str = ""


class Delays(msgspec.Struct, frozen=True):
    """From the acknowledgement to the confirmation, in seconds, of so many confirmed writes; to within one percent."""

    count: int
    median: float
    p99: float
    worst: float


class Look(msgspec.Struct, frozen=True):
    """A look of the gap audit at all that was confirmed: how many keys it saw, found different, and sent again."""

    began: str
    ended: str
    keys: int
    gaps: int
    mended: int


class Restored(msgspec.Struct, frozen=True):
    """A backup was restored: what was acknowledged between its last record and the first one after is not here."""

    after: str
    before: str


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every write that was acknowledged in a period is at the remote.

    `verdict` is `complete`, or what stands against it, the worst first: `unknown` (records are missing here), `lacking`
    (some will never be there, or are not there any more), `parked` (a person has to act), `pending`. `why` says all of
    it in words. `is_over` is false while the period still goes on.

    `by_remote` says how many of the confirmed writes each remote has, by its name (`default`: `[remote]`).

    `local` writes were to buckets that stay local: nothing of them was ever to be at the remote, and they are counted
    nowhere else.

    Lists name a thousand writes at most, the oldest; the numbers in `total` are of all. `gaps` are those known now
    among the period's writes, None when no daemon was asked. `looks` are those that ended in the period, the latest
    last, of `looks_count`. `sent_again` is the gap audit's share of the writes, of which `healed` are confirmed.
    `strays` are records between the first and the last whose time is outside of the period, because a clock was set.

    `read_first` to `read_last` is what was read, and found unbroken in the chain, which has `head_hash` at `read_last`.
    `retained_first` is the oldest record that there still is. `told_by` says where the records came from, and whether
    they were verified; `made` is as of when: of an export, when that was signed.

    `decided` is what people decided in the period, the oldest thousand of `decided_count`.
    """

    made: str
    instance: str
    epoch: int
    period: str
    since: str
    until: str
    is_over: bool
    bucket: str = ""
    verdict: Verdict
    why: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    total: Counted
    counted: tuple[Counted, ...] = ()
    delays: Delays | None = None
    by_bundle: int = 0
    by_remote: dict[str, int] = {}
    local: int = 0
    local_bytes: int = 0
    pending: tuple[Lacking, ...] = ()
    parked: tuple[Lacking, ...] = ()
    dropped: tuple[Lacking, ...] = ()
    gave_way: tuple[Lacking, ...] = ()
    conflicts: dict[str, int] = {}
    gaps: tuple[GapReport, ...] | None = None
    looks: tuple[Look, ...] = ()
    looks_count: int = 0
    latest_look: Look | None = None
    sent_again: int = 0
    healed: int = 0
    restored: tuple[Restored, ...] = ()
    decided: tuple[Decided, ...] = ()
    decided_count: int = 0
    told_by: str = ""
    strays: int = 0
    retained_first: str = ""
    read_first: str = ""
    read_last: str = ""
    head_hash: str = ""
