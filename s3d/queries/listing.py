"""Pages of a listing: keys in UTF-8 order, rolled up to common prefixes at a delimiter.

A page is made from a source of runs: consecutive entries from a starting point. In a bucket that is ours alone the view
is the source. In one that others write to it is the remote's pages, with what has not been confirmed laid over them
(merging.py).

Where most of what is read is rolled up, few entries are read at once and the source is asked to go on behind the
prefix: a page costs what is on it, however many keys each prefix has. Where each prefix has few keys they are read on.
"""

import asyncio
from bisect import bisect_left
from typing import Protocol

import msgspec

from s3d.values import behind_prefix
from s3d.view.questions import Questions
from s3d.view.rows import ListedObject

_LAST_CODE_POINT = "\U0010ffff"
FIRST_RUN = 64  # entries, where there is a delimiter: nobody knows yet how much is rolled up
_ROLLED_UP = 4  # so many entries read for one on the page are too many: asking again takes as long as reading ten
_ASKING = 12  # what asking takes, in entries read
_TURN = 1500  # entries: about a millisecond, and then the event loop's other work has its turn


class Start(msgspec.Struct, frozen=True):
    """Where a page begins: at a key, or right behind it."""

    key: str
    inclusive: bool


class ListRequest(msgspec.Struct, frozen=True):
    """What a page is asked for; `delimiter` may be empty, `entries_max` is the number of keys and prefixes together."""

    bucket: str
    prefix: str
    delimiter: str
    start: Start
    entries_max: int


class Page(msgspec.Struct):
    """Objects and common prefixes, each in order; `next` is where the next page begins, None at the end.

    `last` is the last entry given, a key or a prefix.
    """

    objects: list[ListedObject]
    prefixes: list[str]
    next: Start | None = None
    last: str = ""

    @property
    def size(self) -> int:
        """Objects and prefixes together."""
        return len(self.objects) + len(self.prefixes)


class Run(msgspec.Struct, frozen=True):
    """Consecutive objects of a source; `next` is where it goes on, None when there is no more under the prefix."""

    objects: list[ListedObject]
    next: Start | None


class Source(Protocol):
    """Where a listing's entries come from. Less than `fewest` at once saves it nothing.

    `seen_ms` is when the oldest of what it gave was so, None while all of it is as things are; `is_partial` says
    that it left out what it could not know.
    """

    fewest: int
    seen_ms: int | None
    is_partial: bool

    async def run(self, start: Start, limit: int) -> Run:
        """About `limit` objects from `start` on that have the prefix."""


async def make_page(source: Source, request: ListRequest) -> Page:
    """Fill one page."""
    page = Page([], [])
    if request.entries_max == 0:
        return page
    start: Start | None = first_start(request)
    most = request.entries_max + 1
    wanted = most if not request.delimiter else min(most, FIRST_RUN)
    effort = 0
    while start is not None:
        run = await source.run(start, wanted)
        before = page.size
        start = _take(page, run, request)
        if page.next is not None:
            return page
        is_rolled_up = len(run.objects) > _ROLLED_UP * (page.size - before)
        wanted = max(min(source.fewest, most), wanted // 4) if is_rolled_up else min(2 * wanted, most)
        effort += _ASKING + len(run.objects)
        if effort > _TURN:
            effort = 0
            await asyncio.sleep(0)
    return page


def first_start(request: ListRequest) -> Start | None:
    """Where to begin: not before the prefix, and not in a common prefix that comes before what the page is behind.

    A prefix comes before everything in it: a marker that names it, or any key in it, has the page begin behind it, as
    at S3. None: there is nothing behind that prefix.
    """
    start = request.start
    if start.key < request.prefix:
        return Start(request.prefix, inclusive=True)
    rolled = _common_prefix(start.key, request)
    if rolled is not None and not start.inclusive:
        behind = behind_prefix(rolled)
        return Start(behind, inclusive=True) if behind is not None else None
    return start


def _take(page: Page, run: Run, request: ListRequest) -> Start | None:
    """Put a run's entries on the page; where to go on, None at the end of the listing or of the page."""
    if not request.delimiter:
        return _take_all(page, run, request)
    objects, at = run.objects, 0
    while at < len(objects):
        listed = objects[at]
        if page.size == request.entries_max:
            page.next = Start(page.last, inclusive=False)
            if page.prefixes and page.last == page.prefixes[-1]:
                page.next = Start(behind_prefix(page.last) or listed.key, inclusive=True)
            return None
        rolled = _common_prefix(listed.key, request)
        if rolled is None:
            page.objects.append(listed)
            page.last = listed.key
            at += 1
            continue
        page.prefixes.append(rolled)
        page.last = rolled
        behind = behind_prefix(rolled)
        if behind is None:
            return None
        if objects[-1].key < behind:
            return Start(behind, inclusive=True) if run.next is not None else None
        at = bisect_left(objects, behind, at + 1, key=_key)
    return run.next


def _take_all(page: Page, run: Run, request: ListRequest) -> Start | None:
    """The same where nothing is rolled up: as much as fits, at once."""
    room = request.entries_max - len(page.objects)
    page.objects += run.objects[:room]
    if page.objects:
        page.last = page.objects[-1].key
    if len(run.objects) > room:
        page.next = Start(page.last, inclusive=False)
        return None
    return run.next


def _key(listed: ListedObject) -> str:
    return listed.key


def _common_prefix(key: str, request: ListRequest) -> str | None:
    if not request.delimiter or not key.startswith(request.prefix):
        return None
    at = key.find(request.delimiter, len(request.prefix))
    return key[: at + len(request.delimiter)] if at >= 0 else None


class LocalSource:
    """The view: enough wherever nobody else writes, or where a rule says that what is here will do (`is_partial`)."""

    fewest = 2
    seen_ms: int | None = None

    def __init__(self, questions: Questions, bucket: str, prefix: str, *, is_partial: bool = False) -> None:
        self.is_partial = is_partial
        self._questions = questions
        self._bucket = bucket
        self._before = behind_prefix(prefix) if prefix else None

    async def run(self, start: Start, limit: int) -> Run:
        objects = self._questions.objects_from(
            self._bucket, start.key, inclusive=start.inclusive, before=self._before, limit=limit
        )
        return Run(objects, Start(objects[-1].key, inclusive=False) if len(objects) == limit else None)
