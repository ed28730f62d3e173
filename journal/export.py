"""JSON Lines: one record a line, readable by anything, verifiable without this program.

The first line names the journal. The hash of each record covers the hash of the one before it and, for the first
record, the hash that the first line gives as `previous`: the genesis, or that of the last record that was dropped.
Payloads that are JSON are shown as JSON beside their exact bytes in base64.
"""

import base64
import json
from collections.abc import Iterable, Iterator

import msgspec

from journal.backend import Identity
from journal.record import Head, Record, genesis


def export_lines(identity: Identity, records: Iterable[Record], origin: Head | None = None) -> Iterator[str]:
    """The lines of an export, without line ends; `origin` is what the first record follows, if not the genesis."""
    origin = origin or Head(0, genesis(identity.instance))
    yield json.dumps(
        {
            "journal": identity.instance,
            "epoch": identity.epoch,
            "genesis": genesis(identity.instance).hex(),
            "first": origin.sequence + 1,
            "previous": origin.hash.hex(),
            "format": 1,
        }
    )
    for record in records:
        yield record_line(record)


def record_line(record: Record) -> str:
    """One record as one line of JSON."""
    return json.dumps(
        {
            "sequence": record.sequence,
            "written_at_ms": record.written_at,
            "stream": record.stream,
            "kind": record.kind,
            "payload": _readable(record.payload),
            "payload_base64": base64.b64encode(record.payload).decode(),
            "body_digest": record.body_digest.hex(),
            "body_size": record.body_size,
            "hash": record.hash.hex(),
        },
        ensure_ascii=False,
    )


def _readable(payload: bytes) -> object:
    """The payload as JSON; null where it is something else, or could not be written out as JSON again."""
    try:
        return msgspec.json.decode(payload)  # strict: no NaN, no lone surrogates
    except (msgspec.DecodeError, RecursionError):
        return None
