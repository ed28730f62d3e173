"""Objects as records leave them, on their way into the view: what a row is made of, and the statements that take it."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from journal import Record
from s3d.events import Confirmation
from s3d.values import BlobBytes, Extent, TakenFile, split_stream

PUT_OBJECT = """
INSERT INTO object VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT DO UPDATE SET sequence = ?3, present = ?4, size = ?5, etag = ?6, modified_ms = max(modified_ms, ?7),
  storage_class = ?8, attributes = ?9, extents = ?10, parts = ?11, replication = ?12,
  remote_etag = ?13, remote_version = ?14, confirmed_ms = ?15"""
PUT_PENDING = """
INSERT INTO pending (sequence, kind, bucket, key, size, at_ms, row_bytes, order_group, order_barrier)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_EMPTY = msgspec.Raw(b"")
_CHECKSUM = re.compile(rb'"Checksum(?!Algorithm"|Type")')
_encode = msgspec.json.Encoder().encode
_input = msgspec.json.Decoder(dict[str, Any]).decode
_ObjectRow = tuple[str, str, int, int, int, str, int, str, bytes, bytes | None, bytes | None, int, str, str, int]


class Written(msgspec.Struct, frozen=True, gc=False):
    """What the fold needs of an `events.Mutation` that writes or deletes an object.

    What goes into a column as it is stays as it was encoded: nearly all of it is overwritten before it is written.
    """

    input: msgspec.Raw = _EMPTY
    size: int = 0
    etag: str = ""
    checksums: msgspec.Raw = _EMPTY
    extents: tuple[Extent, ...] = ()
    replaces: int = 0
    parts: msgspec.Raw = _EMPTY
    group: str = ""
    barrier: bool | None = None
    taken: TakenFile | None = None


class Row(msgspec.Struct, gc=False):
    """An object as a record left it, and what the remote has said to that."""

    record: Record
    written: Written
    modified_ms: int
    confirmation: Confirmation | None = None
    confirmed_ms: int = 0


decode_written = msgspec.json.Decoder(Written).decode


def object_row(stream: str, row: Row) -> _ObjectRow:
    record, confirmation = row.record, row.confirmation
    answered = (
        (0, "", "", 0) if confirmation is None else (1, confirmation.etag, confirmation.version_id, row.confirmed_ms)
    )
    if record.kind == "DeleteObject":
        return *split_stream(stream), record.sequence, 0, 0, "", row.modified_ms, "", b"{}", None, None, *answered
    written = row.written
    attributes = _attributes(written)
    return (
        *split_stream(stream),
        record.sequence,
        1,
        written.size,
        written.etag,
        row.modified_ms,
        _input(attributes).get("StorageClass", "STANDARD") if b'"StorageClass"' in attributes else "STANDARD",
        attributes,
        _encode(written.extents) if written.extents else None,
        bytes(written.parts) if len(written.parts) > 2 else None,
        *answered,
    )


def _attributes(written: Written) -> bytes:
    """What the client gave, and the checksums: two JSON objects made one, without looking at what is in them."""
    given, checksums = bytes(written.input) or b"{}", bytes(written.checksums)
    if len(checksums) <= len(b"{}"):
        return given
    if b'"Checksum' in given and _CHECKSUM.search(given) is not None:  # one of them is in both
        return _encode({**_input(given), **_input(checksums)})
    return given[:-1] + b"," + checksums[1:] if given != b"{}" else checksums


def pending_row(row: Row) -> tuple[int, str, str, str, int, int, int, str, bool | None]:
    record, written = row.record, row.written
    bucket, key = split_stream(record.stream)
    row_bytes = 0 if written.extents else written.size
    barrier = written.barrier if written.group else None
    at_ms = record.written_at
    return record.sequence, record.kind, bucket, key, written.size, at_ms, row_bytes, written.group, barrier


def blob_rows(rows: dict[int, Row]) -> Iterator[tuple[int, str]]:
    for sequence, row in rows.items():
        for extent in row.written.extents:
            if isinstance(extent, BlobBytes):
                yield sequence, extent.blob
