"""SIGKILL at each place of group P, under load, one after another on one data directory and one remote."""

import asyncio
import itertools
import os
import random
import re
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import apsw
import pytest
from failures.page import groups

from kill.failpoints import FAILPOINTS, Failpoint, WriteTo
from kill.ledger import Ledger
from kill.load import CLIENTS, Client, Gone, listing, look, make_bucket
from kill.nursery import Child, Nursery, StartFailed
from kill.test_kill_replicating import drained

HIT_WITHIN_SECONDS = 180.0
STARTS_MAX = 10
WORK_SECONDS = 1.0
SETTINGS = {"journal.file_bytes_max": 300_000, "journal.keep_unsealed_bytes": 0, "journal.retain_files": 1}
ELSEWHERE = {"P18", "P20"}  # memory that runs out and bugs: not a place in the program
LATEST_UPGRADE = "DROP TABLE sent_to; PRAGMA user_version = 12"
EARLIER = ("view.db", "the latest upgrade")


class Place:
    """A data directory with its remote, through all of the failpoints."""

    def __init__(self, nursery: Nursery, directory: Path, remote: Child, seed: int) -> None:
        self.nursery = nursery
        self.data = directory / "data"
        self.remote = remote
        self.ledger = Ledger()
        numbers = itertools.count(1)
        self.clients = [Client(one, self.ledger, numbers, random.Random(f"{seed} {one}")) for one in range(CLIENTS)]

    async def _end_while_starting(self, failpoint: Failpoint | WriteTo) -> int:
        """The wait status. A start that had too little to do for it leads to another one, with more."""
        for _ in range(STARTS_MAX):
            child = self.fork(failpoint.name)
            try:
                child = await self.nursery.ready(child)
            except StartFailed:
                break
            stop = asyncio.Event()
            async with aiohttp.ClientSession() as session:
                with suppress(*Gone):  # work may lead there, too
                    await make_bucket(session, child.endpoint)
                    await look(session, child.endpoint, self.ledger)
                    work = asyncio.gather(*(client.work(session, child.endpoint, stop) for client in self.clients))
                    await asyncio.sleep(WORK_SECONDS)
                    stop.set()
                    await work
            self.nursery.kill(child)
        else:
            return 0
        return self.nursery.kill(child)

    def fork(self, failpoint: str = "") -> Child:
        return self.nursery.fork(str(self.data), remote=self.remote.endpoint, more=SETTINGS, failpoint=failpoint)

    async def hit(self, failpoint: Failpoint | WriteTo) -> None:
        """Look at what the kill before has left, and work until the daemon has killed itself there."""
        self._take_away(failpoint.without)
        if failpoint.while_starting:
            status = await self._end_while_starting(failpoint)
        else:
            child = await self.nursery.ready(self.fork(failpoint.name))
            stop = asyncio.Event()
            async with aiohttp.ClientSession() as session:
                with suppress(*Gone):  # what waits to be sent may lead there at once
                    await make_bucket(session, child.endpoint)
                    await look(session, child.endpoint, self.ledger)
                work = asyncio.gather(*(client.work(session, child.endpoint, stop) for client in self.clients))
                status = await self.nursery.ended(child, HIT_WITHIN_SECONDS)
                stop.set()
                await work
        assert os.WTERMSIG(status) == signal.SIGKILL, f"{failpoint.name}: never came there ({status})"

    def _take_away(self, what: str) -> None:
        view = self.data / "view.db"
        if what == "view.db":
            for one in self.data.glob("view.db*"):
                one.unlink()
        elif what:
            connection = apsw.Connection(str(view))
            connection.execute(LATEST_UPGRADE)
            connection.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    nursery = Nursery()
    try:
        remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
        yield Place(nursery, tmp_path, remote, seed=1)
    finally:
        nursery.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_p_nothing_is_lost_or_doubled_wherever_it_is_killed(place: Place) -> None:
    """Each place of group P in turn; what was acknowledged is there after each, and at last at the remote as well."""
    for failpoint in FAILPOINTS:
        await place.hit(failpoint)
    edge = await place.nursery.ready(place.fork())
    await drained(edge)
    async with aiohttp.ClientSession() as session:
        await look(session, edge.endpoint, place.ledger)
        await look(session, place.remote.endpoint, place.ledger)
        assert await listing(session, place.remote.endpoint) == await listing(session, edge.endpoint)


def test_every_case_of_group_p_has_a_place() -> None:
    """Or is none: the kernel's own kill, and a bug."""
    (cases,) = [group.case for group in groups() if group.group == "P"]
    assert {case.id for case in cases} - ELSEWHERE == {one.case for one in FAILPOINTS}
    assert len({one.name for one in FAILPOINTS}) == len(FAILPOINTS)
    for case in cases:
        if case.id not in ELSEWHERE:
            assert any(re.search("test_named_failpoints::", test) for test in case.tests), case.id
