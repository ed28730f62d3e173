"""A daemon in this process whose remote hangs, refuses, or is another one next time: what a stop makes of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from remote.conftest import answer, error, read_request, server

from s3d.app.daemon import Daemon
from s3d.app.farewell import EXIT_DONE, EXIT_PENDING
from s3d.auth.keys import SecretKey
from s3d.config import load
from s3d.config.remotes import RemoteSettings
from s3d.config.settings import Settings
from s3d.policy.bucket_map import MappedBucket

NO_BUCKETS = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
Respond = Callable[[str], Awaitable[bytes]]  # to the request for an object, by its first line


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    anywhere = "http://127.0.0.1:0"
    return load({"data_dir": str(tmp_path / "data"), "listen": anywhere, "admin.listen": anywhere}, {}, None)


@contextlib.asynccontextmanager
async def remote(settings: Settings, respond: Respond) -> AsyncIterator[Settings]:
    """The settings of a daemon before a remote that takes buckets, has one, and asks `respond` about objects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, _, _ = await read_request(reader)
            method, target, _ = first.split(" ")
            if method == "PUT" and target.partition("?")[0].count("/") > 1:
                writer.write(await respond(target))
            elif method == "HEAD" and target != "/company":
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(answer("200 OK", NO_BUCKETS if method == "GET" and target.startswith("/?") else b""))

    async with server(serve) as url:
        to = RemoteSettings(endpoint=url, access_key="any", secret_key=SecretKey("any"), sender="inside")
        yield msgspec.structs.replace(settings, remote=to)


async def put(daemon: Daemon, target: str, body: bytes = b"") -> None:
    """One unsigned PUT, which has to succeed."""
    host, _, port = daemon._door.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_s6_whoever_asks_twice_does_not_wait_for_the_remote(settings):
    """The first signal waits for what is under way, for an hour here; the second one ends that, with exit code 3."""
    asked = asyncio.Event()

    async def hang(_: str) -> bytes:
        asked.set()
        await asyncio.sleep(3600)
        return b""

    async with remote(settings, hang) as patient:
        waits = msgspec.structs.replace(settings.shutdown, drain_seconds=3600.0)
        daemon = Daemon(msgspec.structs.replace(patient, shutdown=waits))
        await daemon.start(lambda: None)
        await put(daemon, "/bucket")
        await put(daemon, "/bucket/key", b"x")
        await asyncio.wait_for(asked.wait(), 60)
        stopping = asyncio.create_task(daemon.stop())
        await until(lambda: daemon._draining is not None)
        assert not stopping.done()
        daemon.hurry()
        assert await asyncio.wait_for(stopping, 60) == EXIT_PENDING


async def test_s7_what_was_refused_is_still_told_after_a_restart(settings):
    """Which record, and what the remote said of it, from the journal."""

    async def refuse(_: str) -> bytes:
        return answer("403 Forbidden", error("AccessDenied"))

    async with remote(settings, refuse) as refused:
        daemon = Daemon(refused)
        await daemon.start(lambda: None)
        await put(daemon, "/bucket")
        await put(daemon, "/bucket/key", b"x")
        async with asyncio.timeout(60):
            while not await daemon._standing.parked(0, 9):
                await asyncio.sleep(0.01)
        assert await daemon.stop() == EXIT_PENDING
    again = Daemon(settings)
    await again.start(lambda: None)
    (row,) = await again._standing.parked(0, 9)
    assert (row.sequence, row.key, row.code, row.message) == (2, "key", "AccessDenied", "no")
    await again.stop()


@pytest.mark.parametrize(
    ("map_to", "place"),
    [
        ((), "/bucket"),
        ((MappedBucket(name="*", remote_bucket="company", prefix="site-7/{bucket}/"),), "/company/site-7/bucket"),
    ],
)
async def test_s11_what_waits_goes_where_the_next_configuration_says(settings, map_to, place):
    """Written without any remote; then one is configured, or one and a map of buckets, and has all of it."""
    daemon = Daemon(settings)
    await daemon.start(lambda: None)
    await put(daemon, "/bucket")
    for number in range(3):
        await put(daemon, f"/bucket/{number}", b"x")
    assert await daemon.stop() == EXIT_DONE, "where there is no remote, nothing is left to do"
    arrived = []

    async def take(target: str) -> bytes:
        arrived.append(target.partition("?")[0])
        return answer("200 OK", b"", 'ETag: "9dd4e461268c8034f5c8564e155c67a6"')

    async with remote(settings, take) as configured:
        again = Daemon(msgspec.structs.replace(configured, buckets=map_to))
        await again.start(lambda: None)
        await until(lambda: len(arrived) == 3)
        assert await again.stop() == EXIT_DONE
    assert sorted(arrived) == [f"{place}/{number}" for number in range(3)]
