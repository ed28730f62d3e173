"""The view as it was at a moment: the daemon's own fold, over the records up to there and into a database of its own.

`view == fold(base, journal)` holds at every record, so it holds at an earlier one as well. A fold for some keys only
leaves out what other keys were written. Outcomes are all folded, since they name records and not keys; and what an
outcome of another key says of the whole bucket (others write to it) is said to it in so many words.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from journal import BaseInfo, JournalDamaged, Record
from journal.record import LOST, follows
from journal.verify import ADVICE, not_following
from s3d.audit.trail import Trail, chained, first_of
from s3d.errors import S3dError
from s3d.events import (
    CONFLICTED,
    DISCARDED,
    FILES_NOTED,
    OUTCOMES,
    SHARED,
    Shared,
    decode_conflicted,
    decode_discarded,
    encode,
)
from s3d.telemetry.report import format_sequence
from s3d.view.view import View

STEP_RECORDS = 1000
_SHARING = frozenset({DISCARDED, CONFLICTED, LOST})  # after them a bucket is not ours alone
_OF_NO_KEY = frozenset({FILES_NOTED})  # what is only about the files of drop folders


class PastSource(Trail, Protocol):
    """A journal whose past is asked for."""

    def base(self) -> BaseInfo | None:
        """The base, if there is one."""

    def copy_base(self, write: Callable[[bytes], object]) -> None:
        """Hand the bytes of that base to `write`. Raises S3dError or OSError."""


class Fold(msgspec.Struct):
    """A view on its way, and up to which record it goes."""

    view: View
    last: int


class Place(msgspec.Struct, frozen=True):
    """Some keys of a bucket; without a bucket: none, only which buckets there were; or `everything`."""

    bucket: str = ""
    prefix: str = ""
    everything: bool = False

    def concerns(self, record: Record) -> bool:
        """Whether what is known of these keys may depend on this record."""
        if record.kind in OUTCOMES or self.everything:
            return record.kind not in _OF_NO_KEY
        bucket, slash, key = record.stream.partition("/")
        if not slash:
            return bucket == self.bucket or not self.bucket
        return bool(self.bucket) and bucket == self.bucket and key.startswith(self.prefix)


def fold(
    source: PastSource, folds: Sequence[Fold], place: Place, base_path: str, advance: Callable[[int], object]
) -> int:
    """Bring empty views to where they go, beginning with the base where one of them can.

    The base is copied to `base_path`. `advance` is told of records that are done. The answer is how many records up to
    the first of these places damage has taken: what they wrote nobody knows, so no absence is certain after them.
    Raises S3dError where what is needed has been dropped; JournalError or OSError.
    """
    earliest = min(one.last for one in folds)
    base = _usable_base(source, earliest)
    start = first_of(source.files) - 1
    if base is not None:
        _fetch(source, base, base_path)
        for one in folds:
            _restore(one.view, base_path, base.position)
        start = base.position
    records = _after_base(source, start, base)
    last, lost = max(one.last for one in folds), 0
    for step in _steps(itertools.takewhile(lambda record: record.sequence <= last, records)):
        for one in folds:
            _fold_step(one, [record for record in step if record.sequence <= one.last], place, source)
        lost += sum(1 for record in step if record.kind == LOST and record.sequence <= earliest)
        advance(len(step))
    return lost


def _usable_base(source: PastSource, sequence: int) -> BaseInfo | None:
    """The base where it is not later than this record; None where there are all records from the first one on."""
    base, oldest = source.base(), first_of(source.files)
    if base is not None and base.position <= sequence:
        return base
    if oldest == 1:
        return None
    what = f"what was at record {sequence} cannot be told any more: the records before {oldest} have been dropped"
    if base is None:
        raise S3dError(what, hint="and there is no base that stands for them: `s3d journal verify`")
    reach = format_sequence(source.epoch, base.position)
    raise S3dError(what, hint=f"the base that stands for them begins at --at {reach}; see journal.retain_days")


def _fetch(source: PastSource, base: BaseInfo, path: str) -> None:
    digest = hashlib.sha256()
    with open(path, "wb") as file:

        def write(piece: bytes) -> None:
            file.write(piece)
            digest.update(piece)

        source.copy_base(write)
    if digest.digest() != base.sha256:
        raise JournalDamaged(f"the base of record {base.position} is not what was written", hint=ADVICE)


def _restore(view: View, path: str, position: int) -> None:
    try:
        view.restore(path, position)
    except ValueError as error:
        raise S3dError(f"the base of record {position} cannot be used: {error}") from error


def _after_base(source: PastSource, start: int, base: BaseInfo | None) -> Iterator[Record]:
    """The records behind a place; the first of them follows the base."""
    for record in chained(source.records(start)):
        if base is not None and record.sequence == start + 1 and not follows(base.hash, record):
            raise not_following(record.sequence)
        yield record


def _fold_step(one: Fold, records: Sequence[Record], place: Place, source: PastSource) -> None:
    concerned = [record for record in records if place.concerns(record)]
    if not concerned:
        return
    one.view.begin()
    waiting: list[Record] = []
    for record in concerned:
        waiting.append(record)
        if record.kind not in _SHARING:
            continue
        one.view.fold_all(waiting)
        waiting = []
        if _shares(record, one.view, place, source):
            said = encode(Shared(buckets=(place.bucket,)))
            one.view.fold(msgspec.structs.replace(record, kind=SHARED, payload=said))
    one.view.fold_all(waiting)
    one.view.publish()


def _shares(record: Record, view: View, place: Place, source: PastSource) -> bool:
    """Whether the bucket ceases to be ours alone, because of a key that is left out, or of one that nobody knows."""
    if not place.bucket or not _is_sole(view, place.bucket):
        return False
    if record.kind == LOST:
        return True
    return bool(place.prefix) and any(_is_beside(source.record(one), place) for one in _named(record))


def _is_sole(view: View, bucket: str) -> bool:
    found = view.questions.bucket(bucket)
    return found is not None and found.sole


def _named(record: Record) -> Sequence[int]:
    if record.kind == DISCARDED:
        return decode_discarded(record.payload).sequences
    return (decode_conflicted(record.payload).sequence,)


def _is_beside(named: Record | None, place: Place) -> bool:
    """Whether a record is one of another key of the bucket, for all that is known."""
    return named is None or (named.stream.partition("/")[0] == place.bucket and not place.concerns(named))


def _steps(records: Iterator[Record]) -> Iterator[list[Record]]:
    while step := list(itertools.islice(records, STEP_RECORDS)):
        yield step
