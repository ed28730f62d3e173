"""SIGKILL while the daemon replicates: whatever was acknowledged reaches the remote, in order, and once is enough."""

import asyncio

import aiohttp
import pytest

from kill.load import listing, look, make_bucket, read
from kill.nursery import Child, Nursery
from kill.rounds import Rounds, fresh_seed
from s3d.cli.asking import AdminClient
from s3d.telemetry.report import WaitReport

ROUNDS = 8
DRAIN_SECONDS = 60


@pytest.fixture
def nursery():
    it = Nursery()
    yield it
    it.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_remote_ends_up_with_what_was_acknowledged(nursery, tmp_path):
    """After many kills in the middle of replication, a drain leaves edge and remote with the same objects."""
    seed = fresh_seed()
    remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
    rounds = Rounds(nursery, str(tmp_path / "data"), seed, remote=remote.endpoint)
    await rounds.run(ROUNDS)
    edge = await rounds.start()
    await drained(edge)
    async with aiohttp.ClientSession() as session:
        await look(session, edge.endpoint, rounds.ledger)
        await look(session, remote.endpoint, rounds.ledger)


@pytest.mark.slow
async def test_a_remote_that_is_killed_over_and_over_loses_nothing_either(nursery, tmp_path):
    """The remote dies under the replicator again and again, on the same address: the drain completes all the same."""
    remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
    rounds = Rounds(nursery, str(tmp_path / "data"), fresh_seed(), remote=remote.endpoint)
    edge = await rounds.start()
    async with aiohttp.ClientSession() as session:
        await make_bucket(session, edge.endpoint)
        for _ in range(4):
            stop = asyncio.Event()
            work = asyncio.gather(*(client.work(session, edge.endpoint, stop) for client in rounds.clients))
            await asyncio.sleep(0.2)
            nursery.kill(remote)
            await asyncio.sleep(0.05)
            stop.set()
            await work
            remote = await nursery.ready(nursery.fork(str(tmp_path / "remote"), listen=remote.endpoint))
        await drained(edge)
        await look(session, edge.endpoint, rounds.ledger)
        at_edge = await listing(session, edge.endpoint)
        assert await listing(session, remote.endpoint) == at_edge
        for key in at_edge:
            assert await read(session, remote.endpoint, key) == await read(session, edge.endpoint, key)


async def drained(edge: Child) -> None:
    """Return when the remote has everything."""
    client = AdminClient(edge.admin)
    for _ in range(DRAIN_SECONDS):
        report = await asyncio.to_thread(
            client.get, "/wait", WaitReport, {"all": "1", "timeout": "1"}, patience_seconds=1
        )
        if report.state != "pending":
            break
    assert report.state == "confirmed", report
