"""SIGKILL of the sender, and of the daemon above it, in the middle of sending: nothing is lost, nothing is doubled."""

import asyncio
import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from kill.load import listing, look, make_bucket, read
from kill.nursery import Child, Nursery
from kill.rounds import Rounds, fresh_seed
from kill.test_kill_replicating import drained
from s3d.cli.asking import AdminClient
from s3d.telemetry.report import SenderReport, Status

KILLS = 3


@pytest.fixture
def nursery():
    it = Nursery()
    yield it
    it.close()


@pytest.mark.slow
async def test_a_sender_that_is_killed_over_and_over_loses_nothing(nursery, tmp_path):
    """Each time another sender takes over; in the end the remote has what was acknowledged, and status tells of it."""
    remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
    edge = await nursery.ready(nursery.fork(str(tmp_path / "data"), remote=remote.endpoint, sender="process"))
    rounds = Rounds(nursery, str(tmp_path / "data"), fresh_seed(), remote=remote.endpoint)
    async with aiohttp.ClientSession() as session:
        await make_bucket(session, edge.endpoint)
        stop = asyncio.Event()
        work = asyncio.gather(*(client.work(session, edge.endpoint, stop) for client in rounds.clients))
        killed = set()
        for _ in range(KILLS):
            sender = await another(edge, killed)
            await asyncio.sleep(0.3)
            os.kill(sender.pid, signal.SIGKILL)
            killed.add(sender.pid)
        stop.set()
        await work
        await drained(edge)
        await look(session, edge.endpoint, rounds.ledger)
        at_edge = await listing(session, edge.endpoint)
        assert await listing(session, remote.endpoint) == at_edge
        for key in at_edge:
            assert await read(session, remote.endpoint, key) == await read(session, edge.endpoint, key)
        async with session.get(f"{edge.admin}/metrics") as response:
            assert f"s3d_sender_restarts_total {KILLS}.0" in await response.text()
    assert (await sender_of(edge)).restarts == KILLS
    with open(edge.log) as log:
        assert sum("the sender ended (SIGKILL)" in line for line in log) == KILLS
    assert not [pid for pid in killed if Path(f"/proc/{pid}").exists()], "a sender was left as a zombie"


@pytest.mark.slow
async def test_a_daemon_that_is_killed_leaves_no_sender_and_loses_nothing(nursery, tmp_path):
    """Its sender goes with it, in the middle of uploads; the next daemon looks for them and sends the rest."""
    remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
    rounds = Rounds(nursery, str(tmp_path / "data"), fresh_seed(), remote=remote.endpoint)
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            edge = await nursery.ready(nursery.fork(str(tmp_path / "data"), remote=remote.endpoint, sender="process"))
            await make_bucket(session, edge.endpoint)
            await look(session, edge.endpoint, rounds.ledger)
            work = asyncio.gather(*(client.work(session, edge.endpoint) for client in rounds.clients))
            sender = await another(edge, set())
            await asyncio.sleep(1.0)
            nursery.kill(edge)
            await work
            await gone(sender.pid)
        edge = await nursery.ready(nursery.fork(str(tmp_path / "data"), remote=remote.endpoint, sender="process"))
        await drained(edge)
        await look(session, edge.endpoint, rounds.ledger)
        await look(session, remote.endpoint, rounds.ledger)
        sender = await another(edge, set())
    assert descriptors(sender.pid, f"{tmp_path}/data/") == [], "the sender holds files of the daemon"
    assert nursery.kill(edge, signal.SIGTERM) == 0
    await gone(sender.pid)


async def sender_of(edge: Child) -> SenderReport:
    status = await asyncio.to_thread(AdminClient(edge.admin).get, "/status", Status)
    assert status.remote is not None
    assert status.remote.sender is not None
    return status.remote.sender


async def another(edge: Child, than: set[int]) -> SenderReport:
    """The sender, once there is one that is none of these."""
    deadline = time.monotonic() + 60
    while (sender := await sender_of(edge)).pid in {0, *than}:
        assert time.monotonic() < deadline, "no other sender was started"
        await asyncio.sleep(0.02)
    return sender


async def gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} lives on"
        await asyncio.sleep(0.02)


def descriptors(pid: int, directory: str) -> list[str]:
    """The files under a directory that a process has open."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return [link for link in links if link.startswith(directory)]
