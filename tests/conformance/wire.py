"""Requests written by hand, byte by byte, for what no client library would send."""

import socket
from types import TracebackType
from typing import Self

from live import Answer, LiveDaemon


class Wire:
    """One TCP connection to a daemon."""

    def __init__(self, port: int, timeout_seconds: float = 60) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def try_to_send(self, data: bytes) -> None:
        """Send as much as the server takes before it closes."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away without a word: the peer gets a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._socket.close()

    def answer(self, *, head_only: bool = False) -> Answer:
        """The next response (its body too, unless there can be none)."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if head_only or status in {100, 204, 304}:
            return Answer(status, headers, b"")
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(status, headers, body)

    def is_closed(self) -> bool:
        """Whether the server ends the connection; waits for that or for more bytes."""
        try:
            return not self._received and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing at all comes for so long."""
        before = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            self._received += self._socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(before)
        return False

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError(f"the server closed after {self._received!r}")
        self._received += data


def head(method: str, target: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


def ask(daemon: LiveDaemon, request: bytes) -> Answer:
    """The answer to one request on a connection of its own."""
    with Wire(daemon.port) as wire:
        wire.try_to_send(request)
        return wire.answer()


def put_with(daemon: LiveDaemon, bucket: str, *headers: str, key: str = "k") -> Answer:
    """The answer to a PUT of one byte."""
    return ask(daemon, head("PUT", f"/{bucket}/{key}", "Content-Length: 1", *headers) + b"x")
