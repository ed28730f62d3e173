"""What a question to the view is answered with."""

from typing import Any, Literal, TypeVar

import msgspec

from s3d.events import Conflicted
from s3d.values import Extent, Extents, Order, Replication, RowBytes, TakenFile
from s3d.view.damage import RowDamaged

T = TypeVar("T")
_attributes = msgspec.json.Decoder(dict[str, Any])
_checksums = msgspec.json.Decoder(dict[str, str])
_parts = msgspec.json.Decoder(tuple[tuple[int, int, str], ...])
_extents = msgspec.json.Decoder(tuple[Extent, ...])


class BucketRow(msgspec.Struct, frozen=True, gc=False):
    """A bucket as it is known here; `seen_ms` is 0 for what happened here, else when the remote told of it."""

    name: str
    present: bool
    incarnation: int
    created_ms: int
    sole: bool
    replication: int
    seen_ms: int = 0

    @property
    def stays_local(self) -> bool:
        """Whether nothing of it ever goes to the remote."""
        return self.replication == Replication.LOCAL


class ObjectRow(msgspec.Struct, frozen=True, gc=False):
    """An object that was written or deleted here (see view/schema.sql for the columns)."""

    sequence: int
    present: int
    size: int
    etag: str
    modified_ms: int
    attributes_json: bytes
    extents_json: bytes | None
    replication: int
    remote_etag: str
    remote_version: str
    confirmed_ms: int
    parts_json: bytes | None = None

    @property
    def parts(self) -> tuple[tuple[int, int, str], ...]:
        """(number, size, checksum) of each part of a multipart object; empty for any other."""
        return _decoded(_parts, self.parts_json) if self.parts_json is not None else ()

    @property
    def attributes(self) -> dict[str, Any]:
        """What the client gave, under botocore's input names, with the checksums under `ChecksumX`."""
        return _decoded(_attributes, self.attributes_json)

    @property
    def extents(self) -> Extents:
        """Where the bytes are."""
        return _extents_of(self.extents_json, self.sequence, self.size)

    @property
    def confirmed(self) -> bool:
        """Whether the remote has it."""
        return self.replication == Replication.COMPLETED


class Gap(msgspec.Struct, frozen=True, gc=False):
    """A key of which the remote has something else than it confirmed (`present`, `etag`, … of what it has, and when it
    said so; `claimed_…` of what was confirmed). Times are milliseconds since 1970.
    """

    bucket: str
    key: str
    sequence: int
    claimed_present: int
    claimed_size: int
    claimed_etag: str
    confirmed_ms: int
    present: int
    size: int
    etag: str
    modified_ms: int
    seen_ms: int

    @property
    def kind(self) -> Literal["missing", "changed", "returned"]:
        """What is wrong: an object is gone or another one, or what was deleted is there."""
        if not self.claimed_present:
            return "returned"
        return "changed" if self.present else "missing"


class UploadResult(msgspec.Struct, frozen=True):
    """What Complete answered."""

    etag: str
    checksums: dict[str, str]
    checksum_type: str
    sequence: int


class UploadRow(msgspec.Struct, frozen=True, gc=False):
    """A multipart upload that was begun here (see view/schema.sql for the columns)."""

    upload: str
    bucket: str
    key: str
    sequence: int
    initiated_ms: int
    state: int
    attributes_json: bytes
    checksum_algorithm: str
    checksum_type: str
    result_json: bytes | None
    remote_id: str

    @property
    def attributes(self) -> dict[str, Any]:
        """What the object will be given, under botocore's input names."""
        return _decoded(_attributes, self.attributes_json)

    @property
    def result(self) -> UploadResult:
        """What Complete answered; only of a completed upload."""
        assert self.result_json is not None, "only a completed upload has a result"
        return _decoded(_result, self.result_json)


class UploadStanding(msgspec.Struct, frozen=True, gc=False):
    """How much of an upload the remote has confirmed; `complete`: no more parts will come, it was completed here."""

    upload: str
    bucket: str
    key: str
    sequence: int
    complete: int
    remote_id: str
    parts: int
    size: int
    parts_done: int
    size_done: int


class PartRow(msgspec.Struct, frozen=True, gc=False):
    """The current part of one number of an upload."""

    number: int
    sequence: int
    size: int
    etag: str
    modified_ms: int
    checksums_json: bytes
    extents_json: bytes | None
    remote_etag: str

    @property
    def checksums(self) -> dict[str, str]:
        """In base64, by botocore's names."""
        return _decoded(_checksums, self.checksums_json)

    @property
    def extents(self) -> Extents:
        """Where the bytes are."""
        return _extents_of(self.extents_json, self.sequence, self.size)


class RemoteObjectRow(msgspec.Struct, frozen=True, gc=False):
    """What the remote said of an object, and when (milliseconds since 1970)."""

    present: int
    size: int
    etag: str
    modified_ms: int
    attributes_json: bytes
    seen_ms: int

    @property
    def attributes(self) -> dict[str, Any]:
        """Headers and metadata under botocore's names."""
        return _decoded(_attributes, self.attributes_json)


