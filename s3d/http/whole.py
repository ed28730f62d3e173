"""An answer that is in memory as a whole: head and body leave in one write.

aiohttp's own `Response` costs about as much as everything else that its server does for a small request (a mapping of
state, a multidict, four coroutines). This is what its connection asks of a response, and nothing more: `prepare`,
`write_eof` and `keep_alive`.
"""

import re
import time
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion11
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from s3d.dates import http_date

SERVER = "s3d"
Head = list[tuple[str, str]]
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINES = {int(status): f" {int(status)} {status.phrase}\r\n" for status in HTTPStatus}


class WholeAnswer:
    """Status, headers and body of an answer. Whoever makes it gives Content-Length where the protocol wants one.

    `close` ends the connection after it.
    """

    __slots__ = ("_close", "_head", "_writer", "body", "keep_alive", "status")

    def __init__(self, status: int, head: Head, body: bytes = b"", *, close: bool = False) -> None:
        self._close = close
        self.status = status
        self.body = body
        self.keep_alive: bool | None = None
        self._head = head
        self._writer: AbstractStreamWriter | None = None

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers that it was made with."""
        return CIMultiDict(self._head)

    async def prepare(self, request: BaseRequest) -> None:
        """Send. Raises ConnectionResetError when the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.keep_alive = request.keep_alive and not self._close
        version = request.version
        if version != HttpVersion11 or not self.keep_alive:  # such a client must be told what becomes of the connection
            self._head.append(("Connection", "keep-alive" if self.keep_alive else "close"))
        transport.write(self._bytes(f"HTTP/{version.major}.{version.minor}"))
        self.body = b""  # the connection keeps its last answer for as long as it is idle
        if transport.get_write_buffer_size():
            self._writer = request.writer

    async def write_eof(self) -> None:
        """Everything has been written; until the client takes it, its next request waits."""
        if self._writer is not None:
            await self._writer.drain()

    def _bytes(self, version: str) -> bytes:
        lines = [f"{name}: {value}" for name, value in self._head]
        if not "".join(lines).isprintable():
            _refuse_control_characters(lines)
        text = "\r\n".join(lines)
        date = _date(int(time.time()))
        return f"{version}{_STATUS_LINES[self.status]}{text}\r\n{date}".encode() + self.body


def _refuse_control_characters(lines: list[str]) -> None:
    """A line end inside a value would let whoever gave us the value write headers, or answers, of his own."""
    for line in lines:
        if _FORBIDDEN.search(line):
            raise ValueError("a control character in a header")


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """The end of every head, made once a second."""
    return f"Date: {http_date(seconds * 1000)}\r\nServer: {SERVER}\r\n\r\n"
