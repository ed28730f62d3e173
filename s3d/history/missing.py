"""Which pending records of a journal on disk have no bytes there: what nobody could send from it."""

from collections.abc import Callable, Iterator

import msgspec

from journal import Record
from s3d.events import decode_mutation
from s3d.values import Extents, RowBytes, stream_of
from s3d.view.questions import Questions

_PAGE = 1000


class Missing(msgspec.Struct, frozen=True):
    """A pending record, and how many bytes it was to send."""

    sequence: int
    operation: str
    stream: str
    size: int


def missing_bodies(
    questions: Questions,
    record_of: Callable[[int], Record | None],
    are_here: Callable[[Extents], bool],
) -> Iterator[Missing]:
    """Each of them, in order. `questions` are of a view at the journal's head."""
    after = 0
    while page := questions.pending_after(after, _PAGE):
        for row in page:
            record = record_of(row.sequence) if row.size else None
            if row.size and (record is None or not are_here(_extents(record))):
                yield Missing(row.sequence, row.kind, stream_of(row.bucket, row.key), row.size)
        after = page[-1].sequence


def _extents(record: Record) -> Extents:
    mutation = decode_mutation(record.payload)
    if mutation.extents or record.kind == "CopyObject":  # without extents the remote makes it of its own object
        return mutation.extents
    return (RowBytes(record.sequence, 0, mutation.size),)
