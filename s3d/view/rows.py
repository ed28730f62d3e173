"""What a question to the view is answered with."""

from typing import Any

import msgspec

from s3d.values import Extent, Extents, Replication, RowBytes

_attributes = msgspec.json.Decoder(dict[str, Any])
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

    @property
    def attributes(self) -> dict[str, Any]:
        """What the client gave, under botocore's input names, with the checksums under `ChecksumX`."""
        return _attributes.decode(self.attributes_json)

    @property
    def extents(self) -> Extents:
        """Where the bytes are."""
        if self.extents_json is None:
            return (RowBytes(self.sequence, 0, self.size),) if self.size else ()
        return _extents.decode(self.extents_json)

    @property
    def confirmed(self) -> bool:
        """Whether the remote has it."""
        return self.replication == Replication.COMPLETED


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
        return _attributes.decode(self.attributes_json)


class ListedObject(msgspec.Struct, frozen=True, gc=False):
    """One line of a listing."""

    key: str
    size: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    """A record that the remote has not confirmed."""

    sequence: int
    kind: str
    bucket: str
    key: str
    size: int
    at_ms: int
    parked: int
    code: str
    message: str


class PendingTotals(msgspec.Struct, frozen=True, gc=False):
    """All of them together; `oldest_ms` is 0 when there are none."""

    count: int
    size: int
    parked: int
    oldest_ms: int
