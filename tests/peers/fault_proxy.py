"""A link that fails on demand: a TCP proxy between the daemon and its remote.

It works on bytes, not on mocks, so that the daemon's whole HTTP client takes part: connections that are refused, that
are accepted and never answered, that break after so many bytes, and, the nasty one, requests that arrive and are obeyed
while the answer is lost. It runs in a thread with an event loop of its own; the test says what happens next.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

PIECE_BYTES = 64 * 1024
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")


class FaultProxy:
    """`url` stands for the remote at `host:port`; every method may be called from the test's thread."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.silent = False
        self.cut_after_bytes: int | None = None
        self.lose: dict[bytes, int] = {}
        self.lost_answers = 0
        self.cuts = 0
        self.requests = 0
        self.answered_bytes = 0
        self.cut_answer_bytes: int | None = None
        self.restore()

    def refuse(self) -> None:
        """Connections are refused, and those that exist are reset."""
        self._do(self._refuse)

    def blackhole(self) -> None:
        """Connections are accepted, and nothing ever comes back: neither on them nor on those that exist."""
        self.silent = True

    def cut_once_after(self, size_bytes: int) -> None:
        """The next connection that carries so many bytes towards the remote is reset there, once."""
        self.cut_after_bytes = size_bytes

    def cut_answer_after(self, size_bytes: int) -> None:
        """The next connection on which so many bytes come back is reset there, once."""
        self.cut_answer_bytes = size_bytes

    def lose_answers(self, method: str, times: int) -> None:
        """So many requests with this method reach the remote, whose answers do not come back: a reset instead."""
        self.lose[method.encode()] = times

    def restore(self) -> None:
        """All is well again, at the same address. What was swallowed stays swallowed: its connections are reset."""
        self.silent, self.cut_after_bytes, self.cut_answer_bytes, self.lose = False, None, None, {}
        self._do(self._reset_silenced)
        self._do(self._listen)

    def close(self) -> None:
        """End the proxy and its thread."""
        self._do(self._refuse)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=PIECE_BYTES)

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            for listening in server.sockets:  # asyncio forgets a connection that is accepted while its server closes
                self._loop.remove_reader(listening.fileno())
            await asyncio.sleep(0.01)
            server.close()
        for connection in tuple(self._connections):
            connection.reset()
        while self._connections:
            await asyncio.sleep(0.001)

    async def _reset_silenced(self) -> None:
        for connection in tuple(self._connections):
            if connection.swallowed:
                connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(*self._upstream)
        finally:
            self._connections.discard(connection)


class _Connection:
    """One connection and its twin towards the remote."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._twin: asyncio.StreamWriter | None = None
        self._method = b""
        self._sent_bytes = 0
        self.swallowed = False

    async def run(self, host: str, port: int) -> None:
        """Until either side ends, or a fault ends both."""
        try:
            twin_reader, self._twin = await asyncio.open_connection(host, port, limit=PIECE_BYTES)
        except OSError:
            self.reset()
            return
        ways = (self._requests(self._reader, self._twin), self._answers(twin_reader, self._writer))
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in (self._writer, self._twin):
            writer.close()

    def reset(self) -> None:
        """Both sides at once, without a farewell."""
        for writer in (self._writer, self._twin):
            if writer is not None:
                writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await _piece(reader):
            if piece.startswith(METHODS):
                self._method = piece.split(b" ", 1)[0]
                self._sent_bytes = 0
                self._proxy.requests += 1
            self._sent_bytes += len(piece)
            limit = self._proxy.cut_after_bytes
            if limit is not None and self._sent_bytes >= limit:
                self._proxy.cut_after_bytes = None
                self._proxy.cuts += 1
                self.reset()
                return
            if self._proxy.silent:
                self.swallowed = True
            else:
                await _pass(writer, piece)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while piece := await _piece(reader):
            answered += len(piece)
            self._proxy.answered_bytes += len(piece)
            limit = self._proxy.cut_answer_bytes
            if limit is not None and answered >= limit:
                self._proxy.cut_answer_bytes = None
                self._proxy.cuts += 1
                self.reset()
                return
            if self._proxy.silent:
                self.swallowed = True
                continue
            interim = piece.startswith(b"HTTP/1.1 100")  # not an answer yet: the body is still to come
            if not interim and self._proxy.lose.get(self._method, 0) > 0:
                self._proxy.lose[self._method] -= 1
                self._proxy.lost_answers += 1
                self.reset()
                return
            await _pass(writer, piece)


async def _piece(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(PIECE_BYTES)
    except OSError:
        return b""


async def _pass(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with contextlib.suppress(OSError):  # the reading side notices
        writer.write(piece)
        await writer.drain()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
