"""What clients have been told, and what the remote has, by the I/O index at which it happened.

One recorded life tells, for a power cut at any index of it, what must be there afterwards, what may be, and in which
state the remote can have been found.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from replicator.doubles import FakeRemote

Key = tuple[str, str]  # bucket, key
Value = bytes | None  # None: nothing is there


@dataclass
class Upload:
    """One that was begun and neither completed nor aborted: it must be there, with the parts that were acknowledged."""

    bucket: str
    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Known:
    """What a client may hold the daemon to. Each key, bucket and upload is changed by one client at a time."""

    values: dict[Key, set[Value]] = field(default_factory=dict)
    buckets: dict[str, set[bool]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    foreign: dict[Key, bytes] = field(default_factory=dict)  # what others have put at the remote
    made_of_parts: set[bytes] = field(default_factory=set)

    def copy(self) -> "Known":
        """One that can be changed."""
        return copy.deepcopy(self)

    def begin(self, key: Key, value: Value) -> None:
        """Somebody asks for it: from now on it may be so."""
        self.values.setdefault(key, {None}).add(value)

    def acknowledge(self, key: Key, value: Value) -> None:
        """It is so."""
        self.values[key] = {value}

    def begin_bucket(self, name: str, *, exists: bool) -> None:
        """Somebody asks for a bucket to be made or removed."""
        self.buckets.setdefault(name, {False}).add(exists)

    def acknowledge_bucket(self, name: str, *, exists: bool) -> None:
        """It was."""
        self.buckets[name] = {exists}
        if not exists:
            self.values = {key: value for key, value in self.values.items() if key[0] != name}


class Ledger:
    """`note` what happens in a life; `at` says what was known after the first `index` I/Os."""

    def __init__(self, before: Known, index: Callable[[], int]) -> None:
        self._before = before
        self._index = index
        self._events: list[tuple[int, Callable[[Known], None]]] = []
        self.now = before.copy()

    def note(self, change: Callable[[Known], None]) -> None:
        """Something is known from now on."""
        self._events.append((self._index(), change))
        change(self.now)

    def at(self, index: int) -> Known:
        """What was known then."""
        known = self._before.copy()
        for when, change in self._events:
            if when > index:
                break
            change(known)
        return known


@dataclass(frozen=True)
class Stand:
    """The remote after a change; the request came in after `begun` I/Os, and took effect after `index`."""

    begun: int
    index: int
    content: dict[str, Any]


REMEMBERED = ("buckets", "uploads", "begun", "effects")


class Chronicle:
    """The stands of a remote through a life."""

    def __init__(self, remote: FakeRemote, index: Callable[[], int]) -> None:
        self._remote = remote
        self._index = index
        self._stands = [Stand(0, 0, self._content())]

    def note(self, begun: int) -> None:
        """It has changed."""
        self._stands.append(Stand(begun, self._index(), self._content()))

    def at(self, index: int, draw: Random) -> dict[str, Any]:
        """What the remote has after a power cut here: what was under way may still have arrived."""
        past = [stand for stand in self._stands if stand.index < index or stand is self._stands[0]]
        possible = [past[-1], *self._still(index, len(past))]
        return copy.deepcopy(draw.choice(possible).content)

    def _still(self, index: int, first: int) -> Iterator[Stand]:
        for stand in self._stands[first:]:
            if stand.begun > index:
                return
            yield stand

    def _content(self) -> dict[str, Any]:
        return {name: copy.deepcopy(getattr(self._remote, name)) for name in REMEMBERED}
