"""What is in a bundle: items one after another, each with its kind and length, and the documents that they hold. Pure.

    RECORD  (PIECE … END | VOID)?  RECORD …  MANIFEST  SIGNATURE

A record with a body is followed by it in pieces of PIECE_BYTES (the last one may be shorter), so that every byte of it
has a known place. VOID in place of END takes the record back: the remote had it before its bytes were written.
"""

import enum
import hashlib
import struct

import msgspec

from journal import Record
from s3d.bundle.errors import BundleDamaged
from s3d.events import Confirmation
from s3d.policy.bucket_map import KnownRemote, MappedBucket

MAGIC = b"s3d-bundle 1\n"
PIECE_BYTES = 1024 * 1024
ITEM_BYTES_MAX = 64 * 1024 * 1024
HEADER_BYTES_MAX = 4096
ITEM = struct.Struct(">BI")
LENGTH = struct.Struct(">I")
_SIGNED = b"s3d bundle 1 manifest\0"


class Kind(enum.IntEnum):
    """What an item is."""

    RECORD = 1
    PIECE = 2
    END = 3
    VOID = 4
    MANIFEST = 5
    SIGNATURE = 6


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be read without a key: which bundle it is, when it was begun, and for whom it is encrypted by what."""

    bundle: str
    created_ms: int
    sender: bytes
    recipient: bytes


class BundledRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record as it is in the journal, with the hash that its own continues (empty: that file is gone).

    `body_bytes` is what follows it here. `confirmed` is what the remote said to one that it has already and that others
    in the bundle build on: the beginning of an upload, a part, the source of a copy.
    """

    record: Record
    previous: bytes
    body_bytes: int = 0
    confirmed: Confirmation | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the bundle is as a whole, and who says so; `digest` is the SHA-256 of all items before it.

    `records` are those that are to be sent, `taken_back` those of them that are void, `first` and `last` their places.
    `epochs`: where each epoch of the journal began, as Journal.epochs says it.
    `buckets` is where the site's buckets are, `remotes` are those of several remotes that records are for; empty: the
    site has one.
    """

    bundle: str
    instance: str
    epoch: int
    records: int
    taken_back: int
    body_bytes: int
    first: int
    last: int
    buckets: tuple[MappedBucket, ...]
    signer: str
    digest: bytes
    epochs: tuple[tuple[int, int], ...] = ()
    remotes: tuple[KnownRemote, ...] = ()


def header_bytes(header: Header) -> bytes:
    """How a stream begins."""
    text = msgspec.json.encode(header)
    return MAGIC + LENGTH.pack(len(text)) + text


def item(kind: Kind, payload: bytes) -> bytes:
    """One item."""
    return ITEM.pack(kind, len(payload)) + payload


def parse_item(head: bytes) -> tuple[Kind, int]:
    """Kind and length from the first bytes of an item. Raises BundleDamaged."""
    number, length = ITEM.unpack(head)
    try:
        kind = Kind(number)
    except ValueError:
        raise BundleDamaged(f"there is an item of the unknown kind {number}", hint="is this s3d too old?") from None
    if length > ITEM_BYTES_MAX:
        raise BundleDamaged(f"an item of {length} bytes is too long")
    return kind, length


def body_length(size: int) -> int:
    """How long the pieces of a body are, with their heads and without its end."""
    return size + -(-size // PIECE_BYTES) * ITEM.size


def place_in_body(offset: int) -> int:
    """Where in its pieces a byte of a body is."""
    return offset + (offset // PIECE_BYTES + 1) * ITEM.size


def signed_bytes(header: bytes, manifest: bytes) -> bytes:
    """What the signature is of. The header is in it, so that nobody can send the contents on to somebody else."""
    return _SIGNED + hashlib.sha256(header).digest() + manifest
