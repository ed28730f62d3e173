"""What the admin listener answers, as the command line reads it: one set of Structs for both ends.

Fields may be added; a reader ignores those that it does not know, so that daemon and command line may differ in
version. Ages are in seconds by the daemon's clock, times are ISO 8601 in UTC.
"""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from s3d.errors import S3dError
from s3d.telemetry.configuration import ConfigurationReport
from s3d.telemetry.drops import DropReport
from s3d.telemetry.flow import FlowReport, UploadReport
from s3d.telemetry.losses import LossReport
from s3d.telemetry.notary import NotaryReport
from s3d.telemetry.obstacles import Obstacle

_SEQUENCE = re.compile(r"(?:([1-9][0-9]{0,9})-)?([0-9]{1,18})\Z", re.ASCII)


class LinkReport(msgspec.Struct, frozen=True):
    """The remote: its endpoint without credentials, whether it can be reached and since when that is so.

    `state` is `up`, `down` or `unknown` (not tried yet); `error` is what the last failed attempt was told; `sender` is
    None when the daemon itself sends; `flow` says how much goes there; `software` is what the service calls itself, and
    `ahead_seconds` how far its clock is ahead of this machine's, None where it does not say.
    """

    endpoint: str
    state: str
    since: str = ""
    error: str = ""
    sender: "SenderReport | None" = None
    flow: FlowReport | None = None
    software: str = ""
    ahead_seconds: float | None = None


class SenderReport(msgspec.Struct, frozen=True):
    """The process that speaks to the remote: its id, 0 while it is being started, and how often it had to be again."""

    pid: int
    restarts: int


class PauseReport(msgspec.Struct, frozen=True):
    """That an operator has paused replication: since when, by which record, by whom, and why."""

    since: str
    seq: str
    caller: str
    reason: str


class PendingSummary(msgspec.Struct, frozen=True):
    """All pending records together; `oldest_seconds` is 0 when there are none, `parked` of them wait for a person.

    `paused`: none of them goes to the remote before somebody lets it.
    """

    count: int
    bytes: int
    oldest_seconds: float
    parked: int
    paused: PauseReport | None = None


