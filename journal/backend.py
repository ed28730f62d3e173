"""Where records live: the seam between the journal and a database, a promise per method.

One contract suite (tests/contract) runs against every backend. `append` and everything that writes is called from the
journal's one writer thread; reading is allowed from any thread.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from journal.record import Head, Record


class Identity(msgspec.Struct, frozen=True):
    """Which journal this is: `instance` never changes, `epoch` grows when a backup is restored."""

    instance: str
    epoch: int


class Backend(Protocol):
    """Durable storage for records."""

    def open(self) -> Head:
        """Recover what is there (or create it), verify it, and return its head.

        Raises JournalLocked, JournalForeign, JournalDamaged or JournalShortened, having changed nothing; another
        JournalError when the disk does not let it open.
        """

    @property
    def identity(self) -> Identity:
        """Which journal this is."""

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        """Make records, inline bodies (by sequence) and follower positions durable, all or nothing.

        A position never goes back. Raises CommitAmbiguous when it is not known whether the batch was kept; DiskFull,
        another JournalError or a TypeError when certainly nothing was.
        """

    def make_room(self) -> None:
        """Give up reserved space, because somebody else found the volume full. Never raises."""

    def settle(self, *, idle: bool) -> None:
        """Do what is due besides appending (checkpoints, the mark's sync); `idle` says that no command waits.

        Raises CommitAmbiguous and nothing else: then the process must end.
        """

    def read(self, after: int, limit: int) -> list[Record]:
        """Up to `limit` records that follow sequence `after`, in order."""

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        """The records with these sequence numbers, in order; missing ones are left out."""

    def body(self, sequence: int) -> bytes | None:
        """A record's inline body; None when it has none. Raises JournalDamaged when it is not what was written."""

    def positions(self) -> dict[str, int]:
        """The durable position of every follower."""

    def close(self) -> None:
        """Let go of everything; safe to call twice."""
