"""What clients were told, and what they may therefore find after a crash.

Each key is written by one client at a time, so there is at most one operation on it whose answer the crash took away.
After a restart the key must be as the last acknowledged operation left it, or as the unanswered one would have: whole
in either case. What is found then counts as known, because a client has now been told.
"""

import hashlib
import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Version:
    """An object's content. The bytes follow from the number, so that a thousand of them cost no memory."""

    number: int
    size: int
    in_parts: bool = False

    @property
    def body(self) -> bytes:
        return random.Random(self.number).randbytes(self.size)

    @property
    def etag(self) -> str:
        digest = hashlib.md5(self.body)
        return f'"{hashlib.md5(digest.digest()).hexdigest()}-1"' if self.in_parts else f'"{digest.hexdigest()}"'


class Lost(AssertionError):
    """What was acknowledged is not there, or what is there was never written."""


@dataclass
class Ledger:
    """Keys with what was acknowledged (None: absent), and operations without an answer."""

    known: dict[str, Version | None] = field(default_factory=dict)
    unanswered: dict[str, Version | None] = field(default_factory=dict)
    sequences: set[int] = field(default_factory=set)
    acknowledged: int = 0
    uncertain_kept: int = 0
    uncertain_gone: int = 0

    def begin(self, key: str, wanted: Version | None) -> None:
        """A client sends an operation that would leave the key so."""
        assert key not in self.unanswered, "one client at a time"
        self.unanswered[key] = wanted

    def acknowledge(self, *keys: str, sequence: int | None = None) -> None:
        """The daemon said yes, as record `sequence`."""
        for key in keys:
            self.known[key] = self.unanswered.pop(key)
        self.acknowledged += 1
        if sequence is not None:
            self.count(sequence)

    def count(self, sequence: int) -> None:
        """A record was acknowledged that changes no key, such as a part of an upload."""
        if sequence in self.sequences:
            raise Lost(f"record {sequence} was acknowledged twice, for different operations")
        self.sequences.add(sequence)

    def refuse(self, *keys: str) -> None:
        """The daemon said no, and nothing has happened."""
        for key in keys:
            del self.unanswered[key]

    @property
    def head(self) -> int:
        """The last acknowledged record."""
        return max(self.sequences, default=0)

    def find(self, key: str, found: Version | None) -> None:
        """After a restart, this is there. Raises Lost when it must not be."""
        before = self.known.get(key)
        if key not in self.unanswered:
            if found != before:
                raise Lost(f"{key}: {before} was acknowledged, {found} is there")
            return
        wanted = self.unanswered.pop(key)
        if found not in {before, wanted}:
            raise Lost(f"{key}: {before} was acknowledged and {wanted} under way, {found} is there")
        if before != wanted:
            self.uncertain_kept += found == wanted
            self.uncertain_gone += found != wanted
        self.known[key] = found

    @property
    def present(self) -> dict[str, Version]:
        """The keys that exist."""
        return {key: version for key, version in self.known.items() if version is not None}
