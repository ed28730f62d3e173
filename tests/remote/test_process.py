"""The sender as a process: it dies, hangs, is orphaned and is ended, and nobody waits for ever or is told a lie."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from s3d.remote import process
from s3d.remote.conversation import Conversation, SenderBug
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.frames import WINDOW, Broken, Cutter, ToSender
from s3d.remote.process import ProcessRemote, restart_pause
from s3d.remote.seam import Content

from .conftest import answer, read_request, server, settings_for

PUT = ("PutObject", {"Bucket": "b", "Key": "k"}, Content((b"x",), 1))


@contextlib.asynccontextmanager
async def process_at(url: str, **changes: object) -> AsyncIterator[ProcessRemote]:
    remote = ProcessRemote(settings_for(url, **changes))
    try:
        yield remote
    finally:
        await remote.close()


async def put(remote: ProcessRemote) -> None:
    await remote.call(*PUT)


async def put_until_it_fails(remote: ProcessRemote) -> None:
    while True:
        await put(remote)
        await asyncio.sleep(0)


async def failure_of(work: "asyncio.Task[None]") -> RemoteFailure:
    with pytest.raises(RemoteFailure) as caught:
        await work
    return caught.value


def is_gone(pid: int) -> bool:
    """Whether no such process is there, not even as a zombie of ours."""
    return not Path(f"/proc/{pid}").exists()


async def gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        await asyncio.sleep(0.01)


class Holding:
    """A remote that takes requests and answers when it is let."""

    def __init__(self) -> None:
        self.requests = 0
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            self.requests += 1
            self.arrived.set()
            await self.go_on.wait()
            writer.write(answer("200 OK", b"", 'ETag: "e"'))


async def test_a_sender_that_is_killed_leaves_its_calls_ambiguous_and_is_replaced() -> None:
    """What was under way may have taken effect; the next call goes through a new process, without a pause."""
    died: list[int] = []
    holding = Holding()
    async with server(holding) as url:
        remote = ProcessRemote(settings_for(url), died=lambda: died.append(1))
        calls = [asyncio.create_task(put(remote)) for _ in range(5)]
        await holding.arrived.wait()
        first = remote.pid
        os.kill(first, signal.SIGKILL)
        failures = [await failure_of(call) for call in calls]
        assert {(failure.kind, failure.code) for failure in failures} == {(FailureKind.AMBIGUOUS, "SenderDied")}
        holding.go_on.set()
        await put(remote)
        assert remote.pid not in {0, first}
        assert (remote.restarts, died) == (1, [1])
        second = remote.pid
        await remote.close()
        assert is_gone(first)
        assert is_gone(second)


async def test_a_sender_that_dies_again_and_again_is_given_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pause nothing is sent, so the call fails as unreachable, at once; afterwards it works again."""
    holding = Holding()
    holding.go_on.set()
    monkeypatch.setattr(process, "PAUSE_SECONDS_FIRST", 1.0)
    async with server(holding) as url, process_at(url) as remote:
        for _ in range(2):
            await put(remote)
            os.kill(remote.pid, signal.SIGKILL)
            await gone(remote.pid)
        assert (await failure_of(asyncio.create_task(put_until_it_fails(remote)))).link_down
        while remote.restarts < 2 or remote.pid == 0:
            await asyncio.sleep(0.01)
        await put(remote)


def test_pauses_double_up_to_a_bound() -> None:
    """None after the first death, so that a single kill is hardly noticed."""
    assert [restart_pause(deaths) for deaths in (1, 2, 3, 4, 8, 9, 1000)] == [0, 0.5, 1, 2, 30, 30, 30]


async def test_a_sender_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is stopped answers no ping; its calls end, and another one takes over."""
    monkeypatch.setattr(process, "LISTEN_SECONDS", 0.3)
    monkeypatch.setattr(process, "END_SECONDS", 0.1)
    holding = Holding()
    holding.go_on.set()
    async with server(holding) as url, process_at(url) as remote:
        monkeypatch.setattr(process, "SILENCES_MAX", 1000)
        await put(remote)
        monkeypatch.setattr(process, "SILENCES_MAX", 3)
        stopped = remote.pid
        os.kill(stopped, signal.SIGSTOP)
        assert (await failure_of(asyncio.create_task(put(remote)))).kind is FailureKind.AMBIGUOUS
        await gone(stopped)
        monkeypatch.setattr(process, "SILENCES_MAX", 1000)
        await put(remote)


async def test_signals_to_the_whole_group_are_the_daemons_business() -> None:
    """Ctrl-C and a service manager's SIGTERM reach the sender too, and the daemon still wants to drain."""
    holding = Holding()
    holding.go_on.set()
    async with server(holding) as url, process_at(url) as remote:
        await put(remote)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(remote.pid, number)
        await put(remote)
        assert remote.restarts == 0


async def test_what_it_takes_of_the_memory_can_be_asked() -> None:
    """For the metrics: tens of megabytes while it runs, nothing afterwards."""
    holding = Holding()
    holding.go_on.set()
    async with server(holding) as url, process_at(url) as remote:
        assert remote.resident_bytes == 0
        await put(remote)
        assert 20_000_000 < remote.resident_bytes < 100_000_000
        await remote.close()
        assert remote.resident_bytes == 0


