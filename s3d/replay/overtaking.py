"""What can never be sent, because damage took its bytes, does not keep back a later write of its key. Pure.

A parked record blocks what comes behind it on its key, until a person decides. Nobody brings back what is gone
from a dead site's disk: the next write of the key that stands for itself goes in its place, as coalescing has it of
what is whole. What relies on others (an order group, a refusal of the remote's) stays where it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from s3d.view.rows import PendingRow

GONE = frozenset({"LocalBodyUnreadable", "LocalRecordUnreadable"})  # codes of what this disk does not have any more
_WHOLE = frozenset({"PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload"})  # make a key what they say
_OF_OBJECTS = _WHOLE | {"PutObjectTagging", "DeleteObjectTagging"}
_OF_UPLOADS = frozenset({"CreateMultipartUpload", "UploadPart"})


def overtaking(pending: Iterable[PendingRow]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Which records are to be superseded, and by which one; of all pending records, in order, when nothing goes on."""
    keys: defaultdict[tuple[str, str], list[PendingRow]] = defaultdict(list)
    for row in pending:
        if row.key and not row.superseded_by:
            keys[row.bucket, row.key].append(row)
    for rows in keys.values():
        found = _of_key(rows)
        if found is not None:
            yield found


def _of_key(rows: Sequence[PendingRow]) -> tuple[tuple[int, ...], int] | None:
    gone = [row for row in rows if row.parked and row.code in GONE]
    parts = [row.sequence for row in gone if row.kind in _OF_UPLOADS]
    first = next((row for row in rows if row.kind in _OF_OBJECTS and (row in gone or _lacks(row, parts))), None)
    if first is None:
        return None
    behind = [row for row in rows if row.kind in _OF_OBJECTS and row.sequence > first.sequence]
    for number, row in enumerate(behind):
        if row.kind in _WHOLE and not row.parked and not _lacks(row, parts):
            run = [first, *behind[:number]]
            return (tuple(one.sequence for one in run), row.sequence) if _is_free(*run, row) else None
    return None


def _lacks(row: PendingRow, parts: Sequence[int]) -> bool:
    """Whether it may be the end of an upload of which a part is gone."""
    return row.kind == "CompleteMultipartUpload" and any(one < row.sequence for one in parts)


def _is_free(*rows: PendingRow) -> bool:
    """Whether nobody else has a say: none is in an order group, where others rely on each, or refused by the remote."""
    return all(row.order is None and (not row.parked or row.code in GONE) for row in rows)
