"""A body that is held back: no byte leaves before the flow lets it, in either form of the remote."""

import asyncio
from pathlib import Path

import pytest

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, FileSlice

from .conftest import answer, both_forms, remote_at, server

SIZE, PORTION = 300_000, 10_000


class Valve:
    """Implements `Flow`: lets portions through one by one, when it is turned."""

    portion_bytes = PORTION

    def __init__(self) -> None:
        self.granted = 0
        self.told: list[int] = []
        self._turned = asyncio.Semaphore(0)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self._turned.release()

    def sent(self, total_bytes: int) -> None:
        self.told.append(total_bytes)

    async def take(self, size_bytes: int) -> None:
        assert size_bytes <= PORTION
        await self._turned.acquire()
        self.granted += size_bytes


class Reader:
    """A remote that counts what arrives of a body."""

    def __init__(self) -> None:
        self.arrived = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while self.arrived < SIZE:
            self.arrived += len(await reader.read(65536))
        writer.write(answer("200 OK", b"", 'ETag: "e"'))


def body_in(path: Path) -> Content:
    path.write_bytes(b"x" * SIZE)
    return Content((FileSlice(str(path), 0, SIZE),), SIZE)


@both_forms
async def test_it_leaves_in_portions_as_it_is_let(tmp_path: Path) -> None:
    """What has arrived is never more than what was granted, and in the end it is everything."""
    valve, reader = Valve(), Reader()
    async with server(reader) as url, remote_at(url) as remote:
        call = asyncio.create_task(
            remote.call("PutObject", {"Bucket": "b", "Key": "k"}, body_in(tmp_path / "body"), valve)
        )
        for turns in range(1, SIZE // PORTION + 1):
            valve.turn()
            while reader.arrived < turns * PORTION:
                assert not call.done() or await call
                await asyncio.sleep(0.001)
            assert reader.arrived <= valve.granted == turns * PORTION
        assert (await call)["ETag"] == '"e"'
        assert valve.told
        assert all(0 < one <= SIZE and not one % PORTION for one in valve.told)


@both_forms
async def test_waiting_for_our_own_flow_is_no_stall(tmp_path: Path) -> None:
    """A rate that is slower than the remote's patience is not: the timeout counts what the remote does."""
    valve, reader = Valve(), Reader()
    async with server(reader) as url, remote_at(url, read_timeout_seconds=2.0) as remote:
        call = asyncio.create_task(
            remote.call("PutObject", {"Bucket": "b", "Key": "k"}, body_in(tmp_path / "body"), valve)
        )
        await asyncio.sleep(2.5)
        assert not call.done()
        valve.turn(SIZE // PORTION)
        await call


async def test_a_remote_that_hangs_up_in_the_middle_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """Not of the body: it may be sent again, and a portion that nobody waits for any more changes nothing."""

    class Deaf:
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.2)
            writer.close()

    valve = Valve()
    valve.turn(2)
    async with server(Deaf()) as url, remote_at(url) as remote:
        with pytest.raises(RemoteFailure) as caught:
            await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, body_in(tmp_path / "body"), valve)
    assert caught.value.kind is not FailureKind.PERMANENT
