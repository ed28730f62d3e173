"""The simulator itself: what it keeps, what it loses, and that SQLite behaves on it as on a disk."""

import random
from typing import Any

import apsw
import pytest

from journal.disk import Disk, RealDisk

from .simulated_disk import PowerCut, SimulatedDisk, Volume
from .simulated_vfs import SimulatedVfs
from .storage import SECTOR_BYTES, STYLES, FailedSync, MakeDirectory, Storage, SyncDirectory, Write, damaged


def fresh() -> SimulatedDisk:
    return SimulatedDisk(Volume(Storage()))


def cut(disk: SimulatedDisk, seed: int = 0) -> SimulatedDisk:
    return SimulatedDisk(Volume(disk.volume.storage.after_power_cut(random.Random(seed))))


def read(disk: SimulatedDisk, path: str) -> bytes:
    return disk.open(path).pread(1 << 20, 0)


@pytest.mark.parametrize("real", [True, False])
def test_the_simulated_disk_behaves_as_the_real_one(tmp_path: Any, *, real: bool) -> None:
    """As long as the power stays on, nobody can tell them apart."""
    disk: Disk = RealDisk() if real else fresh()
    base = str(tmp_path) if real else "/base"
    disk.make_directory(f"{base}/a/b")
    disk.make_directory(f"{base}/a/b")
    file = disk.create(f"{base}/a/b/f")
    file.pwrite(b"hello", 3)
    assert file.pread(100, 0) == b"\0\0\0hello"
    assert file.pread(2, 100) == b""
    file.sync()
    disk.sync_directory(f"{base}/a/b")
    with pytest.raises(FileExistsError):
        disk.create(f"{base}/a/b/f")
    disk.create(f"{base}/a/b/g").close()
    disk.rename(f"{base}/a/b/f", f"{base}/a/b/g")
    file.pwrite(b"HE", 3)
    file.close()
    assert disk.size_bytes(f"{base}/a/b/g") == 8
    assert disk.open(f"{base}/a/b/g").pread(100, 0) == b"\0\0\0HEllo"
    assert disk.names(f"{base}/a/b") == ["g"]
    assert disk.exists(f"{base}/a")
    disk.unlink(f"{base}/a/b/g")
    for missing in (disk.open, disk.unlink, disk.size_bytes):
        with pytest.raises(FileNotFoundError):
            missing(f"{base}/a/b/g")
    lock = disk.lock(f"{base}/lock")
    assert lock is not None
    assert disk.lock(f"{base}/lock") is None
    lock.close()
    assert disk.lock(f"{base}/lock") is not None
    assert disk.free_bytes(base) > 0


def test_synced_bytes_under_a_synced_name_survive_every_cut() -> None:
    """Whatever the draw."""
    disk = fresh()
    file = disk.create("/f")
    file.pwrite(bytes(range(256)) * 10, 0)
    file.sync()
    disk.sync_directory("/")
    for seed in range(200):
        assert read(cut(disk, seed), "/f") == bytes(range(256)) * 10


def test_unsynced_bytes_and_names_are_sometimes_lost() -> None:
    """Each of them, independently of the other."""
    disk = fresh()
    disk.create("/named").pwrite(b"data", 0)
    disk.sync_directory("/")
    file = disk.create("/nameless")
    file.pwrite(b"data", 0)
    file.sync()
    named = {read(cut(disk, seed), "/named") for seed in range(200)}
    assert {b"", b"data", b"\0\0\0\0"} <= named
    assert {cut(disk, seed).exists("/nameless") for seed in range(200)} == {True, False}


def test_a_directory_is_lost_with_everything_in_it() -> None:
    """A file cannot be reached through a directory whose own name was not synced."""
    disk = SimulatedDisk(Volume(Storage()))
    disk.volume.perform(MakeDirectory("/d"))
    file = disk.create("/d/f")
    file.pwrite(b"data", 0)
    file.sync()
    disk.sync_directory("/d")
    assert {cut(disk, seed).exists("/d/f") for seed in range(100)} == {True, False}
    disk.sync_directory("/")
    assert all(cut(disk, seed).exists("/d/f") for seed in range(100))


