"""Blob files: durable before they are named, gone when nothing needs them, and never gone before."""

import asyncio
import errno
import os

import pytest

from journal.disk import RealDisk
from s3d.blobs.collect import collect
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.values import BlobBytes, RowBytes


class Recorder(RealDisk):
    """A real disk that writes down what was asked of it, and can be full."""

    def __init__(self):
        self.calls = []
        self.fails = set()

    def create(self, path):
        self._called("create")
        file = super().create(path)
        record = self._called

        class File(type(file)):
            def pwrite(self, data, offset):
                record("write")
                super().pwrite(data, offset)

            def sync(self):
                record("sync")
                super().sync()

        return File(file.descriptor)

    def sync_directory(self, path):
        self._called("sync directory")
        super().sync_directory(path)

    def _called(self, name):
        self.calls.append(name)
        if name in self.fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk():
    return Recorder()


@pytest.fixture
def files(disk, tmp_path):
    made = BlobFiles(disk, str(tmp_path / "blobs"))
    made.prepare()
    disk.calls.clear()
    return made


@pytest.fixture
def pool(files):
    made = BlobPool(files, 2)
    yield made
    made.close()


def written(files, data=b"data"):
    writer = files.create()
    writer.write(data)
    writer.finish()
    return writer.id


def test_invariant_1_bytes_then_name_are_synced(files, disk):
    """The file's data first, then the directory that names it; only then may a record name the blob."""
    blob = written(files)
    assert disk.calls == ["create", "write", "write", "sync", "sync directory"]
    assert files.read(blob, 1, 2) == b"at"
    assert files.ids() == [blob]


def test_a_large_body_is_on_its_way_to_the_disk_before_its_end(files):
    """Every byte of it once and in order, but for what came last: then the sync has little to wait for."""
    writer, hastened = files.create(), []
    writer._file.hasten = lambda offset, size: hastened.append((offset, size))
    for _ in range(23):
        writer.write(b"x" * 1_000_000)
    writer.finish()
    at = 0
    for offset, size in hastened:
        assert offset == at
        assert size >= 4 * 1024 * 1024
        at += size
    assert 23_000_000 - at < 5 * 1024 * 1024


def test_hastened_bytes_are_the_same_bytes(files):
    """The call is a hint to the kernel, whatever it makes of it."""
    data = os.urandom(9 * 1024 * 1024)
    blob = written(files, data)
    files.check(blob)
    assert files.read_whole(blob) == data


def test_user_text_is_never_a_path(files):
    """An id is made here, and is nothing but hexadecimal digits."""
    blob = written(files)
    assert len(blob) == 32
    assert set(blob) <= set("0123456789abcdef")
    with pytest.raises(AssertionError):
        files.path("../../etc/passwd")


@pytest.mark.parametrize("call", ["write", "sync", "sync directory"])
def test_a_full_disk_leaves_nothing_after_abort(files, disk, call):
    """Whatever fails, abort removes the file."""
    writer = files.create()
    disk.fails.add(call)
    with pytest.raises(OSError, match="No space"):  # noqa: PT012 - either may be the one that fails
        writer.write(b"x")
        writer.finish()
    disk.fails.clear()
    writer.abort()
    assert files.ids() == []


def test_aborting_twice_and_removing_what_is_gone_are_fine(files):
    writer = files.create()
    writer.abort()
    writer.abort()
    files.remove(writer.id)


def test_a_short_file_reads_short(files):
    """Whoever reads compares the length: damage is not padded."""
    assert files.read(written(files, b"abc"), 0, 10) == b"abc"


async def test_decision_11_collect_takes_what_nobody_needs(pool, files):
    """Not what a record names, not what is pinned; the rest."""
    named, pinned, orphan = written(files), written(files), written(files)
    pool.pin(pinned)
    assert await collect(pool, {named}.__contains__) == 1
    assert sorted(files.ids()) == sorted([named, pinned])
    pool.release(pinned)
    assert await collect(pool, {named}.__contains__) == 1
    assert files.ids() == [named]
    assert orphan not in files.ids()


async def test_decision_11_a_blob_that_becomes_named_while_collecting_stays(pool, files):
    """The ids are listed first, each is looked up after that."""
    late = written(files)
    named = set()

    async def run(function, *arguments):
        found = function(*arguments)
        named.add(late)  # its record is published between the listing and the look
        return found

    pool.run = run
    assert await collect(pool, named.__contains__) == 0
    assert files.ids() == [late]


async def test_an_upload_is_pinned_from_its_first_moment(pool, files):
    """Before the file exists: the collector never sees it unpinned."""
    writer = await pool.create()
    assert pool.is_pinned(writer.id)
    assert await collect(pool, lambda _blob: False) == 0
    await pool.run(writer.abort)
    pool.release(writer.id)
    assert not pool.is_pinned(writer.id)


async def test_a_blob_that_cannot_be_made_is_not_pinned(pool, disk):
    disk.fails.add("create")
    with pytest.raises(OSError, match="No space"):
        await pool.create()
    assert not pool._pins


async def test_pins_count(pool):
    """Two readers of one blob: the first to finish does not let it go."""
    extents = (BlobBytes("a" * 32, 0, 1), RowBytes(1, 0, 1), BlobBytes("a" * 32, 1, 1))
    with pool.pinned(extents):
        with pool.pinned(extents):
            pass
        assert pool.is_pinned("a" * 32)
    assert not pool.is_pinned("a" * 32)


async def test_work_is_off_the_loop(pool):
    """A slow disk does not stop the loop."""
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow():
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return "done"

    running = asyncio.ensure_future(pool.run(slow))
    await asyncio.sleep(0)
    gate.set()
    assert await running == "done"


def test_a_start_that_finds_its_directories_syncs_their_names_once(tmp_path):
    """Not once for each of them: a start would take a second on a slow disk."""
    synced = []

    class Counting(RealDisk):
        def sync_directory(self, path):
            synced.append(path)
            super().sync_directory(path)

    BlobFiles(Counting(), str(tmp_path / "blobs")).prepare()
    synced.clear()
    BlobFiles(Counting(), str(tmp_path / "blobs")).prepare()
    assert synced.count(str(tmp_path / "blobs")) == 1
    assert len(synced) == 2
