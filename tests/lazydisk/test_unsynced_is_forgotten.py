"""A second opinion about power cuts: the real daemon, killed on a file system that forgets what was not synced.

Nothing here is shared with the sweeps of tests/crash and tests/blackout but the promise: kernel, system calls, threads
and the sync calls of SQLite's own VFS are the real ones. `scripts/kill-loop --lazy-disk` is the long form.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import aiohttp
import apsw
import pytest
from kill.ledger import Lost
from kill.load import look
from kill.nursery import Nursery
from kill.rounds import Rounds, fresh_seed
from kill.test_kill_replicating import drained

from .mount import LazyDisk, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no forgetful file system here: {why_not()}")

ROUNDS = 8


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LazyDisk]:
    """Mounted where a data directory is to be."""
    try:
        with LazyDisk(tmp_path / "data") as mounted:
            yield mounted
    except OSError as error:
        pytest.skip(f"no forgetful file system here: {error}")


@pytest.fixture
def nursery(disk: LazyDisk) -> Iterator[Nursery]:
    """Its daemons end before the disk does."""
    it = Nursery()
    yield it
    it.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_decision_39_a_second_opinion(disk: LazyDisk, nursery: Nursery, tmp_path: Path) -> None:
    """After each kill what was not synced is gone, or some of it: all that was acknowledged is there, and arrives."""
    seed = fresh_seed()
    cuts = Random(seed)
    remote = await nursery.ready(nursery.fork(str(tmp_path / "remote")))
    rounds = Rounds(
        nursery, str(tmp_path / "data"), seed, remote=remote.endpoint, killed=lambda: disk.cut(cuts.getrandbits(32))
    )
    try:
        await rounds.run(ROUNDS)
        edge = await rounds.start()
        await drained(edge)
        async with aiohttp.ClientSession() as session:
            await look(session, edge.endpoint, rounds.ledger)
            await look(session, remote.endpoint, rounds.ledger)
        nursery.kill(edge)
    except Lost as lost:
        raise AssertionError(f"S3D_KILL_SEED={seed}, round {rounds.tally.rounds}: {lost}") from lost
    assert rounds.tally.acknowledged > ROUNDS, "the load did not load"
    assert disk.lost > 0, "no cut has ever taken anything"


@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
def test_the_disk_forgets_what_sqlite_has_not_synced(disk: LazyDisk, tmp_path: Path, synchronous: str) -> None:
    """With FULL every committed row is there after any cut; with OFF they go, so that a test on this disk can fail."""
    found = []
    for seed in range(8):
        path = tmp_path / "data" / f"{seed}.db"
        connection = apsw.Connection(str(path))
        for statement in ("PRAGMA journal_mode=WAL", f"PRAGMA synchronous={synchronous}", "CREATE TABLE t(x)"):
            connection.execute(statement).fetchall()
        sync_directory(path.parent)
        for number in range(20):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.close(True)
        del connection
        disk.cut(seed)
        found.append(rows(path))
    assert (set(found) == {20}) == (synchronous == "FULL"), found


def test_the_view_of_before_is_not_believed_on_a_disk_that_was_away(disk: LazyDisk, tmp_path: Path) -> None:
    """The same boot, the same directory, the same device number: mounted again it is another mount all the same."""
    from s3d.view.trust import this_boot

    before = this_boot(str(tmp_path / "data"))
    disk.cut(0)
    after = this_boot(str(tmp_path / "data"))
    if "unique" not in after[1]:
        pytest.skip("this kernel uses the numbers of mounts again (before Linux 6.8)")
    assert before[0] == after[0]
    assert before[1] != after[1]


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def rows(path: Path) -> int:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        (count,) = connection.execute("SELECT count(*) FROM t").fetchone() or (0,)
        connection.close()
    except apsw.Error:
        return -1
    return int(str(count))
