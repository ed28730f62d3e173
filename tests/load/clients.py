"""Clients that behave badly, or are simply very many: raw sockets, so that nothing in between is polite."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable

Address = tuple[str, int]
_PAUSE_SECONDS = 0.2


async def connect(address: Address, *, receive_bytes: int | None = None) -> socket.socket:
    """A connection; `receive_bytes` makes the kernel's buffer small, as a slow reader's is."""
    made = socket.socket()
    made.setblocking(False)
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


@contextlib.asynccontextmanager
async def connections(
    address: Address, count: int, *, receive_bytes: int | None = None, at_once: int = 200
) -> AsyncIterator[list[socket.socket]]:
    """So many of them, made a few hundred at a time; closed at the end."""
    made: list[socket.socket] = []
    try:
        while len(made) < count:
            few = min(at_once, count - len(made))
            made += await asyncio.gather(*(connect(address, receive_bytes=receive_bytes) for _ in range(few)))
        yield made
    finally:
        for one in made:
            one.close()


def head(method: str, target: str, length: int = 0, **more: str) -> bytes:
    """An unsigned request's head."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def answer(sock: socket.socket, *, bodiless: bool = False, slowly: float = 0.0, piece: int = 65536) -> int:
    """Read one answer to its end; its status, or 0 when the connection ended first. `slowly`: seconds between reads."""
    loop = asyncio.get_running_loop()
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            if not (more := await loop.sock_recv(sock, piece)):
                return 0
            data += more
        text, _, rest = data.partition(b"\r\n\r\n")
        left = 0 if bodiless else _content_length(text) - len(rest)
        while left > 0:
            if slowly:
                await asyncio.sleep(slowly)
            if not (more := await loop.sock_recv(sock, min(piece, left))):
                return 0
            left -= len(more)
    except OSError:
        return 0
    return int(text[9:12])


def _content_length(text: bytes) -> int:
    lines = text.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


async def ask(sock: socket.socket, request: bytes, body: bytes = b"") -> int:
    """Send and read to the end; the status, 0 for a connection that broke.

    The answer is read while the body is sent: a daemon that refuses does not wait for all of it.
    """
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(loop.sock_sendall(sock, request + body))
    status = await answer(sock)
    if not sending.done():
        sending.cancel()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await sending
    return status


async def dribble(sock: socket.socket, text: bytes, until: asyncio.Event, pause_seconds: float = _PAUSE_SECONDS) -> int:
    """Send one byte after another until told to stop; how many the daemon took before it ended the connection."""
    loop = asyncio.get_running_loop()
    for number in range(len(text)):
        if until.is_set():
            return number
        try:
            await loop.sock_sendall(sock, text[number : number + 1])
        except OSError:
            return number
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(until.wait(), pause_seconds)
    return len(text)


async def each(address: Address, requests: Iterable[tuple[bytes, bytes]], at_once: int) -> Counter[int]:
    """Send all requests over `at_once` connections; answers by status. A connection that breaks is made anew."""
    statuses: Counter[int] = Counter()
    left = iter(requests)

    async def work() -> None:
        sock: socket.socket | None = None
        for request, body in left:
            try:
                sock = sock or await connect(address)
                status = await ask(sock, request, body)
            except OSError:
                status = 0
            statuses[status] += 1
            if sock is not None and (status == 0 or status >= 400):  # it may have been closed with the answer
                sock.close()
                sock = None
        if sock is not None:
            sock.close()

    await asyncio.gather(*(work() for _ in range(at_once)))
    return statuses
