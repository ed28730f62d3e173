"""An export of a journal with its bodies: what `s3d journal import` makes a data directory of.

Between the lines of the records are those of larger bodies, a piece a line, behind the first record that names them; at
the beginning, where records have been dropped, is the base that stands for them.

    {"base_base64": …}                                   a piece of the base
    {"blob": ID, "offset": N, "size": N, "data_base64": …}  a piece of a body of `size` bytes
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from journal import BaseInfo, Inspection, Record
from journal.epochs import epochs_of
from journal.export import header_line, record_line
from s3d.blobs.files import BlobFiles
from s3d.events import CARRIED, OUTCOMES, RELOCATED, decode_carried, decode_mutation, decode_relocated
from s3d.values import GONE, BlobBytes

PIECE_BYTES = 1024 * 1024


def export_with_bodies(
    inspection: Inspection,
    blobs: BlobFiles,
    base_path: str | None,
    base_blobs: Iterator[str],
    lost: Callable[[str], object],
) -> Iterator[str]:
    """The lines, without line ends. `base_blobs` are those that the base in `base_path` needs. `lost` is told of blobs
    that are named and not here, or damaged. Raises JournalDamaged.
    """
    base = inspection.base()
    epochs = epochs_of(inspection.positions())
    yield header_line(inspection.identity, inspection.origin, inspection.files(), epochs, bodies=True, base=_told(base))
    if base is not None and base_path is not None:
        yield from _base_lines(base_path)
    written: set[bytes] = set()
    for blob in base_blobs:
        yield from _blob_lines(blobs, blob, written, lost)
    for record, body in inspection.with_bodies():
        yield record_line(record, body)
        for blob in _named(record):
            yield from _blob_lines(blobs, blob, written, lost)


def _told(base: BaseInfo | None) -> dict[str, Any] | None:
    if base is None:
        return None
    return {"position": base.position, "hash": base.hash.hex(), "sha256": base.sha256.hex()}


def _base_lines(path: str) -> Iterator[str]:
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield json.dumps({"base_base64": base64.b64encode(piece).decode()})


def _blob_lines(blobs: BlobFiles, blob: str, written: set[bytes], lost: Callable[[str], object]) -> Iterator[str]:
    name = bytes.fromhex(blob)
    if name in written:
        return
    written.add(name)
    try:
        size = blobs.check(blob)
    except OSError:  # collected, because nothing needs it any more; or damaged
        lost(blob)
        return
    for offset in range(0, size, PIECE_BYTES):
        data = base64.b64encode(blobs.read(blob, offset, PIECE_BYTES)).decode()
        yield json.dumps({"blob": blob, "offset": offset, "size": size, "data_base64": data})


def _named(record: Record) -> Iterator[str]:
    if record.kind == RELOCATED:
        yield from (blob for _, blob in decode_relocated(record.payload).moved)
    elif record.kind == CARRIED:
        for one in decode_carried(record.payload).records:
            yield from _named(one)
    elif record.kind not in OUTCOMES:
        extents = decode_mutation(record.payload).extents
        yield from (one.blob for one in extents if isinstance(one, BlobBytes) and one.blob != GONE)
