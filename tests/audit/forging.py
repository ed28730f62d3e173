"""What somebody with the site's disk can make of an export: another past, with a chain that follows, and signatures."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from journal import Record
from journal.record import chain_hash
from s3d.audit.chain_file import (
    CheckpointLine,
    EndLine,
    HeaderLine,
    RecordLine,
    line_of,
    parse_line,
    record_line,
    record_of,
)
from s3d.audit.checkpoint import Statement, hash_of, parse_checkpoint, signed, statement_of
from s3d.bundle.signing import SigningKey
from s3d.events import CHECKPOINT, AuditCheckpoint, decode_checkpoint, encode

Edit = Callable[[list[Record]], list[Record]]


def records_of(lines: Sequence[bytes]) -> list[Record]:
    """Those of an export."""
    parsed = [parse_line(content) for content in lines]
    return [record_of(line) for line in parsed if isinstance(line, RecordLine)]


def checkpoints_of(lines: Sequence[bytes]) -> list[AuditCheckpoint]:
    """All that it has, the last one included: what lies at the remote when it is made."""
    found = [parse_checkpoint(one.payload) for one in records_of(lines) if one.kind == CHECKPOINT]
    closing = [line for line in map(parse_line, lines) if isinstance(line, CheckpointLine)]
    return found + [AuditCheckpoint(statement=line.statement, signature=line.signature) for line in closing]


def forge(
    lines: Sequence[bytes],
    edit: Edit = lambda records: records,
    key: SigningKey | None = None,
    header: dict[str, Any] | None = None,
    closing: dict[str, Any] | None = None,
) -> list[bytes]:
    """Another past: the records as `edit` makes them, numbered and hashed anew.

    With a `key` every checkpoint is signed anew, about what there is now; without one they stay as they were. `header`
    and `closing` are fields of the first line, and of the last checkpoint, to be something else.
    """
    first = parse_line(lines[0])
    assert isinstance(first, HeaderLine)
    first = msgspec.structs.replace(first, **(header or {}))
    hash_ = bytes.fromhex(first.previous)
    hashes, made, last_hash = {first.first - 1: hash_}, [line_of(first)], ""
    for sequence, record in enumerate(edit(records_of(lines)), first.first):
        payload = record.payload
        if key is not None and record.kind == CHECKPOINT:
            again = _again(decode_checkpoint(payload), key, hashes, last_hash, {})
            payload, last_hash = encode(again), hash_of(again)
        about = (sequence, record.written_at, record.stream, record.kind, payload)
        hash_ = chain_hash(hash_, *about, record.body_digest, record.body_size)
        hashes[sequence] = hash_
        made.append(
            line_of(record_line(msgspec.structs.replace(record, sequence=sequence, payload=payload, hash=hash_)))
        )
    last = max(hashes)
    checkpoint = checkpoints_of(lines)[-1]
    if key is not None:
        checkpoint = _again(checkpoint, key, hashes, last_hash, {"sequence": last, **(closing or {})})
    made.append(line_of(CheckpointLine(checkpoint.statement, checkpoint.signature)))
    made.append(line_of(EndLine(last - first.first + 1, last, hash_.hex())))
    return made


def _again(
    checkpoint: AuditCheckpoint, key: SigningKey, hashes: dict[int, bytes], previous: str, changed: dict[str, Any]
) -> AuditCheckpoint:
    said: Statement = msgspec.structs.replace(
        statement_of(checkpoint), **{"previous": previous, "key": key.public, **changed}
    )
    return signed(msgspec.structs.replace(said, head=hashes[said.sequence].hex()), key.sign)


def changed(sequence: int) -> Edit:
    """Somebody else has written that record."""

    def edit(records: list[Record]) -> list[Record]:
        return [
            msgspec.structs.replace(one, payload=one.payload.replace(b"AKID", b"EVE1"))
            if one.sequence == sequence
            else one
            for one in records
        ]

    return edit


def rolled_back(to: int, more: int) -> Edit:
    """The journal ends there, and goes on with so many other records."""

    def edit(records: list[Record]) -> list[Record]:
        other = changed(2)(records)[1]
        return records[:to] + [other] * more

    return edit


def later(lines: Sequence[bytes], first: int) -> list[bytes]:
    """As it is after the records before were dropped."""
    records = records_of(lines)
    header = msgspec.structs.replace(parse_line(lines[0]), first=first, previous=records[first - 2].hash.hex())
    kept = lines[first:-1]
    end = lines[-1].replace(f'"records":{len(records)}'.encode(), f'"records":{len(records) - first + 1}'.encode())
    return [line_of(header), *kept, end]
