"""Listings of buckets that others write to: the remote's pages, or what is known of them, under what happened here.

Each page of the remote is remembered as a stretch of keys that is completely known (view/listed.py). While the remote
cannot be reached, or a rule says that what is known is fresh enough, stretches take the place of its pages; both are
made into runs in the same way, so a page may begin with the one and end with the other and has neither holes nor
repetitions. Where nothing is known the answer is that: the 503, or, if a rule allows it, a listing that says that it is
partial.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from s3d.clock import milliseconds
from s3d.errors import S3Error
from s3d.queries.asking import Asking
from s3d.queries.listing import FIRST_RUN, Run, Start
from s3d.values import behind_prefix
from s3d.view.listed import ListedFact
from s3d.view.questions import Questions
from s3d.view.rows import ListedObject

PAGE_KEYS_MAX = 1000  # what S3 gives at once
_LAST_CODE_POINT = "\U0010ffff"


class Memory(msgspec.Struct, frozen=True):
    """What may be remembered of listings, and how long it is good enough.

    `rows_max` keys and stretches of all buckets are remembered; 0: nothing is. What is not older than `fresh_ms` is
    given without asking (0: always ask). With `is_partial_allowed` what nobody knows is left out instead of refused.
    """

    rows_max: int = 0
    fresh_ms: float = 0
    is_partial_allowed: bool = False


NO_MEMORY = Memory()


class MergedSource:
    """One listing's source; `seen_ms` and `is_partial` are about what it has given so far."""

    fewest = FIRST_RUN

    def __init__(
        self, questions: Questions, asking: Asking, bucket: str, prefix: str, memory: Memory = NO_MEMORY
    ) -> None:
        self._questions = questions
        self._asking = asking
        self._bucket = bucket
        self._prefix = prefix
        self._before = behind_prefix(prefix) if prefix else None
        self._memory = memory
        self.seen_ms: int | None = None
        self.is_partial = False

    async def run(self, start: Start, limit: int) -> Run:
        first = _first_key(start)
        if self._before is not None and first >= self._before:
            return Run([], None)
        if self._memory.fresh_ms:
            fresh = self._remembered(first, limit, self._asking.now_ms() - self._memory.fresh_ms)
            if fresh is not None:
                return fresh
        try:
            return await self._asked(start, first, limit)
        except S3Error as error:
            if error.code != "RemoteUnreachable":
                raise
            known = self._remembered(first, limit, 0)
            if known is None and not self._memory.is_partial_allowed:
                raise
            return known or self._unknown(first, limit)

    async def _asked(self, start: Start, first: str, limit: int) -> Run:
        """A page of the remote, which is remembered, and what had not been confirmed when it was asked for."""
        question = self._asking.question(self._bucket)
        parameters: dict[str, Any] = {
            "Bucket": self._bucket,
            "Prefix": self._prefix,
            "MaxKeys": min(limit, PAGE_KEYS_MAX),
        }
        if after := _just_before(start):
            parameters["StartAfter"] = after
        while True:
            output = await self._asking.page(parameters)
            listed = sorted(map(_listed, output.get("Contents", ())), key=_key)
            is_cut = bool(output.get("IsTruncated") and listed)
            if not is_cut or listed[-1].key >= first:
                break
            parameters["StartAfter"] = listed[-1].key  # all of them sort between that and an inclusive start
        end = listed[-1].key + "\0" if is_cut else self._before
        listed = [one for one in listed if one.key >= first]
        if self._memory.rows_max and (is_cut or not output.get("IsTruncated")):
            fact = ListedFact(
                self._bucket, first, end, listed, question.asked_ms, question.incarnation, self._memory.rows_max
            )
            await self._asking.learn(fact)
        return self._laid_over(listed, first, end, question.asked_ms, limit)

    def _remembered(self, first: str, limit: int, since_ms: float) -> Run | None:
        """The stretch that begins in or before this key, from there on; None: it is not known, or not since then."""
        known = self._questions.listed_range(self._bucket, first)
        if known is None or known.seen_ms < since_ms:
            return None
        end = known.end if self._before is None or (known.end or self._before) < self._before else self._before
        listed = self._questions.listed_from(self._bucket, first, end, limit)
        if len(listed) == limit:
            end = listed[-1].key + "\0"
        self.seen_ms = min(known.seen_ms, self.seen_ms or known.seen_ms)
        return self._laid_over(listed, first, end, known.seen_ms, limit)

    def _unknown(self, first: str, limit: int) -> Run:
        """Up to the next stretch: only what was written here, however long ago it was confirmed."""
        self.is_partial = True
        behind = self._questions.listed_behind(self._bucket, first)
        end = self._before if behind is None or (self._before is not None and behind > self._before) else behind
        return self._laid_over([], first, end, 0, limit)

    def _laid_over(self, listed: list[ListedObject], first: str, end: str | None, since_ms: int, limit: int) -> Run:
        """What was listed below `end`, and over it what happened here since; at most about `limit` of each."""
        limit = max(limit, FIRST_RUN)
        overlay = self._questions.unconfirmed_from(
            self._bucket, first, inclusive=True, before=end, since_ms=since_ms, limit=limit
        )
        if len(overlay) == limit:  # there may be a million more
            end = overlay[-1][0] + "\0"
            listed = [one for one in listed if one.key < end]
        if overlay:
            merged: dict[str, ListedObject | None] = {**{one.key: one for one in listed}, **dict(overlay)}
            listed = [one for key in sorted(merged) if (one := merged[key]) is not None]
        return Run(listed, Start(end, inclusive=True) if end is not None and end != self._before else None)


def _first_key(start: Start) -> str:
    """The smallest key that the start includes."""
    return start.key if start.inclusive or not start.key else start.key + "\0"


def _key(listed: ListedObject) -> str:
    return listed.key


def _just_before(start: Start) -> str:
    """S3 lists what is greater than StartAfter; for an inclusive start that is a string right below it."""
    if not start.inclusive or not start.key:
        return start.key
    last = ord(start.key[-1])
    if last == 0:
        return start.key[:-1]
    before = last - 1 if last != 0xE000 else 0xD7FF
    return start.key[:-1] + chr(before) + _LAST_CODE_POINT


def _listed(entry: Mapping[str, Any]) -> ListedObject:
    return ListedObject(
        entry["Key"],
        entry["Size"],
        str(entry["ETag"]).strip('"'),
        milliseconds(entry["LastModified"].timestamp()),
        entry.get("StorageClass", "STANDARD"),
    )