class ClassReport(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that may use only a share of the cap, by a rule; the rest is as in CapacityReport."""

    match: str
    refuse_above: float
    opens_at_bytes: int
    opens_at_records: int | None
    refusing: str = ""


class ForecastReport(msgspec.Struct, frozen=True, kw_only=True):
    """How long room and backlog last at the rates of the last minutes.

    `room_bytes` is what may still become pending. `fills` is `full`, `filling` (in `full_seconds`), `not-filling` or
    `unknown`; `drains` is `empty`, `draining` (in `drained_seconds`), `not-shrinking`, `stopped` (no link, paused) or
    `unknown`. `silence_seconds` is how long the link could be away with the writes of the last minutes.
    """

    room_bytes: int
    arriving_bytes_per_second: float
    leaving_bytes_per_second: float | None
    fills: str
    full_seconds: float | None
    drains: str
    drained_seconds: float | None
    silence_seconds: float | None


class LocalReport(msgspec.Struct, frozen=True, kw_only=True):
    """What buckets that stay local hold: objects (and parts of open uploads), their bytes, and how many bytes they may.

    `refusing` is the reason for which every write to them is refused now (`local-bytes`; `pending-bytes`: what waits
    for the remote has taken the room), empty when none is.
    """

    buckets: int
    objects: int
    bytes: int
    bytes_max: int
    refusing: str = ""


class CapacityReport(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be pending. The cap on records is None where there is none, `local` where no bucket stays local.

    `refusing` is the reason for which every write of an object is refused now (`pending-bytes`, `pending-records`),
    empty when none is; they are taken again when no more than `opens_at_bytes` and `opens_at_records` are pending.
    """

    volume_bytes: int
    pending_bytes_max: int
    pending_records_max: int | None
    opens_at_bytes: int
    opens_at_records: int | None
    refusing: str = ""
    classes: tuple[ClassReport, ...] = ()
    forecast: ForecastReport | None = None
    local: LocalReport | None = None


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the journal: `active`, `closed` or `sealed` (without bodies); `why` says what keeps it.

    `age_seconds` is since its last record was written.
    """

    number: int
    state: str
    records: int
    bytes: int
    age_seconds: float
    why: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where the daemon stands. `remote` is None when none is configured; `head` is the last record as `EPOCH-SEQ`.

    `files` are those of the journal, oldest first; `base` is the record up to which a snapshot can take their place,
    empty when there is none. `capacity` is None of a daemon that is too old to tell. `at` is when this was so, and
    `obstacles` is why what is pending stays where it is. `uploads` are the first multipart uploads under way. `remotes`
    are all of them, where there are several; `remote` is then the one of the buckets that no other is named for. `loss`
    is what nobody has accepted, where it leaves something unknown.
    """

    version: str
    instance: str
    epoch: int
    started_at: str
    data_dir: str
    listen: str
    authenticated: bool
    head: str
    remote: LinkReport | None
    pending: PendingSummary
    cache_bytes: int
    cache_capacity_bytes: int
    ready: bool
    reason: str = ""
    files: tuple[FileReport, ...] = ()
    base: str = ""
    capacity: CapacityReport | None = None
    drops: tuple[DropReport, ...] = ()
    at: str = ""
    obstacles: tuple[Obstacle, ...] = ()
    uploads: tuple[UploadReport, ...] = ()
    cache_pinned_bytes: int = 0
    remotes: "tuple[RemoteStanding, ...]" = ()
    configuration: ConfigurationReport | None = None
    audit: NotaryReport | None = None
    loss: LossReport | None = None


class RemoteStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One of several remotes, by its name (`default`: `[remote]`), and what waits for it; see PendingSummary."""

    name: str
    link: LinkReport
    count: int
    bytes: int
    oldest_seconds: float
    parked: int


class PendingRecord(msgspec.Struct, frozen=True):
    """A record that the remote has not confirmed; parked ones carry the remote's code and message.

    `group` is its order group, `barrier` what the client said of its place there. `held_by` is the parked record that
    it waits for; of a parked one `holds` is how many wait for it (None: not known here). `superseded_by` is the later
    record of its key that is sent in its place.
    """

    seq: str
    operation: str
    bucket: str
    key: str
    bytes: int
    age_seconds: float
    parked: bool = False
    code: str = ""
    message: str = ""
    group: str = ""
    barrier: bool | None = None
    held_by: str = ""
    holds: int | None = None
    superseded_by: str = ""


class PendingPage(msgspec.Struct, frozen=True):
    """A page of records; `next` goes into `after` for the following page and is empty on the last one.

    `paused`: none of them goes to the remote before somebody lets it. `uploads`, on the first page, are the multipart
    uploads among them.
    """

    records: tuple[PendingRecord, ...]
    next: str = ""
    paused: PauseReport | None = None
    uploads: tuple[UploadReport, ...] = ()


class WaitReport(msgspec.Struct, frozen=True):
    """How a wait stands. `state` is one of

    `confirmed` (the remote has everything that was asked for), `pending` (not yet: ask again with the same `through`),
    `parked` (a person has to act first, on the records in `parked`), `paused` (a person has to let replication go on:
    `paused` says why), `local` (the record's bucket stays local) or `no-remote` (it can never happen as configured).
    `count` and `bytes` are what is left; `through` is the last record that this wait is about. `obstacles` is why what
    is left stays where it is, `at` when that was so.
    """

    state: str
    count: int
    bytes: int
    through: str
    parked: tuple[PendingRecord, ...] = ()
    paused: PauseReport | None = None
    obstacles: tuple[Obstacle, ...] = ()
    at: str = ""


class PauseChanged(msgspec.Struct, frozen=True):
    """Whether replication is paused now, and whether that is new; `seq` is the record that says so, if one was made."""

    paused: bool
    changed: bool
    seq: str = ""


class Resumed(msgspec.Struct, frozen=True):
    """The parked records that try again."""

    seqs: tuple[str, ...]


class Rekeyed(msgspec.Struct, frozen=True):
    """A parked record was given up, and its object goes out as record `seq`."""

    seq: str
    bucket: str
    key: str


class Dropped(msgspec.Struct, frozen=True):
    """The parked records that were given up."""

    seqs: tuple[str, ...]


class RecordReport(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the journal. `state` is `pending`, `parked`, `local` (its bucket stays local) or `settled`;
    `details` is what it was given.

    `sha256` is that of the body, in hexadecimal, empty when there is none. `held_by` and `holds`: see PendingRecord.
    """

    seq: str
    at: str
    operation: str
    stream: str
    bytes: int
    sha256: str
    state: str
    details: dict[str, Any]
    code: str = ""
    message: str = ""
    held_by: str = ""
    holds: int | None = None


class RemoteReceipt(msgspec.Struct, frozen=True):
    """What the remote answered, and when that was known; `seq` is the record that says so, where it was looked for.

    `name` is the remote's (`default`: `[remote]`); empty where that is not retained.
    """

    etag: str
    version_id: str
    at: str
    seq: str = ""
    name: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mutation.

    `state` is `confirmed`, `pending`, `parked`, `dropped` (given up by a person), `gave-way` (somebody else's
    write stands: `code` and `message` say what was decided, and under which key ours went out, if it did), `superseded`
    (not sent, because the remote has a later one of its key: `replaced_by`) or
    `settled` (it is not pending, and what became of it is not retained), or `local` (its bucket stays local).
    `etag`, `sha256` and `checksums` are those
    of the body as it was verified here, `remote` is what the remote said. `replaced_by` is the current record of
    the key, where that is a later one.
    """

    seq: str
    state: str
    at: str
    operation: str
    bucket: str
    key: str
    bytes: int
    etag: str
    sha256: str
    checksums: dict[str, str] = {}
    remote: RemoteReceipt | None = None
    replaced_by: str = ""
    code: str = ""
    message: str = ""


class SideReport(msgspec.Struct, frozen=True):
    """One side of a conflict; `present` is false for a deletion."""

    present: bool
    etag: str
    bytes: int
    at: str
    version_id: str = ""


class ConflictReport(msgspec.Struct, frozen=True, kw_only=True):
    """A write that met somebody else's at the remote.

     `decided` is `local` (ours went over it), `remote` (ours gave way), `keep-both` (ours went out as `sibling`) or
    `hold` (it is parked). `found` is the record that says so; `believed` is the ETag that the write was to replace,
    empty for none.
    """

    seq: str
    found: str
    at: str
    operation: str
    bucket: str
    key: str
    decided: str
    believed: str
    ours: SideReport
    theirs: SideReport
    sibling: str = ""


class ConflictPage(msgspec.Struct, frozen=True):
    """A page of conflicts; `next` goes into `after` for the following page and is empty on the last one."""

    conflicts: tuple[ConflictReport, ...]
    next: str = ""


class AnnouncedRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that something became of. Operation and key are empty when its file was dropped already.

    Of a conflict, ETag and version are the other's, `code` is what was decided and `message` the sibling's key, if any.
    `superseded_by` is the record that is sent in its place.
    """

    seq: str
    operation: str = ""
    bucket: str = ""
    key: str = ""
    bytes: int = 0
    etag: str = ""
    version_id: str = ""
    code: str = ""
    message: str = ""
    superseded_by: str = ""


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of records, as the record `seq` says.

    `kind` is `confirmed`, `superseded`, `parked`, `conflicted`, `resumed` or `dropped`. `remote` is the name of the one
    that has what is `confirmed` (`default`: `[remote]`).
    """

    seq: str
    kind: str
    at: str
    records: tuple[AnnouncedRecord, ...]
    remote: str = ""


class Gap(msgspec.Struct, frozen=True):
    """Records that were dropped before they could be told of: the first and the last."""

    first: str
    last: str


class LinkEvent(msgspec.Struct, frozen=True):
    """Where the link stands: `up`, `down` or `unknown`, and why it is down. Where there are several remotes, `remotes`
    are the states of all links by the remotes' names (`default`: `[remote]`, whose `state` it is).
    """

    state: str
    error: str = ""
    remotes: dict[str, str] | UnsetType = UNSET


class Problem(msgspec.Struct, frozen=True):
    """What every answer with an error status carries."""

    error: str
    hint: str = ""


def format_sequence(epoch: int, sequence: int) -> str:
    """A record's place as clients see it: `EPOCH-SEQ`, the form of the header x-s3d-seq."""
    return f"{epoch}-{sequence}"


def parse_sequence(text: str) -> tuple[int | None, int]:
    """Epoch (None when it is left out) and sequence of `1-42` or `42`. Raises S3dError."""
    match = _SEQUENCE.match(text)
    if match is None:
        raise S3dError(f"{text[:40]!r} is not a sequence number", hint="it looks like 1-42, as in the header x-s3d-seq")
    return (int(match[1]) if match[1] else None), int(match[2])


def sequence_in(epoch: int, text: str) -> int:
    """The sequence number that `text` names in this epoch. Raises S3dError when it is of another one."""
    named, sequence = parse_sequence(text)
    if named is not None and named != epoch:
        raise S3dError(
            f"{text} is of epoch {named}, but this journal is in epoch {epoch}",
            hint="a backup was restored since, and its numbers begin anew; compare the objects instead",
        )
    return sequence


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class GapReport(msgspec.Struct, frozen=True, kw_only=True):
    """A key of which the remote has something else than it confirmed.

    `kind` is `missing`, `changed` or `returned` (deleted, and there again). `claimed_…` is what was confirmed at
    `confirmed`, the others what the remote said at `seen`.
    """

    bucket: str
    key: str
    seq: str
    kind: str
    claimed_bytes: int
    claimed_etag: str
    confirmed: str
    bytes: int
    etag: str
    seen: str


class GapRound(msgspec.Struct, frozen=True):
    """One look at everything: when it ended, how many keys were looked at, found different, and sent again."""

    ended: str
    keys: int
    gaps: int
    mended: int


class GapsReport(msgspec.Struct, frozen=True):
    """Every gap that is known, and the last look that was finished; None: none was."""

    gaps: tuple[GapReport, ...]
    last: GapRound | None = None
