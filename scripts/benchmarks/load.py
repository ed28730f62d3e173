"""Loads: wrk for many small requests, one socket for large bodies and slow listings."""

import json
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.signing import Heads

LARGE_BYTES = 64 * 1024 * 1024
SCRIPT = str(Path(__file__).with_name("load.lua"))
TIMEOUT_SECONDS = 30.0
NOTHING = memoryview(b"")


class LoadFailed(Exception):
    """The load was not answered as it should be: no figure means anything then."""


@dataclass(frozen=True)
class Rate:
    """What one round of requests came to."""

    per_second: float
    requests: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Load:
    """What wrk is asked to send: `pace` requests a second, 0: as many as are answered."""

    heads: Heads
    connections: int
    seconds: float
    core: int
    offset: int = 0
    body_bytes: int = 0
    pace: float = 0.0


def wrk_missing() -> str | None:
    """Why there is no wrk, and what to do about it."""
    if shutil.which("wrk"):
        return None
    return "wrk is not installed; on Debian and Ubuntu: apt-get install wrk. Without it nothing here can be measured."


def wrk(port: int, load: Load) -> Rate:
    """Send for so long, every answer 2xx. Raises LoadFailed."""
    command = ["taskset", "-c", str(load.core), "wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds:.0f}s"]
    command += ["--timeout", f"{TIMEOUT_SECONDS:.0f}s", "-s", SCRIPT, f"http://127.0.0.1:{port}/", "--"]
    command += [str(load.heads.path), str(load.heads.size), str(load.heads.count), str(load.offset)]
    command += [str(load.body_bytes), str(load.pace)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"^RESULT (.*)$", found.stdout, re.MULTILINE)
    if match is None:
        raise LoadFailed(f"wrk failed:\n{found.stdout}\n{found.stderr}")
    result = json.loads(match[1])
    if result["bad_status"] or result["broken"] or not result["requests"]:
        raise LoadFailed(f"not every request succeeded: {result}")
    rate = result["requests"] / (result["microseconds"] / 1e6)
    return Rate(rate, result["requests"], result["p50_us"] / 1000, result["p99_us"] / 1000)


def one_by_one(port: int, heads: Heads, seconds: float) -> Rate:
    """GETs on one connection after another, at least one: for servers that take seconds for an answer."""
    took: list[float] = []
    with heads.path.open("rb") as file:
        began = time.perf_counter()
        while not took or time.perf_counter() - began < seconds:
            file.seek(len(took) % heads.count * heads.size)
            took.append(exchange(port, file.read(heads.size)))
    took.sort()
    return Rate(len(took) / sum(took), len(took), took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000)


def exchange(port: int, head: bytes, body: memoryview = NOTHING, answer_bytes: int = 0) -> float:
    """Send one request on its own connection, take the whole answer, of so many bytes at least; seconds.

    Raises LoadFailed, OSError.
    """
    began = time.perf_counter()
    fetch(port, head, body, answer_bytes, keep=False)
    return time.perf_counter() - began


def fetch(port: int, head: bytes, body: memoryview = NOTHING, answer_bytes: int = 0, *, keep: bool) -> bytes:
    """The same; the answer's body, when it is to be kept."""
    buffer = bytearray(1024 * 1024)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head)
        connection.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = connection.recv(65536)
            if not received:
                raise LoadFailed(f"the connection was closed: {answer[:200]!r}")
            answer += received
        if not answer.startswith(b"HTTP/1.1 200"):
            raise LoadFailed(f"refused: {answer[:400]!r}")
        start, _, content = answer.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", start, re.IGNORECASE)
        left = (int(length[1]) if length else answer_bytes) - len(content)
        kept = bytearray(content)
        while left > 0:
            size = connection.recv_into(buffer)
            if not size:
                raise LoadFailed(f"{left} bytes are missing")
            left -= size
            if keep:
                kept += buffer[:size]
        if length is None and not answer_bytes:  # chunked: all that matters is the time until its end
            while not kept.endswith(b"0\r\n\r\n") and (received := connection.recv(65536)):
                kept += received
        return bytes(kept)
