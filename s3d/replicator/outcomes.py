"""Bring outcomes into the journal: many confirmations in one record, and nothing released before its COMMIT.

An outcome that cannot be written now is written later; one that is lost in a crash is found again at the remote.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from journal import CommitAmbiguous, Journal, JournalClosed, JournalError
from s3d.clock import Clock
from s3d.commands.begun import NoteUploadBegun
from s3d.commands.outcomes import ConfirmRecords, ParkRecord
from s3d.events import Confirmation
from s3d.replicator.decide import Park

BATCH_MAX = 256
GATHER_SECONDS = 0.01
_GATHER_STEPS = 5
RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


async def persist(submit: Callable[[], Awaitable[_T]], clock: Clock) -> _T:
    """Submit until it is durable: a full disk or a view that is being rebuilt passes. A journal that ended does not.

    Submitting again is harmless: outcomes that are known already are left out, a follower's position stays.
    """
    while True:
        try:
            return await submit()
        except (JournalClosed, CommitAmbiguous):
            raise
        except JournalError as error:
            _log.warning("an outcome could not be written, trying again: %s", error)
            await clock.sleep(RETRY_SECONDS)


def noting_begun(journal: Journal, clock: Clock) -> Callable[[int, str, str], Awaitable[bool]]:
    """Notes uploads that are begun anew; see `uploads.Begun`."""

    async def note(sequence: int, upload: str, remote_id: str) -> bool:
        command = NoteUploadBegun(sequence, upload, remote_id)
        appended = await persist(lambda: journal.submit(command, essential=True), clock)
        return bool(appended.answer)

    return note


class Outcomes:
    """Gathers outcomes and writes them. `quiet` says that nothing is under way which could still join a batch; `remote`
    is the name of the remote that they are of.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        confirmed: Callable[[Sequence[Confirmation]], None],
        parked: Callable[[int], None],
        quiet: Callable[[], bool],
        remote: str = "",
    ) -> None:
        self._remote = remote
        self._journal = journal
        self._clock = clock
        self._confirmed = confirmed
        self._parked = parked
        self._quiet = quiet
        self._confirmations: list[Confirmation] = []
        self._parks: list[tuple[int, Park]] = []
        self._some = asyncio.Event()
        self._writing = 0

    @property
    def unwritten(self) -> bool:
        """Whether an outcome is known that is not durable yet."""
        return bool(self._confirmations or self._parks or self._writing)

    def confirm(self, confirmation: Confirmation) -> None:
        """The remote has a record."""
        self._confirmations.append(confirmation)
        self._some.set()

    def park(self, sequence: int, park: Park) -> None:
        """A record waits for a person."""
        self._parks.append((sequence, park))
        self._some.set()

    async def write_for_ever(self) -> None:
        """Write what is gathered, batch by batch. Raises JournalClosed or CommitAmbiguous when the journal ends."""
        while True:
            await self._some.wait()
            await self._gather()
            await self.write()

    async def write(self) -> None:
        """Write what is gathered now, however long it takes."""
        self._some.clear()
        while self._confirmations or self._parks:
            await persist(self.write_once, self._clock)

    async def write_once(self) -> None:
        """Write what is gathered now, or raise and keep it."""
        confirmations, self._confirmations = self._confirmations, []
        parks, self._parks = self._parks, []
        self._writing += 1
        try:
            await self._submit(tuple(confirmations), parks)
        except BaseException:
            self._confirmations[:0], self._parks[:0] = confirmations, parks
            raise
        finally:
            self._writing -= 1
        if confirmations:
            self._confirmed(confirmations)
        for sequence, _ in parks:
            self._parked(sequence)

    async def _gather(self) -> None:
        """Let others join the batch, unless there is nobody who could."""
        for _ in range(_GATHER_STEPS):
            if len(self._confirmations) >= BATCH_MAX or self._quiet():
                return
            await self._clock.sleep(GATHER_SECONDS / _GATHER_STEPS)

    async def _submit(self, batch: tuple[Confirmation, ...], parks: Sequence[tuple[int, Park]]) -> None:
        submitted = [
            self._journal.submit(ParkRecord(sequence, park.code, park.message), essential=True)
            for sequence, park in parks
        ]
        if batch:
            submitted.append(self._journal.submit(ConfirmRecords(batch, remote=self._remote), essential=True))
        results = await asyncio.gather(*submitted, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