class ListedObject(msgspec.Struct, frozen=True, gc=False):
    """One line of a listing."""

    key: str
    size: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"


class CachedPiece(msgspec.Struct, frozen=True, gc=False):
    """`length` bytes of a remote object, from `start`: all that a blob holds."""

    start: int
    length: int
    blob: str

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return self.start + self.length


class CachedObject(msgspec.Struct, frozen=True, gc=False):
    """A remote object of which `held_bytes` are here; `pinned`: they stay."""

    key: str
    etag: str
    pinned: int
    held_bytes: int


class WrittenObject(msgspec.Struct, frozen=True, gc=False):
    """An object that was written here; `in_files`: its bytes are in files that could be let go of, pins aside."""

    key: str
    sequence: int
    size: int
    replication: int
    pinned: int
    in_files: int


class HeldTotals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is here of what the remote has as well, and could be let go of, were nothing pinned.

    `written_…`: in files of objects that were written here. `pinned_bytes` are of both kinds. `oldest_ms` is when the
    cached object that was unused for longest was last asked for; 0: there is none.
    """

    pieces: int
    cached_objects: int
    cached_bytes: int
    written_objects: int
    written_bytes: int
    pinned_bytes: int
    oldest_ms: int


class CachedTotal(msgspec.Struct, frozen=True, gc=False):
    """The bytes of all cached pieces, and how many of them are pinned."""

    size_bytes: int
    pinned_bytes: int

    @property
    def recyclable_bytes(self) -> int:
        """What may be let go of."""
        return self.size_bytes - self.pinned_bytes


class PinRow(msgspec.Struct, frozen=True, gc=False):
    """A prefix that was pinned: by which record and when (milliseconds since 1970), by whom, and why."""

    bucket: str
    prefix: str
    sequence: int
    at_ms: int
    caller: str
    reason: str


class PinnedRow(msgspec.Struct, frozen=True, gc=False):
    """A pinned object whose bytes lie in rows of the journal, or in a `blob` since it was moved out of its row."""

    bucket: str
    key: str
    sequence: int
    etag: str
    size: int
    extents_json: bytes | None
    blob: str

    @property
    def extents(self) -> Extents:
        """Where the bytes are."""
        return _extents_of(self.extents_json, self.sequence, self.size)


class ListedRange(msgspec.Struct, frozen=True, gc=False):
    """A stretch of keys, from `first` to below `end` (None: to the last one), that the remote has listed completely."""

    first: str
    end: str | None
    seen_ms: int


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    """A record that the remote has not confirmed (see view/schema.sql for the columns)."""

    sequence: int
    kind: str
    bucket: str
    key: str
    size: int
    at_ms: int
    parked: int
    code: str
    message: str
    order_group: str = ""
    order_barrier: int | None = None
    superseded_by: int = 0
    supersedes: int = 0

    @property
    def order(self) -> Order | None:
        """Its place in an order group; None: it is in none."""
        if not self.order_group:
            return None
        return Order(self.order_group, None if self.order_barrier is None else bool(self.order_barrier))


class TakenRow(msgspec.Struct, frozen=True, gc=False):
    """A file that was taken from a drop folder, and the ETag of what it had in it."""

    file: TakenFile
    etag: str


class PausedRow(msgspec.Struct, frozen=True, gc=False):
    """That replication is paused: since which record and when (milliseconds since 1970), by whom, and why."""

    sequence: int
    at_ms: int
    caller: str
    reason: str


class Holding(msgspec.Struct, frozen=True, gc=False):
    """What waits for parked records: `behind` names the parked one for each that is held, `counts` how many each holds.

    `complete` is False when there were more records than were looked at.
    """

    behind: dict[int, int] = {}
    counts: dict[int, int] = {}
    complete: bool = True


class ConflictRow(msgspec.Struct, frozen=True, gc=False):
    """A guarded write that met somebody else's; `outcome` is the record that says so."""

    sequence: int
    outcome: int
    at_ms: int
    kind: str
    bucket: str
    key: str
    details_json: bytes

    @property
    def details(self) -> Conflicted:
        """Both sides, and what was decided."""
        return _decoded(_conflicted, self.details_json)


class PendingTotals(msgspec.Struct, frozen=True, gc=False):
    """All of them together; `oldest_ms` is 0 when there are none.

    `position` is how far the view was when it was asked: later records are not counted, whatever has become of them.
    """

    count: int
    size: int
    parked: int
    oldest_ms: int
    position: int


_conflicted = msgspec.json.Decoder(Conflicted)
_result = msgspec.json.Decoder(UploadResult)


def _extents_of(column: bytes | None, sequence: int, size: int) -> Extents:
    """NULL: the body of the row's own record."""
    if column is None:
        return (RowBytes(sequence, 0, size),) if size else ()
    return _decoded(_extents, column)


def _decoded(decoder: msgspec.json.Decoder[T], column: bytes) -> T:
    try:
        return decoder.decode(column)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise RowDamaged(error) from error
