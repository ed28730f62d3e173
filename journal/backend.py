"""Where records live: the seam between the journal and a database, a promise per method.

One contract suite (tests/contract) runs against every backend. `append` and everything that writes is called from the
journal's one writer thread; reading is allowed from any thread.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from journal.files import BaseInfo, FileInfo
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

    def has_room(self) -> bool:
        """Whether ordinary commands may take space; False: what is left is the reserve. Any thread; never raises."""

    def make_room(self) -> None:
        """Give up reserved space, because somebody else found the volume full. Never raises."""

    def settle(self, *, idle: bool) -> None:
        """Do what is due besides appending (checkpoints, the mark's sync); `idle` says that no command waits.

        Raises CommitAmbiguous and nothing else: then the process must end.
        """

    def read(self, after: int, limit: int) -> list[Record]:
        """Up to `limit` records with numbers above `after`, in order; dropped ones are skipped (see `origin`).

        Raises JournalDamaged for a record that does not follow the one before it in the chain; so does `pick`.
        """

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        """The records with these sequence numbers, in order; missing ones are left out."""

    def body(self, sequence: int) -> bytes | None:
        """A record's inline body; None when it has none, or none any more, because its file was sealed or dropped.

        Raises JournalDamaged when it is not what was written.
        """

    def positions(self) -> dict[str, int]:
        """The durable position of every follower."""

    # files; the reading ones from any thread

    @property
    def directory(self) -> str:
        """Where base files are put; empty when this backend has no directory."""

    def files(self) -> list[FileInfo]:
        """Every file, oldest first; the last one is the active one."""

    def origin(self) -> Head:
        """What the oldest record that is still there follows: the genesis, or the last record that was dropped."""

    def base(self) -> BaseInfo | None:
        """The base that was recorded last."""

    def base_path(self) -> str:
        """The file of the base, which was held against its digest and its position in the chain just now.

        Raises JournalDamaged when there is none, or it is not what was recorded.
        """

    def check_file(self, number: int) -> None:
        """Check what no chain covers: the pages of one file. Blocks. Raises JournalDamaged."""

    def copy_sealed(self, number: int) -> None:
        """Make a file's sealed copy durable and verify it; nothing reads it yet. Blocks; on any one thread.

        Raises JournalError; DiskFull when there is no space; JournalDamaged when the file does not verify.
        """

    def seal(self, number: int) -> None:
        """Let the copy take the file's place, from the writer's thread. No-op for a file that is sealed already.

        Raises CommitAmbiguous as `append` does; DiskFull or JournalError when nothing was changed.
        """

    def record_base(self, base: BaseInfo) -> None:
        """Remember the base durably, from the writer's thread; the file of the one before it goes. Raises as `seal`."""

    def check_base(self, base: BaseInfo) -> None:
        """Hold a base against its file and against the chain. Blocks; from any thread. Raises JournalError."""

    def drop(self, number: int) -> None:
        """Forget the oldest file, from the writer's thread. Raises as `seal`.

        Refused with JournalError unless it is the oldest one, is not active, and the base covers it.
        """

    def close(self) -> None:
        """Let go of everything; safe to call twice."""
