"""What the disk and the hashes allow by themselves, without a server: measured on the servers' core, in every round."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PIECE_BYTES = 1024 * 1024


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread, and those that it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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


def hashed_write_seconds(directory: Path, body: memoryview, hashes: Sequence[str]) -> float:
    """Write a body to a new file and fdatasync it, with each hash in a thread of its own beside the write."""
    path = directory / "hashed"
    began = time.perf_counter()
    threads = [threading.Thread(target=_hash, args=(name, body)) for name in hashes]
    for thread in threads:
        thread.start()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        for piece in _pieces(body):
            os.write(descriptor, piece)
        os.fdatasync(descriptor)
        for thread in threads:
            thread.join()
        return time.perf_counter() - began
    finally:
        os.close(descriptor)
        path.unlink()


def _hash(name: str, body: memoryview) -> None:
    digest = hashlib.new(name, usedforsecurity=False)
    for piece in _pieces(body):
        digest.update(piece)


def _pieces(body: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
