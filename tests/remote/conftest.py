"""Remotes to talk to: moto's server, and servers that misbehave on purpose."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from s3d.remote.client import AiobotocoreRemote
from s3d.remote.process import ProcessRemote
from s3d.remote.settings import RemoteSettings

AnyRemote = AiobotocoreRemote | ProcessRemote
FORMS: dict[str, type[AiobotocoreRemote] | type[ProcessRemote]] = {
    "inside": AiobotocoreRemote,
    "process": ProcessRemote,
}
both_forms = pytest.mark.parametrize("form", FORMS, indirect=True)
_chosen = ["inside"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_buckets = itertools.count()


@pytest.fixture(autouse=True)
def form(request: pytest.FixtureRequest) -> str:
    """The form that `remote_at` makes; a process takes most of a second to start, so only some tests ask for both."""
    _chosen[0] = getattr(request, "param", "inside")
    return _chosen[0]


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def settings_for(url: str, **changes: object) -> RemoteSettings:
    values = {"access_key": "AKIAEXAMPLE", "secret_key": "secret", "read_timeout_seconds": 20.0} | changes
    return RemoteSettings(url, **values)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def remote_at(url: str, **changes: object) -> AsyncIterator[AnyRemote]:
    remote = FORMS[_chosen[0]](settings_for(url, **changes))
    try:
        yield remote
    finally:
        await remote.close()


@pytest.fixture
async def moto(moto_url: str, form: str) -> AsyncIterator[AnyRemote]:
    async with remote_at(moto_url) as remote:
        yield remote


@pytest.fixture
async def bucket(moto: AnyRemote) -> str:
    name = f"bucket-{next(_buckets)}"
    await moto.call("CreateBucket", {"Bucket": name})
    return name


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A TCP server on a free port; its URL."""

    connections: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            connections.discard(task)

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        remaining = list(connections)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], int]:
    """One request: its first line, its headers and how many bytes of body followed, which are dropped."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    left = length = int(headers.get("content-length", 0))
    while left:
        chunk = await reader.read(min(left, 65536))
        if not chunk:
            break
        left -= len(chunk)
    return first, headers, length - left


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A response with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
