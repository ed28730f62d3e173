"""A site that signs: a journal in memory, a real view, a notary, and what an auditor gets of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_state import Edge, create, put

from journal import FileInfo, Head, Identity, MemoryBackend, Record
from journal.record import genesis
from s3d.audit.chain_file import chain_lines
from s3d.bundle.signing import SigningKey
from s3d.events import AuditCheckpoint
from s3d.notary.notary import Notary

KEY, OTHER_KEY = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
EVERY_SECONDS = 900.0


class SteppedClock:
    """Goes on by `step` only; whoever sleeps on it sleeps for ever."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def step(self, seconds: float) -> None:
        self.seconds += seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a test steps this clock")


class SignedSite:
    """Implements the notary's `Chain` over an Edge; `write` and `sign`, then `export`."""

    def __init__(self, directory: Path, *, name: str = "instance", key: SigningKey = KEY) -> None:
        self.edge = Edge(directory, has_remote=True, backend=MemoryBackend(name))
        self.edge.do(create("b", remote_has_it=False))
        self.clock = SteppedClock()
        self.key = key
        self.file = 1
        self.restart()

    def restart(self) -> None:
        """Another notary, which knows what the view knows."""
        self.notary = Notary(
            self, self.submit, self.edge.view.reader, self.key, self.clock, every_seconds=EVERY_SECONDS
        )

    def write(self, *keys: str) -> None:
        """An object for each."""
        for key in keys:
            self.edge.do(put("b", key, key.encode()))

    async def sign(self) -> AuditCheckpoint:
        """Whatever has happened."""
        self.clock.step(60)
        found = await self.notary.sign()
        assert found is not None
        return found

    async def export(self) -> list[bytes]:
        """The lines that an auditor gets now."""
        last = await self.sign()
        records = self.edge.backend.read(0, 10_000)
        origin = Head(0, genesis(self.identity.instance))
        return [*chain_lines(self.identity.instance, self.identity.epoch, origin, records, last, self.head.sequence)]

    # what the notary asks

    @property
    def identity(self) -> Identity:
        return self.edge.backend.identity

    @property
    def head(self) -> Head:
        return self.edge.committer.head

    def files(self) -> Sequence[FileInfo]:
        return [FileInfo(self.file, "journal.db", "active", 1, self.head.sequence, 0, 0, 0)]

    def read(self, after: int, limit: int) -> Sequence[Record]:
        return self.edge.backend.read(after, limit)

    async def submit(self, command: Any) -> Any:
        return self.edge.do(command)
