"""The HTTP server: aiohttp's low-level one, with bodies untouched and every error in S3's words.

Why the low-level server: it costs a third less per request than an Application, leaves `Expect` and raw targets to us,
and never decompresses a body (`Content-Encoding: gzip` is what the client stores, not how it is sent).
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from s3d.http.admission import HEAD_READ_BYTES, Admission, read_at_most
from s3d.http.reply import Answer
from s3d.protocol.errors import error_document, status_of

LINE_BYTES_MAX = 16 * 1024  # a key of 1,024 bytes, each as %XX, plus a presigned query
FIELD_BYTES_MAX = 16 * 1024
HEAD_BYTES_MAX = 64 * 1024  # S3 takes 8 KiB of headers
FIELDS_MAX = 2048  # S3 counts the bytes of metadata, not its entries: 2 KiB are a thousand short ones
UNREAD_BYTES = 8 * 1024  # of a body that nobody reads yet; aiohttp stops reading at twice as much
ACCEPTS_AT_ONCE = 64
REFUSED_SECONDS = 0.5  # how long a refused connection may stay, in files that are not counted
_log = structlog.get_logger("s3d.http")
Handler = Callable[[BaseRequest], Awaitable[Answer]]


class _Connection(RequestHandler):
    """One connection; what cannot be parsed is answered in S3's XML too.

    A head must be there within a time and a size. An answer that its client does not take counts as held memory, and
    the next request waits for it (`write_eof` of an answer drains).
    """

    __slots__ = ("_limits", "_partial_bytes", "_partial_since", "_unsent_bytes")

    def __init__(self, manager: "_Server", **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._limits = manager.limits
        self._partial_bytes = 0  # of a head that has begun and is not complete
        self._partial_since = 0.0
        self._unsent_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connected = cast("asyncio.Transport", transport)
        if not self._limits.admits(len(cast("_Server", self._manager).connections_open)):
            self._turn_away(connected)
            return
        super().connection_made(transport)
        connected.set_write_buffer_limits(high=0)  # whatever the kernel does not take at once is to be known
        read_at_most(connected, HEAD_READ_BYTES)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._sent()
        if self._partial_bytes:
            self._limits.partial.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and not waiter.done() and data:
            self._count_partial(len(data))
        elif self._partial_bytes:
            self._partial_bytes = 0
            self._limits.partial.discard(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._unsent_bytes = self.transport.get_write_buffer_size()
            self._limits.admission.hold(self._unsent_bytes)

    def resume_writing(self) -> None:
        self._sent()
        super().resume_writing()

    def end_if_late(self, now: float) -> None:
        """Give up on a head that takes too long."""
        if now - self._partial_since > self._limits.head_seconds:
            self._give_up("RequestTimeout", "The head of the request did not arrive in time.")

    def _count_partial(self, size_bytes: int) -> None:
        if not self._partial_bytes:
            self._partial_since = self._loop.time()
            self._limits.watch(self)
        self._partial_bytes += size_bytes
        if self._partial_bytes > HEAD_BYTES_MAX:
            self._give_up("RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum size.")

    def _turn_away(self, connected: asyncio.Transport) -> None:
        """An answer, no task, and a moment for the client to read it: closed at once, its request would reset it."""
        self._manager = None
        self._force_close = True  # what it sends is not looked at
        connected.write(_refusal())
        connected.write_eof()
        self._loop.call_later(REFUSED_SECONDS, connected.abort)

    def _give_up(self, code: str, message: str) -> None:
        if self.transport is not None:
            self.transport.write(_closing_answer(code, message))
        self.force_close()

    def _sent(self) -> None:
        if self._unsent_bytes:
            self._limits.admission.give(self._unsent_bytes)
            self._unsent_bytes = 0

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500 and not isinstance(exc, ConnectionError):  # of which the client has gone: nobody reads this
            _log.error("request handling failed", error=str(exc))
        code = "InternalError" if status >= 500 else "BadRequest"
        text = "We encountered an internal error. Please try again." if status >= 500 else "Bad Request"
        document = error_document(code, text, "", "", "s3d", {})
        response = web.Response(body=document, status=status, content_type="application/xml")
        response.force_close()
        return response


class ConnectionLimits:
    """What connections share: how many there may be, what they may hold, how long a head may take."""

    def __init__(self, admission: Admission, connections_max: int, head_seconds: float) -> None:
        self._connections_max = connections_max
        self.admission = admission
        self.head_seconds = head_seconds
        self.partial: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def admits(self, connections: int) -> bool:
        """Whether one more connection may be."""
        if connections < self._connections_max:
            return True
        self.admission.refuse("connections", "")
        return False

    def watch(self, connection: _Connection) -> None:
        """A head has begun; one timer looks after all that have not ended."""
        self.partial.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.head_seconds / 4, self._look)

    def close(self) -> None:
        """No more looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        for connection in list(self.partial):
            connection.end_if_late(now)
        if self.partial:
            self._timer = loop.call_later(self.head_seconds / 4, self._look)


class _Server(web.Server):
    """Makes our connections."""

    def __init__(self, handler: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self.limits = limits

    @property
    def connections_open(self) -> dict[RequestHandler, asyncio.Transport]:
        """Those that are open, without a copy."""
        return self._connections

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class S3Listener:
    """Listens on one or more addresses and hands every request to `handler`."""

    def __init__(
        self,
        handler: Handler,
        *,
        keepalive_seconds: float,
        admission: Admission | None = None,
        connections_max: int = 10_000,
        head_seconds: float = 20.0,
        idle_seconds: float = 60.0,
    ) -> None:
        admission = admission or Admission(memory_bytes_max=32 * 1024 * 1024, large_bodies_max=1000)
        self._idle_seconds = idle_seconds
        self._limits = ConnectionLimits(admission, connections_max, head_seconds)
        self._server = _Server(
            cast("Any", handler),  # WholeAnswer does what is asked of a response without being aiohttp's
            self._limits,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=keepalive_seconds,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            read_bufsize=UNREAD_BYTES,
            lingering_time=2.0,
        )
        self._sockets: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.connections_open)

    def requests(self) -> int:
        """How many there were so far."""
        return self._server.requests_count

    async def listen(self, host: str, port: int, backlog: int = 4096) -> int:
        """Begin to accept; the port, which matters when 0 was asked for. Raises OSError."""
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(self._server, host, port, backlog=ACCEPTS_AT_ONCE, reuse_address=True)
        for one in listening.sockets:
            # The loop accepts as many in one turn as it was told to queue: few, so that a rush does not stall the rest.
            with socket.socket(fileno=os.dup(one.fileno())) as own:
                own.listen(backlog)
                # A client that takes nothing of its answer for so long is gone; accepted sockets inherit it.
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._idle_seconds * 1000))
        self._sockets.append(listening)
        found: socket.socket = listening.sockets[0]
        return int(found.getsockname()[1])

    async def close(self, timeout_seconds: float) -> None:
        """Stop accepting, let running requests finish for so long, then cut them off."""
        for listening in self._sockets:
            listening.close()
        self._limits.close()
        self._server.pre_shutdown()
        await self._server.shutdown(timeout_seconds)
        self._sockets.clear()


@lru_cache(maxsize=1)
def _refusal() -> bytes:
    """What one connection too many is told."""
    return _closing_answer("SlowDown", "Too many connections are open.", "Retry-After: 1\r\n")


def _closing_answer(code: str, message: str, more: str = "") -> bytes:
    """An error before there is a request."""
    document = error_document(code, message, "", "", "s3d", {})
    status = HTTPStatus(status_of(code))
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}{more}Content-Length: {len(document)}\r\n\r\n".encode() + document
