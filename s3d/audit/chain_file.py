"""An export that can be verified: every record with what its hash is made of, and the signed checkpoints. Pure.

JSON Lines. The first line says which site it is and what the first record follows; then come records, each with its
payload as the exact text that was hashed; then the checkpoint that covers the last of them (earlier ones are records
themselves); then how many there were. A line is written in one way only, so that nothing in it can be changed that the
chain does not notice.
"""

from collections.abc import Iterable, Iterator

import msgspec

from journal import Head, Record
from s3d.audit.checkpoint import statement_of
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint

LINE_BYTES_MAX = 64 * 1024 * 1024


class HeaderLine(msgspec.Struct, frozen=True, tag_field="line", tag="s3d-audit-1", forbid_unknown_fields=True):
    """Which journal it is; `previous` is the hash of the record before `first` (of none: see `journal.record.genesis`),
    `key` the public key of its site, empty where it does not sign.
    """

    site: str
    epoch: int
    first: int
    previous: str
    key: str


class RecordLine(msgspec.Struct, frozen=True, tag_field="line", tag="record", forbid_unknown_fields=True, gc=False):
    """A record; `at_ms` is milliseconds since 1970, hashes are in hexadecimal, `body_sha256` empty of what has no body.

    `hash` is the SHA-256 over: the hash of the record before it; `seq`, `at_ms` and `body_bytes` as 8 bytes each, and
    the lengths of `stream`, `kind`, `payload` and the body's digest as 4 bytes each (all big-endian); then those four.
    """

    seq: int
    at_ms: int
    kind: str
    stream: str
    payload: str
    body_sha256: str
    body_bytes: int
    hash: str


class CheckpointLine(msgspec.Struct, frozen=True, tag_field="line", tag="checkpoint", forbid_unknown_fields=True):
    """A signed checkpoint, see `AuditCheckpoint`."""

    statement: str
    signature: str


class EndLine(msgspec.Struct, frozen=True, tag_field="line", tag="end", forbid_unknown_fields=True):
    """The last line: how many records there are, the last of them, and its hash."""

    records: int
    last: int
    hash: str


Line = HeaderLine | RecordLine | CheckpointLine | EndLine
_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def chain_lines(
    site: str, epoch: int, origin: Head, records: Iterable[Record], last: AuditCheckpoint | None, head: int
) -> Iterator[bytes]:
    """The lines of an export with their ends: records behind `origin` up to what `last` covers; up to `head` where
    nothing was ever signed. Raises S3dError when they are not all there.
    """
    through = head if last is None else statement_of(last).sequence
    key = "" if last is None else statement_of(last).key
    yield line_of(HeaderLine(site, epoch, origin.sequence + 1, origin.hash.hex(), key))
    sequence, hash_ = origin.sequence, origin.hash
    for record in records:
        if record.sequence > through:
            break
        yield line_of(record_line(record))
        sequence, hash_ = record.sequence, record.hash
    if sequence != max(through, origin.sequence):
        raise S3dError(f"the records end at {sequence}, not at {through}", hint="export again")
    if last is not None:
        yield line_of(CheckpointLine(last.statement, last.signature))
    yield line_of(EndLine(sequence - origin.sequence, sequence, hash_.hex()))


def line_of(line: Line) -> bytes:
    """The one way to write it."""
    return _encode(line) + b"\n"


def record_line(record: Record) -> RecordLine:
    """A record as a line says it. Raises S3dError for a payload that is no text, which none of ours is."""
    try:
        payload = record.payload.decode()
    except UnicodeDecodeError:
        raise S3dError(f"the payload of record {record.sequence} is no text", hint="`s3d journal verify`") from None
    return RecordLine(
        record.sequence,
        record.written_at,
        record.kind,
        record.stream,
        payload,
        record.body_digest.hex(),
        record.body_size,
        record.hash.hex(),
    )


def record_of(line: RecordLine) -> Record:
    """The same the other way round. Raises ValueError for hexadecimal that is none, or in capitals."""
    record = Record(
        line.seq,
        line.at_ms,
        line.stream,
        line.kind,
        line.payload.encode(),
        bytes.fromhex(line.body_sha256),
        line.body_bytes,
        bytes.fromhex(line.hash),
    )
    if (record.body_digest.hex(), record.hash.hex()) != (line.body_sha256, line.hash):
        raise ValueError("hexadecimal is written in small letters")
    return record


def parse_line(content: bytes) -> Line:
    """One line with its end. Raises ValueError for what is not written as `line_of` writes it."""
    line = _decoder.decode(content)
    if line_of(line) != content:
        raise ValueError("it is not written as an export writes it")
    return line