async def test_where_memory_runs_out_the_sender_goes_first() -> None:
    """It can be replaced; the daemon has clients."""
    holding = Holding()
    holding.go_on.set()
    async with server(holding) as url, process_at(url) as remote:
        await put(remote)
        assert int(Path(f"/proc/{remote.pid}/oom_score_adj").read_text()) >= 500


async def test_a_cancelled_call_is_cancelled_over_there() -> None:
    """Whoever stops waiting frees the connection: the sender hangs up instead of waiting for the answer."""
    arrived, hung_up = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()
        hung_up.set()

    async with server(silent) as url, process_at(url) as remote:
        call = asyncio.create_task(put(remote))
        await arrived.wait()
        call.cancel()
        await asyncio.wait_for(hung_up.wait(), 60)


async def test_a_stream_never_runs_far_ahead_of_its_reader() -> None:
    """However fast the remote is, a few chunks wait in memory, and all of them arrive in order."""
    size = 24 * 1024 * 1024
    body = b"".join(number.to_bytes(4, "big") for number in range(size // 4))

    async def big(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer("200 OK", body))

    async with server(big) as url, process_at(url) as remote:
        stream = await remote.open("GetObject", {"Bucket": "b", "Key": "k"})
        most, received = 0, bytearray()
        async for chunk in stream.chunks():
            received += chunk
            await asyncio.sleep(0.002)
            most = max(most, len(stream._arrived))  # type: ignore[attr-defined]
        assert received == body
        assert most <= WINDOW
        await stream.close()


async def test_a_stream_that_is_closed_early_lets_go_of_the_connection() -> None:
    """A reader that went away stops the transfer; the next request is served."""
    hung_up = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nbegin")
        await reader.read()
        hung_up.set()

    async with server(endless) as url, process_at(url) as remote:
        stream = await remote.open("GetObject", {"Bucket": "b", "Key": "k"})
        assert await anext(stream.chunks()) == b"begin"
        await stream.close()
        await asyncio.wait_for(hung_up.wait(), 60)


async def test_a_stream_of_a_sender_that_died_breaks_off() -> None:
    """Half a body is never a whole one."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
        await asyncio.sleep(30)

    async with server(half) as url, process_at(url) as remote:
        stream = await remote.open("GetObject", {"Bucket": "b", "Key": "k"})
        chunks = stream.chunks()
        assert await anext(chunks) == b"begin"
        os.kill(remote.pid, signal.SIGKILL)
        with pytest.raises(RemoteFailure) as caught:
            await anext(chunks)
        assert caught.value.kind is FailureKind.AMBIGUOUS


async def test_secrets_are_neither_in_arguments_nor_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both can be read by others; the key goes over the socket. The daemon's own settings are not passed on."""
    monkeypatch.setenv("S3D_SECRET_KEY", "the-listeners-own-key")
    async with process_at("http://127.0.0.1:1", secret_key="no-one-may-see-this") as remote:
        await remote.start()
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{remote.pid}/{name}").read_bytes()
            assert b"no-one-may-see-this" not in text
            assert b"the-listeners-own-key" not in text


async def test_a_bug_in_the_sender_is_a_bug_here() -> None:
    """What is no failure of the remote must not be retried as one: it is raised, with the traceback."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    conversation = await Conversation.over(ours)
    loop = asyncio.get_running_loop()
    call = asyncio.create_task(conversation.call(*PUT))
    (asked,) = Cutter(ToSender).feed(await loop.sock_recv(theirs, 65536))
    broken = msgspec.msgpack.encode(Broken(asked.call, "Traceback: a bug"))
    await loop.sock_sendall(theirs, len(broken).to_bytes(4, "big") + broken)
    with pytest.raises(SenderBug, match="Traceback"):
        await call
    conversation.close()
    theirs.close()


async def test_a_sender_of_another_version_refuses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The package was replaced under a running daemon: the two might misunderstand each other; it says so and ends."""
    monkeypatch.setattr(process, "__version__", "0.0.1")
    async with process_at("http://127.0.0.1:1") as remote:
        assert (await failure_of(asyncio.create_task(put(remote)))).kind is FailureKind.AMBIGUOUS
        while not remote.restarts:
            await asyncio.sleep(0.01)
    assert "restart the daemon" in caplog.text


async def test_a_daemon_that_is_killed_takes_its_sender_with_it() -> None:
    """The socket ends, and so does the process, in the middle of a request."""
    holding = Holding()
    program = (
        "import asyncio\n"
        "from s3d.remote.process import ProcessRemote\n"
        "from s3d.remote.seam import Content\n"
        "from s3d.remote.settings import RemoteSettings\n"
        "async def main(url):\n"
        "    remote = ProcessRemote(RemoteSettings(url, access_key='a', secret_key='s'))\n"
        "    await remote.start()\n"
        "    print(remote.pid, flush=True)\n"
        "    await remote.call('PutObject', {'Bucket': 'b', 'Key': 'k'}, Content((b'x',), 1))\n"
        "import sys\n"
        "asyncio.run(main(sys.argv[1]))\n"
    )
    async with server(holding) as url:
        daemon = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE)
        assert daemon.stdout is not None
        sender = int(await asyncio.to_thread(daemon.stdout.readline))
        await holding.arrived.wait()
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()
        await gone(sender)
