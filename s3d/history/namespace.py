"""What a past view has under a prefix, and under one key: present, absent, and not known are three answers."""

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec

from s3d.errors import S3dError
from s3d.history.past import Place
from s3d.values import behind_prefix
from s3d.view.questions import Questions
from s3d.view.rows import ListedObject, ObjectRow

_PAGE = 1000
_WHICH = "`s3d ls --at` without a name lists the buckets that there were"
_DECIDED = ("size", "etag", "attributes")  # what two states of a key have to have in common to be one


class Absent(msgspec.Struct, frozen=True):
    """There was nothing under the key; `since` is the record that deleted it, 0: there never had been anything."""

    since: int = 0


class Unknown(msgspec.Struct, frozen=True):
    """The key was not written here by then, and others may have written it."""


State = ObjectRow | Absent | Unknown


def state_of(questions: Questions, bucket: str, key: str) -> State:
    """What was under a key."""
    row = questions.object(bucket, key)
    if row is not None:
        return row if row.present else Absent(row.sequence)
    found = questions.bucket(bucket)
    is_ours = found is not None and (found.sole or found.stays_local or not found.present)
    return Absent() if is_ours else Unknown()


def check_bucket(questions: Questions, bucket: str) -> bool:
    """Whether others may have written to the bucket as well. Raises S3dError where there was none."""
    found = questions.bucket(bucket)
    if found is not None and not found.present:
        raise S3dError(f"there was no bucket {bucket}: it had been deleted", hint=_WHICH)
    if found is None and not questions.has_objects(bucket):
        raise S3dError(f"nothing was known here of a bucket {bucket}", hint=_WHICH)
    return found is None or not (found.sole or found.stays_local)


def objects_in(questions: Questions, place: Place) -> Iterator[ListedObject]:
    """The objects under a prefix, in key order, a page at a time."""
    yield from _from(questions, place, place.prefix, inclusive=True)


def rolled_up(questions: Questions, place: Place) -> Iterator[ListedObject | str]:
    """The same, with a string for all keys that go on behind a slash."""
    start: str | None = place.prefix
    while start is not None:
        found, start = _from(questions, place, start, inclusive=True), None
        for one in found:
            rest = one.key[len(place.prefix) :]
            if "/" in rest:
                common = place.prefix + rest[: rest.index("/") + 1]
                yield common
                start = behind_prefix(common)
                break
            yield one


def keys_of_both(one: Questions, other: Questions, place: Place) -> Iterator[str]:
    """The keys of objects in either, once each, in order."""
    last: str | None = None
    for found in heapq.merge(objects_in(one, place), objects_in(other, place), key=lambda found: found.key):
        if found.key != last:
            last = found.key
            yield last


def is_same(one: ObjectRow, other: ObjectRow) -> bool:
    """Whether a reader would see the same: bytes, headers, metadata, tags."""
    return all(getattr(one, name) == getattr(other, name) for name in _DECIDED)


def tagging_of(row: ObjectRow) -> str:
    """The object's tags as x-amz-tagging writes them."""
    attributes: dict[str, Any] = row.attributes
    return str(attributes.get("Tagging", ""))


def _from(questions: Questions, place: Place, start: str, *, inclusive: bool) -> Iterator[ListedObject]:
    end = behind_prefix(place.prefix)
    while page := questions.objects_from(place.bucket, start, inclusive=inclusive, before=end, limit=_PAGE):
        yield from page
        start, inclusive = page[-1].key, False
