"""Loads: wrk for many small requests, one socket for large bodies, one file for the disk itself."""

import json
import os
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


class LoadFailed(Exception):
    """The load was not answered as it should be: no figure means anything then."""


@dataclass(frozen=True)
class Rate:
    """What one round of requests came to."""

    per_second: float
    requests: int
    p50_ms: float
    p99_ms: float


def wrk_missing() -> str | None:
    """Why there is no wrk, and what to do about it."""
    if shutil.which("wrk"):
        return None
    return "wrk is not installed; on Debian and Ubuntu: apt-get install wrk. Without it nothing here can be measured."


def wrk(port: int, heads: Heads, connections: int, seconds: float, core: int, offset: int = 0, body: int = 0) -> Rate:
    """Send for so long, every answer 2xx. Raises LoadFailed."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", SCRIPT]
    command += [f"http://127.0.0.1:{port}/", "--", str(heads.path), str(heads.size), str(heads.count), str(offset)]
    found = subprocess.run([*command, str(body)], capture_output=True, text=True, check=False)
    match = re.search(r"^RESULT (.*)$", found.stdout, re.MULTILINE)
    if match is None:
        raise LoadFailed(f"wrk failed:\n{found.stdout}\n{found.stderr}")
    result = json.loads(match[1])
    if result["bad_status"] or result["broken"] or not result["requests"]:
        raise LoadFailed(f"not every request succeeded: {result}")
    rate = result["requests"] / (result["microseconds"] / 1e6)
    return Rate(rate, result["requests"], result["p50_us"] / 1000, result["p99_us"] / 1000)


def exchange(port: int, head: bytes, body: memoryview, answer_bytes: int = 0) -> float:
    """Send one request on its own connection, take the whole answer; seconds. Raises LoadFailed."""
    buffer = bytearray(1024 * 1024)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
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
        left = answer_bytes - len(answer.partition(b"\r\n\r\n")[2])
        while left > 0:
            size = connection.recv_into(buffer)
            if not size:
                raise LoadFailed(f"{left} bytes are missing")
            left -= size
        return time.perf_counter() - began


def appends_per_second(directory: Path, seconds: float, size_bytes: int = 4096) -> float:
    """How often one thread can append so much and fdatasync it: what one durable write costs at least."""
    path = directory / "appends"
    piece = os.urandom(size_bytes)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            os.write(descriptor, piece)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
