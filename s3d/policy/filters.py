"""What a filter is once it has been read: patterns for bucket and key, and what must hold of an object beside them."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Kind = Literal["tag", "hdr", "md"]


class Subject(Protocol):
    """What a filter looks at. Names in `headers` and `metadata` are in lower case."""

    @property
    def bucket(self) -> str: ...
    @property
    def key(self) -> str:
        """Empty for what is about the bucket itself."""

    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with `*` in it: the runs between the stars, in order. Matches in linear time, whatever the text."""

    runs: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Whether the whole text fits."""
        first, last = self.runs[0], self.runs[-1]
        if len(self.runs) == 1:
            return text == first
        if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
            return False
        at, end = len(first), len(text) - len(last)
        for run in self.runs[1:-1]:  # the leftmost place is as good as any: what is between stars may be anything
            found = text.find(run, at, end)
            if found < 0:
                return False
            at = found + len(run)
        return True

    @property
    def literal(self) -> str | None:
        """The only text that fits; None: there are more."""
        return self.runs[0] if len(self.runs) == 1 else None


@dataclass(frozen=True, slots=True)
class Predicate:
    """What stands in one pair of brackets. Without `operator` the name has to be there."""

    kind: Kind
    name: str
    operator: str = ""
    value: Pattern = Pattern(("",))
    number: int = 0

    def holds(self, subject: Subject) -> bool:
        """Whether it does; a value that is no number is neither below nor above one."""
        found = self._values(subject).get(self.name)
        if self.operator == "!=":
            return found is None or not self.value.matches(found)
        if found is None:
            return False
        if self.operator in ORDER:
            return found.isascii() and found.isdecimal() and ORDER[self.operator](int(found), self.number)
        return not self.operator or self.value.matches(found)

    def _values(self, subject: Subject) -> Mapping[str, str]:
        if self.kind == "tag":
            return subject.tags
        return subject.headers if self.kind == "hdr" else subject.metadata


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter; `text` is what was written."""

    text: str
    bucket: Pattern
    key: Pattern
    predicates: tuple[Predicate, ...] = ()

    def matches(self, subject: Subject) -> bool:
        """Whether it is about this object."""
        return self.matches_name(subject.bucket, subject.key) and all(one.holds(subject) for one in self.predicates)

    def matches_name(self, bucket: str, key: str) -> bool:
        """Whether bucket and key fit, whatever is in brackets."""
        return self.bucket.matches(bucket) and self.key.matches(key)
