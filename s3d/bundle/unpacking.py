"""From what a bundle holds to what can be replayed at headquarters. Pure.

There the bytes of every record are its own, wherever at the site they were. A conflict that a rule of the site would
decide is not decided elsewhere: it is refused, and the site's own daemon or a person goes on from there.
"""

from collections.abc import Iterable, Iterator

import msgspec

from journal import Record
from s3d.bundle.items import BundledRecord
from s3d.events import (
    CARRIED,
    CONFIRMED,
    OUTCOME_STREAM,
    PARKED,
    SHARED,
    Carried,
    Confirmed,
    Mutation,
    Parked,
    Shared,
    decode_mutation,
    encode,
)
from s3d.values import BlobBytes, Extents

INCOMPLETE_CODE = "NotInBundle"
_OF_UPLOADS = frozenset({"UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"})


def unpacked(found: Iterable[BundledRecord], last: int) -> Iterator[Record]:
    """What is to be folded, in order: records as they are replayed, what is known of those that are confirmed, and at
    the end, at `last`, nothing.
    """
    uploads: dict[str, set[int]] = {}
    for bundled in found:
        record = bundled.record
        mutation = decode_mutation(record.payload)
        replayed = msgspec.structs.replace(record, payload=encode(_replayed(bundled, mutation)))
        yield replayed
        if bundled.confirmed is not None:
            yield _outcome(record, CONFIRMED, encode(Confirmed(confirmations=(bundled.confirmed,))))
        else:
            yield _outcome(record, CARRIED, encode(Carried(records=(replayed,))))
            if _is_incomplete(record.kind, mutation, uploads):
                message = "the bundle does not have all that this builds on"
                parked = Parked(sequence=record.sequence, code=INCOMPLETE_CODE, message=message)
                yield _outcome(record, PARKED, encode(parked))
        if record.kind == "CreateMultipartUpload":
            uploads.setdefault(mutation.upload, set())
        elif record.kind == "UploadPart" and mutation.upload in uploads:
            uploads[mutation.upload].add(mutation.part)
    yield Record(last, 0, OUTCOME_STREAM, SHARED, encode(Shared()), b"", 0, b"")


def _replayed(bundled: BundledRecord, mutation: Mutation) -> Mutation:
    size = bundled.body_bytes
    extents: Extents = (BlobBytes(str(bundled.record.sequence), 0, size),) if size else ()
    conflict = "hold" if mutation.conflict in {"remote", "keep-both"} else mutation.conflict
    return msgspec.structs.replace(mutation, extents=extents, conflict=conflict)


def _is_incomplete(kind: str, mutation: Mutation, uploads: dict[str, set[int]]) -> bool:
    if kind not in _OF_UPLOADS:
        return False
    parts = uploads.get(mutation.upload)
    return parts is None or not parts >= {number for number, _, _ in mutation.parts}


def _outcome(record: Record, kind: str, payload: bytes) -> Record:
    return Record(record.sequence, record.written_at, OUTCOME_STREAM, kind, payload, b"", 0, b"")