def test_directory_operations_are_kept_or_lost_one_by_one() -> None:
    """A rename may survive without the create before it, and the other way round."""
    disk = fresh()
    disk.create("/old")
    disk.sync_directory("/")
    disk.rename("/old", "/new")
    disk.create("/other")
    found = {
        (after.exists("/old"), after.exists("/new"), after.exists("/other"))
        for seed in range(200)
        if (after := cut(disk, seed))
    }
    assert found == {(True, False, False), (True, False, True), (False, True, False), (False, True, True)}


def test_after_a_failed_sync_the_kernel_shows_what_no_later_sync_writes() -> None:
    """The bytes can be read, a second sync succeeds, and a power cut takes them; written again, they stay."""
    disk = SimulatedDisk(Volume(Storage(), eio_at=3))
    file = disk.create("/f")
    disk.sync_directory("/")
    file.pwrite(b"data", 0)
    with pytest.raises(OSError, match="simulated"):
        file.sync()
    assert file.pread(4, 0) == b"data"
    file.sync()
    lost = SimulatedDisk(Volume(Storage()))
    lost.volume.storage = disk.volume.storage_at(3)
    lost.volume.storage.apply(FailedSync(1, seed=0))
    assert lost.volume.storage.kept_files[1] == b""
    assert {read(cut(lost, seed), "/f") for seed in range(50)} == {b""}
    file.pwrite(b"data", 0)
    file.sync()
    assert {read(cut(disk, seed), "/f") for seed in range(50)} == {b"data"}


@pytest.mark.parametrize("style", STYLES)
def test_a_damage_stays_within_what_was_not_synced(style: str) -> None:
    """Bytes outside the unsynced writes are what they were, whichever way the rest is torn."""
    durable = bytearray(b"\xaa" * 4000)
    waiting: list[Any] = [Write(1, 1000, b"\x01" * 700), Write(1, 3000, b"\x02" * 2000)]
    results = set()
    for seed in range(100):
        after = bytes(damaged(durable[:], waiting, style, random.Random(seed)))
        assert after[:1000] == b"\xaa" * 1000
        assert after[1700:3000] == b"\xaa" * 1300
        assert len(after) <= 5000
        results.add(after)
    assert len(results) == 1 if style in {"drop", "keep"} else len(results) > 2


def test_writes_are_torn_at_sector_boundaries() -> None:
    """The unit of a torn write is a sector of the file."""
    durable = bytearray(4 * SECTOR_BYTES)
    write = Write(1, 100, b"\x01" * 1500)
    for seed in range(50):
        after = damaged(durable[:], [write], "torn", random.Random(seed))
        for start in range(0, 4 * SECTOR_BYTES, SECTOR_BYTES):
            sector = after[max(start, 100) : min(start + SECTOR_BYTES, 1600)]
            assert len(set(sector)) <= 1


def test_nothing_goes_on_after_the_cut() -> None:
    """Every further I/O raises, also through SQLite, whose error is the cut itself."""
    with SimulatedVfs() as vfs:
        vfs.volume = Volume(Storage(), cut_at=5)
        connection = apsw.Connection("/db", vfs=vfs.name)
        with pytest.raises(PowerCut):
            connection.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        with pytest.raises(PowerCut):
            SimulatedDisk(vfs.volume).create("/f")
        assert vfs.volume.index == 5
        connection.close()


def test_a_replayed_record_is_the_volume_as_it_was() -> None:
    """`storage_at` and `history` agree with what really happened, at every index."""
    volume = Volume(Storage())
    disk = SimulatedDisk(volume)
    disk.make_directory("/d")
    file = disk.create("/d/f")
    file.pwrite(b"one", 0)
    file.sync()
    disk.rename("/d/f", "/d/g")
    file.pwrite(b"two", 1)
    for index, storage in volume.history():
        again = volume.storage_at(index)
        assert vars(again) == vars(storage)
    assert vars(volume.storage_at(volume.index)) == vars(volume.storage)


def test_sqlite_syncs_the_directory_of_its_log_but_not_of_its_database() -> None:
    """As unixSync does: after the first sync of a log that was opened for creation, once."""
    with SimulatedVfs() as vfs:
        vfs.volume = Volume(Storage())
        connection = apsw.Connection("/db", vfs=vfs.name)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        before = vfs.volume.log.count(SyncDirectory("/"))
        connection.execute("PRAGMA synchronous=FULL; CREATE TABLE t(x)")
        connection.execute("INSERT INTO t VALUES (1)")
        assert vfs.volume.log.count(SyncDirectory("/")) == before + 1
        connection.close()
