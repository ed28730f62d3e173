"""Weeks without a link, a million records that wait, and then a drain in order: one daemon over a journal on a disk.

Its clients write at an even pace for as long as the site is offline and read back what they wrote; it is killed now and
then, once without its view. Then the link comes back, and everything has to arrive: each key in its order, manifests
after their parts, nothing left out but what a later write of the same key has superseded, in bounded memory.
"""

import asyncio
import resource
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest.mock import patch

from s3d.errors import S3Error
from s3d.policy.rules import Rule
from s3d.replicator import link
from s3d.values import Order

from .edge import FIRST, Edge, Setting, patient
from .ledger import BUCKET, DELETED, NOTHING, Ledger, Plan
from .virtual import VirtualClock, VirtualLoop

DAY = 86_400.0
TOGETHER = 50  # requests at once, which share a commit
WRITES_OF_KEY = 5
RESTARTS = 3
PROBE_SECONDS_MAX = 900.0
DRAIN_SECONDS_MAX = 5 * DAY
EVERY_WRITE = Rule(match=f"{BUCKET}/1*", coalesce=False)  # of these keys the remote is to see each one
Told = Callable[[str, int], None]


@dataclass
class Result:
    """What it took. Times are real seconds of one core, memory the most that the process had, in bytes."""

    pending: int = 0
    sent: int = 0
    superseded: int = 0
    days: float = 0.0
    write_seconds: float = 0.0
    restart_seconds: float = 0.0
    refold_seconds: float = 0.0
    drain_seconds: float = 0.0
    drained_in: float = 0.0  # virtual seconds
    behind_most: int = 0
    memory_before: int = 0
    memory: int = 0


def live_offline(
    days: float, pending: int, directory: Path, *, seed: int = 1, told: Told = lambda _what, _done: None
) -> Result:
    """One such time. `told` hears how many are written, and then how many are sent. Raises AssertionError."""
    random = Random(seed)
    loop = VirtualLoop(Random(seed + 1))
    asyncio.set_event_loop(loop)
    site = _Site(loop, random, directory, days, Plan(pending, max(20, pending // WRITES_OF_KEY), seed), told)
    try:
        with (
            patient(Random(seed + 2)),
            patch.object(link.after_probe_failure, "__defaults__", (PROBE_SECONDS_MAX,)),
        ):
            return loop.run_until_complete(site.live())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(1))
        asyncio.set_event_loop(None)
        loop.close()


class _Site:
    def __init__(self, loop: VirtualLoop, random: Random, directory: Path, days: float, plan: Plan, told: Told) -> None:
        self._loop = loop
        self._days = days
        self._plan = plan
        self._told = told
        self._wrong: list[str] = []
        clock = VirtualClock(loop)
        self._remote = Ledger(clock, Random(random.random()), plan, self._wrong.append)
        self._edge = Edge(
            directory,
            clock,
            {FIRST: self._remote},
            Random(random.random()),
            Setting({"rules": (EVERY_WRITE,)}, on_disk=True),
        )
        self._result = Result(days=days)

    async def live(self) -> Result:
        """Write, wait, drain, compare."""
        result = self._result
        result.memory_before = _memory_bytes()
        self._remote.down = True
        await self._edge.start()
        await self._edge.perform("CreateBucket", BUCKET)
        await self._write()
        assert self._edge.pending == self._plan.writes + 1, "something that was acknowledged does not wait"
        result.pending = self._edge.pending
        began = time.process_time()
        await self._restart(keep_view=False)
        result.refold_seconds = time.process_time() - began
        await self._drain()
        self._compare()
        result.memory = _memory_bytes()
        await self._edge.kill()
        return result

    async def _write(self) -> None:
        began, plan = time.process_time(), self._plan
        pause = self._days * DAY * TOGETHER / plan.writes
        restarts = {(one + 1) * plan.writes // (RESTARTS + 1) // TOGETHER for one in range(RESTARTS)}
        for first in range(0, plan.writes, TOGETHER):
            numbers = range(first, min(first + TOGETHER, plan.writes))
            await asyncio.sleep(pause)
            await asyncio.gather(*(self._ask(number) for number in numbers))
            await self._read(numbers[-1])
            if first // TOGETHER in restarts:
                again = time.process_time()
                await self._restart(keep_view=True)
                self._result.restart_seconds = max(self._result.restart_seconds, time.process_time() - again)
            self._told("written", numbers[-1] + 1)
        self._result.write_seconds = time.process_time() - began

    async def _ask(self, number: int) -> None:
        plan, key = self._plan, str(self._plan.key(number))
        if plan.is_deletion(number):
            await self._edge.perform("DeleteObject", BUCKET, key)
            return
        order = Order("batches", plan.is_manifest(number)) if plan.is_of_batch(number) else None
        await self._edge.perform("PutObject", BUCKET, key, str(number).encode(), order)

    async def _read(self, number: int) -> None:
        """What was written last of all."""
        try:
            found = int(await self._edge.read(BUCKET, str(self._plan.key(number))))
        except S3Error as error:
            found = DELETED if error.code == "NoSuchKey" else NOTHING
        wanted = DELETED if self._plan.is_deletion(number) else number
        assert found == wanted, f"{found} was read where {wanted} was written"

    async def _restart(self, *, keep_view: bool) -> None:
        await self._edge.kill()
        await self._edge.start(keep_view=keep_view)

    async def _drain(self) -> None:
        result, began, begins_at = self._result, time.process_time(), self._loop.time()
        self._remote.down = False
        while self._edge.pending:
            self._check()
            assert self._loop.time() - begins_at < DRAIN_SECONDS_MAX, f"{self._edge.pending} still wait"
            assert not self._edge.statuses(), f"parked: {self._edge.statuses()}"
            await asyncio.sleep(10)
            self._told("sent", result.pending - self._edge.pending)
        result.drain_seconds, result.drained_in = time.process_time() - began, self._loop.time() - begins_at
        calls = self._remote.calls
        result.sent = calls["PutObject"] + calls["DeleteObject"] + calls["CreateBucket"]
        result.superseded, result.behind_most = self._edge.superseded, self._remote.behind_most

    def _compare(self) -> None:
        self._check()
        result, plan = self._result, self._plan
        assert result.sent + result.superseded == result.pending, f"sent twice, or never: {result}"
        last = array("q", [NOTHING]) * plan.all_keys
        for number in range(plan.writes):
            last[plan.key(number)] = DELETED if plan.is_deletion(number) else number
        for key, wanted in enumerate(last):
            there = self._remote.holds(key)
            assert there == wanted, f"the remote has write {there} under key {key}, the site {wanted}"

    def _check(self) -> None:
        assert not self._wrong, self._wrong[0]
        assert not self._edge.crashes, self._edge.crashes[0]


def _memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
