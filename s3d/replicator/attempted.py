"""How far records may have been sent, remembered across a restart.

Written in big steps ahead of the sending, so that it costs nothing; after a restart only records up to there are looked
for at the remote before they are sent. What is stored counts steps, not records: a follower's position cannot be ahead
of the journal, and this one is about records that need not exist yet.
"""

import asyncio

from journal import Journal
from s3d.clock import Clock
from s3d.replicator.outcomes import persist

FOLLOWER = "replicator.attempted-steps"
STEP = 1000


class Attempted:
    """The durable position of one remote, and what it meant when this process began. Made before anything is appended.

    `remote` is the remote's name: what one may have been sent another was not.
    """

    def __init__(self, journal: Journal, clock: Clock, remote: str = "") -> None:
        self._journal = journal
        self._clock = clock
        self._name = f"{FOLLOWER}.{remote}" if remote else FOLLOWER
        self._through = journal.follow(self._name).position * STEP
        # The position runs ahead of the journal: what was appended after the start cannot have been sent before it.
        sent_before = min(self._through, journal.head.sequence)
        # What a restored backup has may have been sent by the journal that is lost.
        restored = max((before for _, before in journal.epochs()), default=0)
        self._looked_through = max(sent_before, restored)
        self._advancing = asyncio.Lock()

    def may_have_been_sent(self, sequence: int) -> bool:
        """Whether an earlier process, or an earlier stay in the window, may have sent this record."""
        return sequence <= self._looked_through

    def look_again_through(self, sequence: int) -> None:
        """Records up to here are forgotten without an outcome: look for them when they come back."""
        self._looked_through = max(self._looked_through, sequence)

    async def cover(self, sequence: int) -> None:
        """Return when it is durable that this record may have been sent."""
        if sequence <= self._through:
            return
        async with self._advancing:
            if sequence > self._through:
                steps = -(-sequence // STEP)
                await persist(lambda: self._journal.advance(self._name, steps), self._clock)
                self._through = steps * STEP
