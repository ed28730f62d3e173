"""What a site must hold by what it has acknowledged: for each key every write, and which of them are certain."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

Value = bytes | None  # None: there is nothing under the key


@dataclass(eq=False)
class Write:
    """`sequence` is its record's place; None: it was not acknowledged, and may have been kept all the same."""

    value: Value
    sequence: int | None = None


class Model:
    """Buckets, their keys, and what each key may hold. One client alone writes a key, strangers excepted."""

    def __init__(self) -> None:
        self._writes: dict[str, dict[str, list[Write]]] = {}
        self._foreign: defaultdict[tuple[str, str], set[Value]] = defaultdict(set)
        self._bereft: set[str] = set()  # buckets that somebody removed at the remote with all that was in them
        self.shared: set[str] = set()  # buckets that the site does not answer for alone (any more)
        self.given_up: set[tuple[str, str]] = set()
        self.given_up_values: set[bytes] = set()

    def __contains__(self, bucket: str) -> bool:
        return bucket in self._writes

    def add(self, bucket: str) -> None:
        """A bucket that exists from now on, empty as far as the site has written."""
        self._writes.setdefault(bucket, {})

    def remove(self, bucket: str) -> None:
        """A bucket that does not exist any more, or of which nobody knows."""
        del self._writes[bucket]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Keys that were ever written."""
        return [key for key in self._writes[bucket] if key.startswith(prefix)]

    def buckets(self) -> Iterator[str]:
        """Those that exist."""
        yield from tuple(self._writes)

    def possible(self, bucket: str, key: str) -> set[Value]:
        """What the site may hold under a key; strangers' writes are not among it."""
        found: set[Value] = {None}
        for write in self._writes[bucket].get(key, ()):
            if write.sequence is not None:
                found = {write.value}
            else:
                found.add(write.value)
        return found

    def allowed(self, bucket: str, key: str) -> set[Value]:
        """The same with what strangers may have made of it at the remote."""
        alone = self.possible(bucket, key) | self._foreign.get((bucket, key), set())
        return alone | {None} if bucket in self._bereft else alone

    def is_ours(self, bucket: str, key: str) -> bool:
        """Whether no stranger has had a hand in it."""
        return bucket not in self._bereft and (bucket, key) not in self._foreign

    def value_of(self, bucket: str, key: str, sequence: int) -> Value:
        """What an acknowledged record wrote."""
        writes = self._writes.get(bucket, {}).get(key, ())
        return next((write.value for write in writes if write.sequence == sequence), None)

    def acknowledged(self, bucket: str, key: str) -> Iterator[tuple[int, bytes]]:
        """What was put there, with the place of its record; but for what a person has dropped."""
        for write in self._writes[bucket].get(key, ()):
            if write.sequence is not None and write.value is not None:
                yield write.sequence, write.value

    # what happens

    def begin(self, bucket: str, key: str, value: Value) -> Write:
        """Somebody asks for a write: from now on it may be there."""
        write = Write(value)
        self._writes[bucket].setdefault(key, []).append(write)
        return write

    def refuse(self, bucket: str, key: str, write: Write) -> None:
        """Certainly nothing of it was kept."""
        self._writes[bucket][key].remove(write)

    def give_up(self, bucket: str, key: str, sequence: int) -> None:
        """A person has dropped the record: the key is what it was before."""
        writes = self._writes.get(bucket, {}).get(key, [])
        self.given_up.add((bucket, key))
        self.shared.add(bucket)  # absence is not known there any more
        for write in [one for one in writes if one.sequence == sequence]:
            writes.remove(write)
            if write.value is not None:
                self.given_up_values.add(write.value)

    def meddle(self, bucket: str, key: str, value: Value) -> None:
        """A stranger has written, or (None) deleted."""
        self._foreign[bucket, key].add(value)

    def bereave(self, bucket: str) -> None:
        """Somebody has removed the bucket at the remote."""
        self._bereft.add(bucket)
