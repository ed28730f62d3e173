"""JSON Lines: one record a line, readable by anything, verifiable without this program.

The first line names the journal. The hash of each record covers the hash of the one before it and, for the first
record, the hash that the first line gives as `previous`: the genesis, or that of the last record that was dropped.
Payloads that are JSON are shown as JSON beside their exact bytes in base64. An export with bodies (`format` 2) has the
inline ones in their records' lines, and may have lines of its owner's in between (imports.py reads both).
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from journal.backend import Identity
from journal.files import ACTIVE, FileInfo
from journal.record import Head, Record, genesis

FORMAT, FORMAT_WITH_BODIES = 1, 2


def export_lines(
    identity: Identity,
    records: Iterable[Record],
    origin: Head | None = None,
    files: Sequence[FileInfo] = (),
    epochs: Sequence[tuple[int, int]] = (),
) -> Iterator[str]:
    """The lines of an export without bodies, without line ends; `origin` is what the first record follows, if not the
    genesis. With `files` the first line says where it has to end; `epochs`: see epochs.py.
    """
    yield header_line(identity, origin, files, epochs)
    for record in records:
        yield record_line(record)


def header_line(
    identity: Identity,
    origin: Head | None = None,
    files: Sequence[FileInfo] = (),
    epochs: Sequence[tuple[int, int]] = (),
    **of_the_owner: Any,
) -> str:
    """The first line. What the owner of the journal adds says that bodies follow."""
    origin = origin or Head(0, genesis(identity.instance))
    header: dict[str, Any] = {
        "journal": identity.instance,
        "epoch": identity.epoch,
        "genesis": genesis(identity.instance).hex(),
        "first": origin.sequence + 1,
        "previous": origin.hash.hex(),
        "format": FORMAT_WITH_BODIES if of_the_owner else FORMAT,
    }
    if files:
        header["last"] = files[-1].last
        header["files"] = [[file.last, file.state] for file in files if file.state != ACTIVE]
    if epochs:
        header["epochs"] = [list(one) for one in epochs]
    return json.dumps(header | of_the_owner)


def record_line(record: Record, body: bytes | None = None) -> str:
    """One record as one line of JSON, with its inline body, where that is wanted and there is one."""
    line: dict[str, Any] = {
        "sequence": record.sequence,
        "written_at_ms": record.written_at,
        "stream": record.stream,
        "kind": record.kind,
        "payload": _readable(record.payload),
        "payload_base64": base64.b64encode(record.payload).decode(),
        "body_digest": record.body_digest.hex(),
        "body_size": record.body_size,
        "hash": record.hash.hex(),
    }
    if body is not None:
        line["body_base64"] = base64.b64encode(body).decode()
    return json.dumps(line, ensure_ascii=False)


def _readable(payload: bytes) -> object:
    """The payload as JSON; null where it is something else, or could not be written out as JSON again."""
    try:
        return msgspec.json.decode(payload)  # strict: no NaN, no lone surrogates
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a flipped bit in what is lost, too
        return None
