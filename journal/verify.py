"""Follow the hash chain, and say where it breaks."""

from collections.abc import Iterable, Iterator

from journal.backend import Backend
from journal.errors import JournalDamaged
from journal.record import Head, Record, follows

ADVICE = "nothing was changed; keep a copy of the directory, then run `s3d doctor`"
_PAGE_RECORDS = 1000


def verify_chain(origin: Head, records: Iterable[Record], head: Head) -> int:
    """Follow the chain from what the first record follows to `head`; the number of records.

    Raises JournalDamaged naming the first record that does not follow.
    """
    previous, expected = origin.hash, origin.sequence + 1
    for record in records:
        if record.sequence != expected:
            raise JournalDamaged(
                f"records {expected} to {record.sequence - 1} are missing", sequence=expected, hint=ADVICE
            )
        if not follows(previous, record):
            raise not_following(record.sequence)
        previous, expected = record.hash, expected + 1
    if expected - 1 != head.sequence or previous != head.hash:
        raise JournalDamaged(
            f"the chain ends at record {expected - 1}, not {head.sequence}", sequence=expected, hint=ADVICE
        )
    return head.sequence - origin.sequence


def not_following(sequence: int) -> JournalDamaged:
    """What is said of a record that breaks the chain."""
    return JournalDamaged(
        f"record {sequence} does not follow the one before it: it was changed, or that one was",
        sequence=sequence,
        hint=ADVICE,
    )


def verify_backend(backend: Backend, head: Head) -> int:
    """Follow a backend's chain from its origin up to `head`; the number of records. Raises JournalDamaged."""
    origin = backend.origin()
    return verify_chain(origin, _all_records(backend, origin.sequence, head), head)


def _all_records(backend: Backend, after: int, head: Head) -> Iterator[Record]:
    while after < head.sequence:
        records = backend.read(after, min(_PAGE_RECORDS, head.sequence - after))
        if not records:
            return
        yield from records
        after = records[-1].sequence
