"""A named reader of the journal: in order, at least once, with a position that survives restarts."""

from typing import Protocol

from journal.errors import JournalError
from journal.record import Record


class Followed(Protocol):
    """What a follower needs of a journal."""

    async def wait(self, position: int) -> None:
        """Return when this record is durable."""

    def read(self, after: int, limit: int) -> list[Record]:
        """Records after a position."""

    async def advance(self, name: str, position: int) -> None:
        """Remember a follower's position durably."""


class Follower:
    """Reads records after its position; `advance` says durably how far it has come.

    A crash between reading and advancing repeats records: what a follower does must bear repetition.
    """

    def __init__(self, journal: Followed, name: str, position: int) -> None:
        self._journal = journal
        self.name = name
        self.position = position

    async def next(self, limit: int = 1000) -> list[Record]:
        """Wait until there are records after the position, and return up to `limit` of them.

        Raises JournalError when records that the follower has not seen were dropped.
        """
        await self._journal.wait(self.position + 1)
        records = self._journal.read(self.position, limit)
        if records and records[0].sequence != self.position + 1:
            raise JournalError(
                f"records {self.position + 1} to {records[0].sequence - 1} were dropped before {self.name!r} saw them",
                hint="drop a file only when every follower has passed it",
            )
        return records

    async def advance(self, position: int) -> None:
        """Remember durably that everything up to `position` is done; never goes back."""
        if position <= self.position:
            return
        await self._journal.advance(self.name, position)
        self.position = position
