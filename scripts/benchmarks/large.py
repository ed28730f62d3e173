"""Bodies of 64 MiB, one at a time, beside what hashing and writing them takes without a server."""

import hashlib
import os
from collections.abc import Callable
from functools import partial

from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import LARGE_BYTES, LoadFailed, exchange
from benchmarks.plan import Bench
from benchmarks.references import hashed_write_seconds, on_core
from benchmarks.servers import Server
from benchmarks.signing import BUCKET, UNSIGNED_PAYLOAD

PATH = f"/{BUCKET}/large"
MD5_AND_WRITE = "MD5 ∥ write + fdatasync"
BOTH_AND_WRITE = "MD5 ∥ SHA-256 ∥ write + fdatasync"
UNSIGNED_BODY = f"{SUBJECT}, body not signed"
MEBIBYTES = LARGE_BYTES / 2**20


def measure(bench: Bench, bare: Server, servers: list[Server]) -> None:
    """The rows `put-large` and `get-large`. Raises LoadFailed when one of our own servers fails."""
    bench.findings.row("put-large", "PUT 64 MiB, 1 connection", "MiB/s")
    bench.findings.row("get-large", "GET 64 MiB, 1 connection", "MiB/s")
    body = memoryview(os.urandom(LARGE_BYTES))
    sha256 = hashlib.sha256(body).hexdigest()
    taking_part = [bare, *servers]
    for server in servers:
        _guarded(bench, server, taking_part, partial(bench.make_bucket, server))
    for number in bench.rounds("64 MiB bodies", bench.plan.large_rounds, 0.07):
        with on_core(bench.plan.server_core):
            for name, hashes in ((MD5_AND_WRITE, ["md5"]), (BOTH_AND_WRITE, ["md5", "sha256"])):
                seconds = hashed_write_seconds(bench.plan.directory, body, hashes)
                bench.add("put-large", name, Sample(number, MEBIBYTES / seconds))
        with on_core(bench.plan.load_core):
            for server in tuple(taking_part):
                _guarded(bench, server, taking_part, partial(_round, bench, number, server, body, sha256))


def _round(bench: Bench, number: int, server: Server, body: memoryview, sha256: str) -> None:
    _put(bench, number, server, server.name, body, sha256)
    if server.name == SUBJECT:
        _put(bench, number, server, UNSIGNED_BODY, body, UNSIGNED_PAYLOAD)
    before = server.cpu_seconds()
    seconds = exchange(server.port, server.signer().head("GET", PATH), answer_bytes=LARGE_BYTES)
    cpu_us = (server.cpu_seconds() - before) * 1e6
    bench.add("get-large", server.name, Sample(number, MEBIBYTES / seconds, cpu_us=cpu_us))
    bench.findings.rows["get-large"].memory[server.name] = server.memory()


def _put(bench: Bench, number: int, server: Server, name: str, body: memoryview, sha256: str) -> None:
    head = server.signer().head("PUT", PATH, sha256=sha256, length=LARGE_BYTES)
    before = server.cpu_seconds()
    seconds = exchange(server.port, head, body)
    cpu_us = (server.cpu_seconds() - before) * 1e6
    bench.add("put-large", name, Sample(number, MEBIBYTES / seconds, cpu_us=cpu_us))
    bench.findings.rows["put-large"].memory[name] = server.memory()


def _guarded(bench: Bench, server: Server, taking_part: list[Server], step: Callable[[], None]) -> None:
    try:
        step()
    except (LoadFailed, OSError) as error:
        if server.ours:
            raise
        taking_part.remove(server)
        bench.findings.lacks(f"{server.name}: 64 MiB bodies", str(error))
