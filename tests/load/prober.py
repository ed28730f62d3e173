"""The bystander: one polite client that asks a small request every few milliseconds, whatever others do to the daemon.

A program of its own (`python prober.py PORT BUCKET PAUSE_SECONDS`), so that the load's own hiccups are not taken for
the daemon's. It goes on until its standard input ends, then prints one JSON document: for each kind of request the
seconds that every answer took, and how many answers there were by status. 0 stands for a connection that broke.
"""

import json
import select
import socket
import sys
import time
from collections import Counter

_BODY = b"x" * 4096
ANSWER_SECONDS_MAX = 60


class Bystander:
    """Sends one request at a time on a connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, method: str, target: str, body: bytes = b"") -> int:
        """Send, read the whole answer; its status, 0 when the connection broke."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), ANSWER_SECONDS_MAX)
            head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            self._socket.sendall(head.encode() + body)
            return self._answer(method)
        except OSError:
            self._forget()
            return 0

    def _answer(self, method: str) -> int:
        assert self._socket is not None
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self._socket.recv(65536)):
                raise ConnectionResetError
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        left = (lengths[0] if lengths and method != "HEAD" else 0) - len(rest)
        while left > 0:
            if not (more := self._socket.recv(65536)):
                raise ConnectionResetError
            left -= len(more)
        if b"connection: close" in lines:
            self._forget()
        return int(head[9:12])

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def main() -> None:
    """Probe until standard input ends."""
    port, bucket, pause_seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    asked = Bystander(port)
    kinds = (
        ("put", "PUT", f"/{bucket}/probe", _BODY),
        ("get", "GET", f"/{bucket}/probe", b""),
        ("list", "GET", f"/{bucket}?list-type=2&max-keys=10", b""),
        ("head", "HEAD", f"/{bucket}/probe", b""),
    )
    seconds: dict[str, list[float]] = {kind: [] for kind, *_ in kinds}
    statuses: dict[str, Counter[int]] = {kind: Counter() for kind, *_ in kinds}
    number = 0
    while not select.select([sys.stdin], [], [], pause_seconds)[0]:
        kind, *request = kinds[number % len(kinds)]
        began = time.perf_counter()
        statuses[kind][asked.ask(*request)] += 1
        seconds[kind].append(time.perf_counter() - began)
        number += 1
    print(json.dumps({"seconds": seconds, "statuses": statuses}))


if __name__ == "__main__":
    main()
