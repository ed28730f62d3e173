"""Kill, restart, compare, again and again, on one data directory. The tests run this, and scripts/kill-loop."""

import asyncio
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from kill.ledger import Ledger, Lost
from kill.load import CLIENTS, Client, look, make_bucket
from kill.nursery import Child, Nursery

LOAD_SECONDS_MAX = 0.25
START_SECONDS_MAX = 0.08
WHILE_STARTING = 0.2  # the share of kills that hit a daemon which is still recovering from the one before


@dataclass
class Tally:
    """How it went."""

    rounds: int = 0
    while_starting: int = 0
    acknowledged: int = 0
    uncertain_kept: int = 0
    uncertain_gone: int = 0


class Rounds:
    """Rounds of killing a daemon under load. The same seed gives the same operations, though not the same moments.

    `killed` is called after each kill, when nobody has a file of it open any more.
    """

    def __init__(
        self,
        nursery: Nursery,
        data_dir: str,
        seed: int,
        *,
        remote: str | None = None,
        killed: Callable[[], object] = lambda: None,
    ) -> None:
        self._nursery = nursery
        self._data_dir = data_dir
        self._remote = remote
        self._killed = killed
        self._chance = random.Random(seed)
        self.ledger = Ledger()
        numbers = itertools.count(1)
        self.clients = [
            Client(index, self.ledger, numbers, random.Random(f"{seed} {index}")) for index in range(CLIENTS)
        ]
        self.tally = Tally()

    async def run(self, rounds: int, told: Callable[[Tally], object] = lambda tally: None) -> None:
        """Kill so many times, then look once more. Raises Lost, or StartFailed when a daemon refuses to start."""
        for _ in range(rounds):
            await self._round()
            self._count()
            told(self.tally)
        async with aiohttp.ClientSession() as session:
            child = await self.start()
            await look(session, child.endpoint, self.ledger)
            self.check_head(child)
            self._count()
            self._nursery.kill(child)

    async def start(self) -> Child:
        """A daemon on the directory, ready."""
        return await self._nursery.ready(self._fork())

    def check_head(self, child: Child) -> None:
        """No acknowledged record may be missing from the end of the journal."""
        head = self._last_seen(child)
        if head < self.ledger.head:
            raise Lost(f"record {self.ledger.head} was acknowledged, the journal ends at {head}")

    async def _round(self) -> None:
        self.tally.rounds += 1
        child = self._fork()
        if self._chance.random() < WHILE_STARTING:
            await asyncio.sleep(self._chance.uniform(0, START_SECONDS_MAX))
            self.tally.while_starting += 1
            self._nursery.kill(child)
            self._killed()
            return
        child = await self._nursery.ready(child)
        async with aiohttp.ClientSession() as session:
            await make_bucket(session, child.endpoint)
            await look(session, child.endpoint, self.ledger)
            self.check_head(child)
            work = asyncio.gather(*(client.work(session, child.endpoint) for client in self.clients))
            await asyncio.sleep(self._chance.uniform(0, LOAD_SECONDS_MAX))
            self._nursery.kill(child)
            await work
        self._killed()

    def _fork(self) -> Child:
        return self._nursery.fork(self._data_dir, remote=self._remote)

    def _last_seen(self, child: Child) -> int:
        from s3d.cli.asking import AdminClient
        from s3d.telemetry.report import Status

        return int(AdminClient(child.admin).get("/status", Status).head.partition("-")[2])

    def _count(self) -> None:
        self.tally.acknowledged = self.ledger.acknowledged
        self.tally.uncertain_kept = self.ledger.uncertain_kept
        self.tally.uncertain_gone = self.ledger.uncertain_gone


def fresh_seed() -> int:
    """A seed to report when something fails."""
    return int(os.environ.get("S3D_KILL_SEED") or random.SystemRandom().randrange(2**32))
