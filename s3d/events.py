"""What the records say: the payloads of the journal, as S3's own operations and their outcomes.

A record's `kind` is the name of the S3 operation (`PutObject`, …), of an outcome (`Confirmed`, `Parked`, `Resumed`), of
what the daemon did with its own files (`Relocated`, `Carried`, `LetGo`) or found out about buckets (`Shared`), files
that it took (`FilesNoted`) and the remote (`GapsLooked`), or began there (`UploadBegun`), of what an operator decided
(`ReplicationPaused`, `CachePinned`, their opposites, `LossAccepted` and `ConfigurationChanged`) or had repaired
(`Recovered`; the journal's own `Lost` keeps the place of what damage took), or of what is for auditors alone
(`AuditCheckpoint`, `AuditAnchored`, `RequestsRefused`). Payloads are JSON, so that an auditor can read them without
this program; every payload carries a version, and old versions stay readable.

Of what a person decides, `caller` is what is certain of who it was (`operator:NAME`, or `admin`: see
auth/operators.py), and `claimed` what the command said of itself.
"""

from typing import Any, Literal

import msgspec

from journal import Record
from journal.record import LOST
from s3d.values import Extent, TakenFile

OUTCOME_STREAM = ""  # outcomes belong to many streams at once; a bucket name is never empty
DEFAULT_REMOTE = "default"  # what reports call `[remote]`, which has no name of its own


Decided = Literal["local", "remote", "keep-both", "hold"]
Policy = Literal["", "local", "remote", "keep-both", "hold"]


