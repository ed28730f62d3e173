"""A volume without space: nothing acknowledged is lost, reads go on, and what frees space gets through."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from journal import Decision, DiskFull, Entry, Journal, SqliteBackend
from journal.ballast import BALLAST_NAME, Ballast
from journal.disk import RealDisk, is_full
from journal.files import file_name

MIB = 1024 * 1024


@pytest.fixture
def small_volume(tmp_path: Any) -> Iterator[str]:
    """A real file system of 12 MiB."""
    path = str(tmp_path / "volume")
    os.mkdir(path)
    if os.geteuid() != 0:
        pytest.skip("mounting a small volume needs root")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", path], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no small volume can be mounted here: {made.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", path], check=True)


def fill_up(directory: str) -> str:
    """Take every byte that is left."""
    path = f"{directory}/hog"
    with open(path, "ab", buffering=0) as file:
        for piece in (64 * 1024, 4096, 1):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError as error:
                if not is_full(error):
                    raise
    return path


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the writer's next quiet moment."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.025)
    pytest.fail("it never came")


async def put_for_ever(journal: Journal) -> None:
    while True:
        await journal.submit(put(bytes(20_000)))


def put(payload: bytes) -> Any:
    return lambda _state: Decision([Entry("b/k", "Put", payload)])


async def test_d2_d10_a_full_volume_refuses_puts_serves_reads_and_recovers(
    small_volume: str, open_journal: Any, keys: Any
) -> None:
    """DiskFull for ordinary commands; essential ones use the ballast; freed space lets everything go on at once."""
    journal: Journal = await open_journal(backend=SqliteBackend(f"{small_volume}/d", ballast_bytes=2 * MIB))
    await journal.submit(put(b"first"))
    ballast = f"{small_volume}/d/{BALLAST_NAME}"
    await until(lambda: os.path.exists(ballast) and os.path.getsize(ballast) == 2 * MIB)
    hog = fill_up(small_volume)
    with pytest.raises(DiskFull):
        await put_for_ever(journal)
    assert not os.path.exists(ballast)
    await journal.submit(put(b"outcome"), essential=True)
    assert journal.read(journal.head.sequence - 1, 1)[0].payload == b"outcome"
    os.unlink(hog)
    await journal.submit(put(bytes(20_000)))
    assert await journal.verify() == journal.head.sequence
    await journal.close()
    fill_up(small_volume)
    reopened = await open_journal(state=type(keys)(), backend=SqliteBackend(f"{small_volume}/d", ballast_bytes=2 * MIB))
    assert reopened.head == journal.head


async def test_d7_decision_16_a_start_with_no_free_byte_and_a_large_log_reads_and_drains(
    small_volume: str, open_journal: Any
) -> None:
    """The checkpoint at start does not fit, which is no reason not to start; it is made up for when there is space."""
    directory = f"{small_volume}/d"
    backend = SqliteBackend(directory, ballast_bytes=0, checkpoint_wal_bytes=1 << 40, checkpoint_idle_bytes=1 << 40)
    journal = await open_journal(backend=backend)
    for _ in range(45):
        await journal.submit(put(bytes(100_000)))
    head = journal.head
    await journal.close()
    assert os.path.getsize(f"{directory}/{file_name(1)}-wal") > 4 * MIB
    hog = fill_up(small_volume)
    backend = SqliteBackend(directory, ballast_bytes=0)
    reopened = await open_journal(backend=backend)
    assert reopened.head == head
    assert backend.checkpoint_failed
    assert await reopened.verify() == 45
    os.unlink(hog)
    await until(lambda: not backend.checkpoint_failed)
    await reopened.submit(put(b"after"))
    assert await reopened.verify() == 46


class Narrow(RealDisk):
    """A disk that says how much is free, and can fail."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.fails: list[OSError] = []

    def free_bytes(self, path: str) -> int:
        if self.fails:
            raise self.fails.pop()
        return self.free


def test_the_ballast_is_taken_only_with_twice_its_size_free(tmp_path: Any) -> None:
    """Less would put the volume back on the brink."""
    disk = Narrow(free=MIB)
    ballast = Ballast(disk, str(tmp_path), MIB)
    ballast.restore()
    assert not (tmp_path / BALLAST_NAME).exists()
    disk.free = 2 * MIB
    ballast.restore()
    assert (tmp_path / BALLAST_NAME).stat().st_size == MIB
    assert (tmp_path / BALLAST_NAME).stat().st_blocks * 512 >= MIB, "thin volumes give space only to written bytes"
    ballast.release()
    ballast.release()
    assert not (tmp_path / BALLAST_NAME).exists()


def test_half_a_ballast_is_made_whole(tmp_path: Any) -> None:
    """A cut while it was written leaves a short file."""
    (tmp_path / BALLAST_NAME).write_bytes(b"short")
    ballast = Ballast(Narrow(free=4 * MIB), str(tmp_path), MIB)
    ballast.restore()
    assert (tmp_path / BALLAST_NAME).stat().st_size == MIB


def test_settling_raises_nothing_when_the_ballast_cannot_be_written(
    directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A ballast is a convenience: an I/O error there is reported once, and the journal goes on without it."""
    disk = Narrow(free=4 * MIB)
    backend = SqliteBackend(directory, disk=disk, ballast_bytes=MIB)
    backend.open()
    disk.fails = [OSError(errno.EIO, "EIO")]
    backend.settle(idle=True)
    backend.settle(idle=True)
    assert caplog.text.count("ballast could not be written") == 1
    backend.close()
