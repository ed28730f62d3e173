"""A disk that fails while a body is written: the upload fails, the file is given up, and nothing is synced twice."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from aiohttp import StreamReader

from journal.disk import RealDisk, RealFile
from s3d.auth.payload import Unsigned
from s3d.blobs.checks import BlobChecks
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.checksums import BodyClaims
from s3d.errors import S3Error
from s3d.http.body import RequestBody
from s3d.values import BlobBytes

BODY = bytes(700_000)


class BadDisk(RealDisk):
    """Fails the first call of one kind, with one error, and counts all of them."""

    def __init__(self) -> None:
        self.fails = ""
        self.code = errno.EIO
        self.calls: list[str] = []

    def create(self, path: str) -> "BadFile":
        self.called("create")
        return BadFile(super().create(path).descriptor, self)

    def open(self, path: str) -> "BadFile":
        return BadFile(super().open(path).descriptor, self)

    def sync_directory(self, path: str) -> None:
        self.called("sync directory")
        super().sync_directory(path)

    def called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails:
            self.fails = ""
            raise OSError(self.code, os.strerror(self.code))


class BadFile(RealFile):
    def __init__(self, descriptor: int, disk: BadDisk) -> None:
        super().__init__(descriptor)
        self._disk = disk

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        self._disk.called("write")
        super().pwrite(data, offset)

    def pread(self, size_bytes: int, offset: int) -> bytes:
        self._disk.called("read")
        return super().pread(size_bytes, offset)

    def sync(self) -> None:
        self._disk.called("sync")
        super().sync()


@pytest.fixture
def disk() -> BadDisk:
    return BadDisk()


@pytest.fixture
def pool(disk: BadDisk, tmp_path: Path) -> Iterator[BlobPool]:
    files = BlobFiles(disk, str(tmp_path / "blobs"))
    files.prepare()
    disk.calls.clear()
    made = BlobPool(files, 2)
    yield made
    made.close()


def upload(pool: BlobPool) -> RequestBody:
    """A body of 700,000 bytes that has arrived."""
    reader = StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    reader.feed_data(BODY)
    reader.feed_eof()
    claims = BodyClaims(content_length=len(BODY))
    return RequestBody(
        reader, Unsigned(), claims, pool, inline_bytes_max=1000, object_bytes_max=2**30, continue_to=None
    )


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (errno.EIO, "InternalError"),
        (errno.EROFS, "InternalError"),
        (errno.EMFILE, "InternalError"),
        (errno.EFBIG, "InternalError"),
        (errno.ENOSPC, "SlowDown"),
        (errno.EDQUOT, "SlowDown"),
    ],
)
@pytest.mark.parametrize("call", ["create", "write", "sync", "sync directory"])
async def test_i1_d1_d6_an_error_at_any_step_fails_the_upload_and_leaves_nothing(
    pool: BlobPool, disk: BadDisk, call: str, code: int, answer: str
) -> None:
    """5xx, no file, no pin; after a failed sync there is never a second one; the next upload is sound."""
    disk.fails, disk.code = call, code
    body = upload(pool)
    with pytest.raises(S3Error) as raised:
        await body.receive()
    body.close()
    assert raised.value.code == answer
    assert pool.files.ids() == []
    assert not pool._pins
    if call.startswith("sync"):
        assert disk.calls.count(call) == 1
        assert disk.calls[-1] == call, "the file was given up, not written or synced again"
    received = await upload(pool).receive()
    assert await BlobChecks(pool, mock.Mock()).are_sound(received.extents)


async def test_i4_a_blob_that_cannot_be_read_is_damaged_and_one_that_cannot_be_opened_now_is_not(
    pool: BlobPool, disk: BadDisk
) -> None:
    """EIO says something of the blob; "too many open files" is a 503, and forgotten."""
    received = await upload(pool).receive()
    told = mock.Mock()
    disk.fails, disk.code = "read", errno.EMFILE
    checks = BlobChecks(pool, told)
    with pytest.raises(S3Error, match="cannot be read now"):
        await checks.are_sound(received.extents)
    assert await checks.are_sound(received.extents)
    disk.fails, disk.code = "read", errno.EIO
    checks = BlobChecks(pool, told)
    assert not await checks.are_sound(received.extents)
    assert not await checks.are_sound(received.extents), "the disk is not asked again"
    assert checks.has_damage(received.extents)
    assert told.call_count == 1


async def test_many_readers_of_one_blob_wait_for_one_reading(pool: BlobPool, disk: BadDisk) -> None:
    """And what was read once is not read again."""
    received = await upload(pool).receive()
    checks = BlobChecks(pool, mock.Mock())
    disk.calls.clear()
    assert all(await asyncio.gather(*(checks.are_sound(received.extents) for _ in range(20))))
    reads = disk.calls.count("read")
    assert reads == 2, "the body, in one piece, and its seal"
    assert await checks.are_sound(received.extents)
    assert disk.calls.count("read") == reads
    assert not await checks.are_sound((BlobBytes("0" * 32, 0, 1),)), "a blob that is gone is damaged"
