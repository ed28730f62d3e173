"""A remote that only answers: every PUT is a 200 with the ETag of what came, and nothing is kept.

What a sender can do shows in front of it, because it costs a few microseconds a request. Started as a program of its
own, `python sink.py`; prints its port.
"""

import asyncio
import hashlib
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Owner><ID>sink</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>"
)
_ABSENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_LENGTH_REQUIRED = b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client: requests in, answers out, in order."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._invited = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers go out through this."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that has arrived as a whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0 and self._answered(end + 4):
            self._invited = False

    def _answered(self, start: int) -> bool:
        head = bytes(self._received[:start])
        if _CHUNKED.search(head):  # S3 clients announce the length
            self._transport.write(_LENGTH_REQUIRED)
            self._transport.close()
            return False
        length = int(match[1]) if (match := _LENGTH.search(head)) else 0
        if len(self._received) < start + length:
            if not self._invited and b"100-continue" in head.lower():
                self._invited = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return False
        body = bytes(self._received[start : start + length])
        del self._received[: start + length]
        self._transport.write(_answer(head, body))
        return True


def _answer(head: bytes, body: bytes) -> bytes:
    method, target = head.split(b" ", 2)[:2]
    if method == b"PUT":
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return f'HTTP/1.1 200 OK\r\nETag: "{etag}"\r\nContent-Length: 0\r\n\r\n'.encode()
    if method == b"GET" and target.partition(b"?")[0] == b"/":
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(_LISTING)
        return head + _LISTING
    return _ABSENT


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
