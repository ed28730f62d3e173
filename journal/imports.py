"""Read an export again, line by line: nothing is believed that its hashes, or its first line, do not bear out.

Whoever changed a record would have to change every hash after it, and the first line says where the last one is: so a
file that was cut, edited, or put together from two others is refused with the number of the line.
"""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.export import FORMAT, FORMAT_WITH_BODIES
from journal.files import CLOSED, SEALED
from journal.record import Head, Record, follows, genesis

_HINT = "`s3d journal export` writes what can be imported; nothing was kept of this"


class Header(msgspec.Struct, frozen=True):
    """The first line. `files` are (last record, state) of those before the active one, `epochs` the later epochs with
    the last record before each; `more` is the owner's.
    """

    instance: str
    epoch: int
    origin: Head
    last: int | None
    files: tuple[tuple[int, str], ...]
    epochs: tuple[tuple[int, int], ...]
    more: dict[str, Any]


class _HeaderLine(msgspec.Struct):
    journal: str
    epoch: int
    genesis: str
    first: int
    previous: str
    format: int
    last: int | None = None
    files: tuple[tuple[int, str], ...] = ()
    epochs: tuple[tuple[int, int], ...] = ()


class _RecordLine(msgspec.Struct, forbid_unknown_fields=True):
    sequence: int
    written_at_ms: int
    stream: str
    kind: str
    payload: Any
    payload_base64: str
    body_digest: str
    body_size: int
    hash: str
    body_base64: str | None = None


_header = msgspec.json.Decoder(_HeaderLine)
_record = msgspec.json.Decoder(_RecordLine)
_any = msgspec.json.Decoder(dict[str, Any])


def damaged(number: int, what: str, sequence: int | None = None) -> JournalError:
    """A line that cannot be taken; `number` counts from 1."""
    return JournalDamaged(f"line {number}: {what}", sequence=sequence, hint=_HINT)


def parse_header(line: bytes) -> Header:
    """The first line. Raises JournalForeign for what is no export, JournalDamaged for one that contradicts itself."""
    try:
        found = _header.decode(line)
        origin = Head(found.first - 1, bytes.fromhex(found.previous))
        more = {name: value for name, value in _any.decode(line).items() if name not in _HeaderLine.__struct_fields__}
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise JournalForeign(f"line 1: this is not an export of a journal ({error})", hint=_HINT) from None
    if found.format not in {FORMAT, FORMAT_WITH_BODIES}:
        raise JournalForeign(
            f"line 1: this export is of format {found.format}; this program knows {FORMAT} and {FORMAT_WITH_BODIES}",
            hint="import it with the program that wrote it, or a newer one",
        )
    _check_header(found, origin)
    return Header(found.journal, found.epoch, origin, found.last, found.files, found.epochs, more)


def _check_header(found: _HeaderLine, origin: Head) -> None:
    beginning = genesis(found.journal)
    if found.genesis != beginning.hex() or found.first < 1 or found.epoch < 1:
        raise damaged(1, "its genesis is not that of this journal")
    if found.first == 1 and origin.hash != beginning:
        raise damaged(1, "the first record does not follow the genesis")
    ends = [origin.sequence, *(last for last, _ in found.files), found.last if found.last is not None else 2**62]
    if ends != sorted(ends) or any(state not in {CLOSED, SEALED} for _, state in found.files):
        raise damaged(1, "its files are not in order")
    epochs = [epoch for epoch, _ in found.epochs]
    if epochs != sorted(set(epochs)) or any(epoch > found.epoch for epoch in epochs):
        raise damaged(1, "its epochs are not in order")


def parse_record(number: int, line: bytes, before: Head) -> tuple[Record, bytes | None]:
    """A record and its inline body, if the line has it. Raises JournalDamaged unless it follows `before`."""
    try:
        found = _record.decode(line)
        payload = base64.b64decode(found.payload_base64, validate=True)
        body = base64.b64decode(found.body_base64, validate=True) if found.body_base64 is not None else None
        record = Record(
            found.sequence,
            found.written_at_ms,
            found.stream,
            found.kind,
            payload,
            bytes.fromhex(found.body_digest),
            found.body_size,
            bytes.fromhex(found.hash),
        )
    except (msgspec.MsgspecError, RecursionError, binascii.Error, ValueError) as error:
        raise damaged(number, f"this is no record ({error})") from None
    if record.sequence != before.sequence + 1:
        raise damaged(number, f"record {record.sequence} stands behind record {before.sequence}", before.sequence + 1)
    if not follows(before.hash, record):
        raise damaged(number, f"record {record.sequence} is not what was written", record.sequence)
    if found.payload is not None and msgspec.json.encode(found.payload) != msgspec.json.encode(_decoded(payload)):
        raise damaged(number, f"what is shown of record {record.sequence} is not what it says", record.sequence)
    if body is not None and (len(body) != record.body_size or hashlib.sha256(body).digest() != record.body_digest):
        raise damaged(number, f"the body of record {record.sequence} is not what was written", record.sequence)
    return record, body


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return None
