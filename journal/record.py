"""What is written: entries become records, and records form a hash chain.

The chain covers the body's digest, not the body, so that bytes can be dropped later without breaking it. Everything
else of a record is covered: its place, its time, its stream, its kind and its payload.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

GENESIS_TAG = b"journal genesis 1\0"
LOST = "Lost"  # the kind of a record that keeps the place of one that damage has taken
_LAYOUT = struct.Struct(">QqQIIII")  # sequence, written_at, body size, then the lengths of the four parts


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What a decision wants appended.

    `body` holds inline bytes, or None when the bytes are elsewhere (or absent); `body_digest` is the SHA-256 of the
    bytes wherever they are, empty when there are none; `body_size` is their length in bytes.
    """

    stream: str
    kind: str
    payload: bytes
    body: bytes | None = None
    body_digest: bytes = b""
    body_size: int = 0


class Record(msgspec.Struct, frozen=True, gc=False):
    """One durable line of the journal; `written_at` is in milliseconds since 1970 by the writer's clock."""

    sequence: int
    written_at: int
    stream: str
    kind: str
    payload: bytes
    body_digest: bytes
    body_size: int
    hash: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """The last record's place and hash; sequence 0 is the empty journal, whose hash is its genesis."""

    sequence: int
    hash: bytes


class Lost(msgspec.Struct, frozen=True, rename={"version": "v"}):
    """What records that keep the places of lost ones say: which ones are lost, and the last one's hash, in hexadecimal.

    The chain goes on from that hash, so that everything behind a loss is still what it was: its hashes, the mark, and
    whatever was signed or put elsewhere.
    """

    version: int = 1
    first: int = 0
    last: int = 0
    hash: str = ""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a command came to: entries to append (perhaps none) and an answer for whoever submitted it."""

    entries: Sequence[Entry] = ()
    answer: Any = None


def genesis(instance: str) -> bytes:
    """The hash before the first record; it binds the chain to one journal."""
    return hashlib.sha256(GENESIS_TAG + instance.encode()).digest()


def link(previous: bytes, sequence: int, written_at: int, entry: Entry) -> Record:
    """Make the record that follows `previous`, the hash of the record before it."""
    digest = chain_hash(
        previous, sequence, written_at, entry.stream, entry.kind, entry.payload, entry.body_digest, entry.body_size
    )
    return Record(
        sequence,
        written_at,
        entry.stream,
        entry.kind,
        entry.payload,
        entry.body_digest,
        entry.body_size,
        digest,
    )


def chain_hash(
    previous: bytes,
    sequence: int,
    written_at: int,
    stream: str,
    kind: str,
    payload: bytes,
    body_digest: bytes,
    body_size: int,
) -> bytes:
    """SHA-256 over the previous hash and every part, each part preceded by its length (so no two records collide)."""
    stream_bytes = stream.encode()
    kind_bytes = kind.encode()
    layout = _LAYOUT.pack(
        sequence, written_at, body_size, len(stream_bytes), len(kind_bytes), len(payload), len(body_digest)
    )
    return hashlib.sha256(b"".join((previous, layout, stream_bytes, kind_bytes, payload, body_digest))).digest()


def follows(previous: bytes, record: Record) -> bool:
    """Whether `record` carries the hash that it must have after `previous`; the last lost one has its old one."""
    expected = hash_after(previous, record)
    return record.hash == expected or (record.kind == LOST and _is_last_lost(record))


def hash_after(previous: bytes, record: Record) -> bytes | None:
    """The hash of what is in `record` after `previous`, whatever its own says; None: it can be no record of ours."""
    try:
        return chain_hash(
            previous,
            record.sequence,
            record.written_at,
            record.stream,
            record.kind,
            record.payload,
            record.body_digest,
            record.body_size,
        )
    except (struct.error, TypeError, AttributeError):  # a size or a type that no record of ours can have
        return None


def read_lost(record: Record) -> Lost | None:
    """What a record that keeps the place of a lost one says; None: it is of another kind, or says nothing."""
    if record.kind != LOST:
        return None
    try:
        return _lost.decode(record.payload)
    except msgspec.MsgspecError:
        return None


def _is_last_lost(record: Record) -> bool:
    lost = read_lost(record)
    return lost is not None and lost.last == record.sequence and lost.hash == record.hash.hex()


_lost = msgspec.json.Decoder(Lost)