class Mutation(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A mutation that a client made.

    `input` is the operation's normalised input under botocore's names, without Bucket, Key, Body and the checksums'
    values; `checksums` has those, in base64 under their own names (`ChecksumCRC32`). `etag` is without quotes.
    `extents` says where the bytes are; empty with `size` > 0 means: in this record's own row. `replaces` is the
    sequence of the last record on this key (0: none known), `replaces_etag` the ETag that the edge believed it was
    replacing. A copy names its source, the sequence of the record that made it and its ETag. What belongs to a
    multipart upload names it; a part has its number, and Complete lists (number, size, checksum) of its parts.
    `conflict` is the policy of a write that is guarded against other writers (empty: it is not), `believed` the ETag
    that the remote was believed to have then (empty: nothing; None: what an earlier record on this key makes).
    `group` is the order group that the client named, `barrier` what it said of its place in it (None: nothing).
    `rekeyed` is the record of which a person had the object go out under this key. `restored` is the record as of which
    a person had the key be again what it was (0: nobody had); of both `source` is who that said to be.
    `taken` is the file of a drop folder that the object was made from.
    `stays_local`: its bucket stays here, so the record is final as it is. It says so itself, because a view that is
    rebuilt years later must not ask the configuration of then.
    """

    version: int = 1
    input: dict[str, Any] = {}
    caller: str = ""
    source: str = ""
    request: str = ""
    size: int = 0
    etag: str = ""
    checksums: dict[str, str] = {}
    extents: tuple[Extent, ...] = ()
    replaces: int = 0
    replaces_etag: str = ""
    copy_bucket: str = ""
    copy_key: str = ""
    copy_sequence: int = 0
    copy_etag: str = ""
    upload: str = ""
    part: int = 0
    parts: tuple[tuple[int, int, str], ...] = ()
    group: str = ""
    barrier: bool | None = None
    rekeyed: int = 0
    conflict: Policy = ""
    believed: str | None = None
    taken: TakenFile | None = None
    stays_local: bool = False
    restored: int = 0


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The remote has a record: under which ETag and version; `existed`: the bucket had been there before.

    `upload_id` is the remote's own id of a multipart upload; `uploaded`: a copy, whose bytes were sent.
    """

    sequence: int
    etag: str = ""
    version_id: str = ""
    existed: bool = False
    upload_id: str = ""
    uploaded: bool = False


class Confirmed(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Many records arrived; the record's own time says when that was known.

    `bundle` is the bundle that they went in, when receipts for it said so and not the remote itself. `remote` is the
    name of the remote that has them; empty: `[remote]`.
    """

    version: int = 1
    confirmations: tuple[Confirmation, ...] = ()
    bundle: str = ""
    remote: str = ""

    @property
    def remote_name(self) -> str:
        """The remote as reports call it."""
        return self.remote or DEFAULT_REMOTE


class Parked(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A record cannot go on without a person: the remote's code and message say why."""

    version: int = 1
    sequence: int = 0
    code: str = ""
    message: str = ""


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side of a conflict: an object with its size in bytes and the time of its writing, or that there is none."""

    present: bool = True
    etag: str = ""
    size: int = 0
    at_ms: int = 0
    version_id: str = ""


class Conflicted(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A guarded write met somebody else's at the remote, and what was decided by its policy.

    `local`: ours goes over it. `remote`: ours gives way. `keep-both`: ours gives way there and goes out as `sibling`.
    `hold`: it is parked.
    """

    version: int = 1
    sequence: int = 0
    decided: Decided = "hold"
    believed: str = ""
    ours: Side = Side()
    theirs: Side = Side()
    sibling: str = ""


class Resumed(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person let parked records try again."""

    version: int = 1
    sequences: tuple[int, ...] = ()
    caller: str = ""
    claimed: str = ""


class Superseded(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Records that are not sent, because a later one of their key is.

    Not final before that one is confirmed: when it is given up, they are sent after all.
    """

    version: int = 1
    sequences: tuple[int, ...] = ()
    by: int = 0


class Discarded(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person gave up parked records: they never go to the remote.

    `revived` are the last of the records that they had superseded: what their keys are again.
    """

    version: int = 1
    sequences: tuple[int, ...] = ()
    caller: str = ""
    claimed: str = ""
    revived: tuple[Record, ...] = ()


class ReplicationPaused(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person lets nothing more go to the remote, and says why."""

    version: int = 1
    caller: str = ""
    claimed: str = ""
    reason: str = ""


class ReplicationResumed(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person lets it go on."""

    version: int = 1
    caller: str = ""
    claimed: str = ""
    reason: str = ""


class UploadBegun(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """The remote has forgotten an upload, and another one was begun there in its place, under this id."""

    version: int = 1
    upload: str = ""
    remote_id: str = ""


class Relocated(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Bodies of rows that are still needed lie in blobs from now on: (sequence, blob). The rows may lose them."""

    version: int = 1
    moved: tuple[tuple[int, str], ...] = ()


class LetGo(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Confirmed objects whose bytes in files are only at the remote from now on: (bucket, key, sequence)."""

    version: int = 1
    objects: tuple[tuple[str, str, int], ...] = ()


class Shared(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Others may have written into these buckets, or this daemon may have forgotten that it did."""

    version: int = 1
    buckets: tuple[str, ...] = ()


class Carried(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Pending records once more, as they were: the file that they are in may be dropped."""

    version: int = 1
    records: tuple[Record, ...] = ()


class FilesNoted(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """What was found out about files that were taken before: `same` are those known again under another inode, with
    the ETag of their content; `gone` are no longer there, and need not be remembered.
    """

    version: int = 1
    same: tuple[tuple[TakenFile, str], ...] = ()
    gone: tuple[TakenFile, ...] = ()


class GapsLooked(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """All that was confirmed has been held against what the remote has: so many keys, of which so many were different,
    and so many are sent again. The look began then, and the record's own time says when it was over.
    """

    version: int = 1
    began_ms: int = 0
    keys: int = 0
    gaps: int = 0
    mended: int = 0


class CachePinned(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person wants what is here of a bucket's keys with this prefix to stay here, and says why."""

    version: int = 1
    bucket: str = ""
    prefix: str = ""
    caller: str = ""
    claimed: str = ""
    reason: str = ""


class CacheUnpinned(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """It may be let go of again."""

    version: int = 1
    bucket: str = ""
    prefix: str = ""
    caller: str = ""
    claimed: str = ""


class ConfigurationChanged(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Other settings hold from this record on: what is decided after it is decided by them.

    `caller` is who had the file read again (an operator, `SIGHUP`, `watch`), `file` its path, `digest` the SHA-256 of
    its bytes in hexadecimal. `changed` names what changed, never to what; `waiting` what needs a restart.
    """

    version: int = 1
    caller: str = ""
    claimed: str = ""
    file: str = ""
    digest: str = ""
    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


class Recovered(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person had a damaged data directory repaired while no daemon ran on it: what was done, and what is lost.

    Nobody proves who that was; records from before `claimed` have the name in `caller`. `recovery` names the plan, and
    the directory that has what was replaced. `lost` are ranges of sequences whose records could not be saved: their
    places are kept by records of kind `Lost`.
    """

    version: int = 1
    recovery: str = ""
    caller: str = ""
    claimed: str = ""
    steps: tuple[str, ...] = ()
    lost: tuple[tuple[int, int], ...] = ()


class LossAccepted(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """A person says that what is here is all there is, although so many `records` were lost: absence is known again."""

    version: int = 1
    caller: str = ""
    claimed: str = ""
    reason: str = ""
    records: int = 0


class AuditCheckpoint(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """The site has signed how far its journal goes, and the hash of the chain there.

    `statement` is the signed text (audit/checkpoint.py says what is in it), `signature` Ed25519 (RFC 8032) over its
    UTF-8 bytes, in base64. The record itself comes behind what it is about.
    """

    version: int = 1
    statement: str = ""
    signature: str = ""


class Anchor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint lies at the remote: `sequence` is its record, `locked_until` (ISO 8601) how long nobody can delete
    it, where the bucket sees to that.
    """

    sequence: int
    number: int = 0
    key: str = ""
    version_id: str = ""
    locked_until: str = ""


class AuditAnchored(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Checkpoints lie at the remote, where the site cannot change them unseen."""

    version: int = 1
    bucket: str = ""
    anchors: tuple[Anchor, ...] = ()


class RequestsRefused(msgspec.Struct, frozen=True, omit_defaults=True, rename={"version": "v"}):
    """Requests that were not let in, from the first to the last of them (milliseconds since 1970): how many by error
    code, and by address (those who asked most; `others`). `unwritten` of them have no line in the file of refusals.
    """

    version: int = 1
    since_ms: int = 0
    until_ms: int = 0
    codes: dict[str, int] = {}
    sources: dict[str, int] = {}
    unwritten: int = 0


CONFIRMED, PARKED, RESUMED, DISCARDED = "Confirmed", "Parked", "Resumed", "Discarded"
CONFLICTED, SUPERSEDED = "Conflicted", "Superseded"
GIVE_WAY = frozenset({"remote", "keep-both"})  # of what can be decided about a conflict: ours is not sent there
RELOCATED, CARRIED, SHARED, LET_GO = "Relocated", "Carried", "Shared", "LetGo"
PAUSED, UNPAUSED, FILES_NOTED = "ReplicationPaused", "ReplicationResumed", "FilesNoted"
GAPS_LOOKED, UPLOAD_BEGUN = "GapsLooked", "UploadBegun"
GAP_AUDIT = "gap-audit"  # the caller of what it sends again
UPLOAD_EXPIRY = "upload-expiry"  # the caller that aborts what no client has completed
CACHE_PINNED, CACHE_UNPINNED = "CachePinned", "CacheUnpinned"
CONFIGURED = "ConfigurationChanged"
RECOVERED, LOSS_ACCEPTED = "Recovered", "LossAccepted"
CHECKPOINT, ANCHORED, REFUSED = "AuditCheckpoint", "AuditAnchored", "RequestsRefused"
FOR_AUDITORS = (CONFIGURED, RECOVERED, REFUSED)  # nothing that is read here follows from these
# about records, buckets, files and replication as a whole, not objects
OUTCOMES = frozenset(
    {
        CONFLICTED,
        CONFIRMED,
        SUPERSEDED,
        PARKED,
        RESUMED,
        DISCARDED,
        RELOCATED,
        CARRIED,
        SHARED,
        LET_GO,
        PAUSED,
        UNPAUSED,
        FILES_NOTED,
        GAPS_LOOKED,
        UPLOAD_BEGUN,
        CACHE_PINNED,
        CACHE_UNPINNED,
        CONFIGURED,
        LOST,
        RECOVERED,
        LOSS_ACCEPTED,
        CHECKPOINT,
        ANCHORED,
        REFUSED,
    }
)

_encoder = msgspec.json.Encoder()
_mutation = msgspec.json.Decoder(Mutation)
_confirmed = msgspec.json.Decoder(Confirmed)
_parked = msgspec.json.Decoder(Parked)
_conflicted = msgspec.json.Decoder(Conflicted)
_resumed = msgspec.json.Decoder(Resumed)
_discarded = msgspec.json.Decoder(Discarded)
_superseded = msgspec.json.Decoder(Superseded)
_relocated = msgspec.json.Decoder(Relocated)
_let_go = msgspec.json.Decoder(LetGo)
_shared = msgspec.json.Decoder(Shared)
_carried = msgspec.json.Decoder(Carried)
_paused = msgspec.json.Decoder(ReplicationPaused)
_cache_pinned = msgspec.json.Decoder(CachePinned)
_cache_unpinned = msgspec.json.Decoder(CacheUnpinned)
_files_noted = msgspec.json.Decoder(FilesNoted)
_gaps_looked = msgspec.json.Decoder(GapsLooked)
_upload_begun = msgspec.json.Decoder(UploadBegun)
_recovered = msgspec.json.Decoder(Recovered)
_loss_accepted = msgspec.json.Decoder(LossAccepted)
_configured = msgspec.json.Decoder(ConfigurationChanged)
_checkpoint = msgspec.json.Decoder(AuditCheckpoint)
_anchored = msgspec.json.Decoder(AuditAnchored)
_refused = msgspec.json.Decoder(RequestsRefused)
_record = msgspec.json.Decoder(Record)

encode = _encoder.encode
decode_mutation = _mutation.decode
decode_confirmed = _confirmed.decode
decode_parked = _parked.decode
decode_conflicted = _conflicted.decode
decode_resumed = _resumed.decode
decode_discarded = _discarded.decode
decode_superseded = _superseded.decode
decode_relocated = _relocated.decode
decode_let_go = _let_go.decode
decode_shared = _shared.decode
decode_carried = _carried.decode
decode_paused = _paused.decode
decode_cache_pinned = _cache_pinned.decode
decode_cache_unpinned = _cache_unpinned.decode
decode_files_noted = _files_noted.decode
decode_gaps_looked = _gaps_looked.decode
decode_upload_begun = _upload_begun.decode
decode_recovered = _recovered.decode
decode_loss_accepted = _loss_accepted.decode
decode_configured = _configured.decode
decode_checkpoint = _checkpoint.decode
decode_anchored = _anchored.decode
decode_refused = _refused.decode
decode_record = _record.decode
