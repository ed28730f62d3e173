"""Under load everything that is asked for is answered: with what was asked for, or with a SlowDown that says when.

Nothing here is decided by how long something took. The bystander (prober.py) asks on the side the whole time, and has
to get all of its answers.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until

from load import scenarios
from load.clients import answer, connect, connections, each, head
from load.long_form import resident_peak_mib, watch
from load.metrics import scrape
from load.scenarios import Site

MIB = 1024**2
SEED = 10
RESIDENT_MIB_MAX = 200
CONFIG = """
[http]
connections_max = 300
head_seconds = 1.0
idle_seconds = 2.0
memory_bytes_max = 4194304
large_bodies_max = 60
writes_waiting_max = 40
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with running_daemon(tmp_path_factory.mktemp("load") / "data", auth=False, config=CONFIG) as running:
        asyncio.run(scenarios.prepare(Site(("127.0.0.1", running.port), "load", 0, 8 * MIB), 1500))
        yield running


@pytest.fixture
def site(daemon):
    return Site(("127.0.0.1", daemon.port), "load", 2.0, 8 * MIB)


def beside(daemon: LiveDaemon, site: Site, work) -> tuple[Counter, Counter]:
    """Statuses of the load and of the bystander."""
    watching = watch(daemon.port, site.bucket)
    try:
        statuses = asyncio.run(work)
    finally:
        seen = json.loads(watching.communicate("", timeout=60)[0])
    return statuses, sum((Counter(one) for one in seen["statuses"].values()), Counter())


def refusals(daemon: LiveDaemon, reason: str) -> float:
    return scrape(daemon.admin).value("s3d_refused_total", reason=reason)


@pytest.mark.parametrize(
    ("scenario", "clients"),
    [
        (scenarios.idle, 250),
        (scenarios.slow_bodies, 50),
        (scenarios.slow_readers, 40),
        (scenarios.slow_readers_of_small, 150),
        (scenarios.pipelined, 20),
        (scenarios.listings, 40),
        (scenarios.large_reads, 20),
        (scenarios.deletes, 4),
        (scenarios.strangers, 40),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_the_bystander_gets_every_answer(daemon, site, scenario, clients):
    """Whatever the others do; none of them sees an error but SlowDown, and memory stays inside its bound."""
    statuses, bystander = beside(daemon, site, scenario(site, clients))
    assert set(bystander) == {"200"}
    assert set(statuses) <= {0, 200, 408, 503}
    assert resident_peak_mib(daemon.process_id) < RESIDENT_MIB_MAX


def test_more_small_bodies_than_fit_wait_or_are_told_to_come_again(daemon, site):
    """The bytes of those that were acknowledged are what was sent; the others left nothing."""
    chosen = random.Random(SEED)
    bodies = {f"small/{n}": chosen.randbytes(60_000) for n in range(600)}
    requests = [(head("PUT", site.target(key), len(body)), body) for key, body in bodies.items()]
    statuses = asyncio.run(each(site.address, requests, 250))
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= 40
    there = 0
    for key, body in bodies.items():
        got = daemon.fetch("GET", site.target(key))
        there += got.status == 200
        assert (got.status, got.body) == (200, body) or (got.status, got.code) == (404, "NoSuchKey")
    assert there == statuses[200]
    assert refusals(daemon, "writer") + refusals(daemon, "memory") >= statuses[503]
    assert resident_peak_mib(daemon.process_id) < RESIDENT_MIB_MAX


def test_more_large_bodies_than_there_may_be_are_told_to_come_again(daemon, site):
    """Before they are sent, and with Retry-After; those that were let in arrive whole."""

    async def upload() -> tuple[list[bytes], Counter]:
        async with connections(site.address, 80) as socks:
            loop = asyncio.get_running_loop()
            for number, sock in enumerate(socks):
                await loop.sock_sendall(sock, head("PUT", site.target(f"begun/{number}"), MIB) + bytes(1000))
            refused = [await asyncio.wait_for(loop.sock_recv(sock, 65536), 60) for sock in socks[60:]]
            sending = [loop.sock_sendall(sock, bytes(MIB - 1000)) for sock in socks[:60]]
            await asyncio.gather(*sending)
            return refused, Counter([await answer(sock) for sock in socks[:60]])

    before = refusals(daemon, "large-bodies")
    refused, finished = asyncio.run(upload())
    assert all(one.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in one and b"SlowDown" in one for one in refused)
    assert finished == {200: 60}
    assert refusals(daemon, "large-bodies") - before == 20
    wait_until(lambda: scrape(daemon.admin).value("s3d_large_bodies") == 0)


def test_one_connection_too_many_gets_an_answer(daemon, site):
    """503 with Retry-After, then the end; as soon as another has gone, there is room."""

    async def connected() -> bytes:
        async with connections(site.address, 300):
            one = await connect(site.address)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(one, head("GET", site.target("64k")))
            said = b""
            while more := await asyncio.wait_for(loop.sock_recv(one, 65536), 60):
                said += more
            one.close()
            return said

    wait_until(lambda: scrape(daemon.admin).value("s3d_connections") == 0)
    before = refusals(daemon, "connections")
    said = asyncio.run(connected())
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"<Code>SlowDown</Code>" in said
    assert b"Retry-After: 1\r\n" in said
    assert refusals(daemon, "connections") - before == 1
    wait_until(lambda: daemon.fetch("GET", site.target("64k")).status == 200)


@pytest.mark.parametrize("sent", [b"G", b"GET /load/64k HTTP/1.1\r\nHost: h\r\nx-slow: "])
def test_a_head_that_does_not_end_is_given_up(daemon, sent):
    """With an answer, although there is no request yet."""
    assert b"RequestTimeout" in _said(daemon, sent)


def test_a_head_that_is_too_large_is_given_up(daemon):
    """Each line is within its limit: it is all of them together."""
    lines = b"".join(b"x-amz-meta-%d: %s\r\n" % (n, b"v" * 8000) for n in range(12))
    assert b"RequestHeaderSectionTooLarge" in _said(daemon, b"GET / HTTP/1.1\r\nHost: h\r\n" + lines)


def test_a_body_that_stops_is_given_up(daemon, site):
    """After idle_seconds of silence, with S3's own code for it; nothing is left of it."""
    said = _said(daemon, head("PUT", site.target("stopped"), MIB) + bytes(1000))
    assert b"RequestTimeout" in said
    assert daemon.fetch("GET", site.target("stopped")).status == 404


def test_a_reader_who_takes_nothing_is_cut_off(daemon, site):
    """The file and the connection are let go, although the client never closes."""

    async def stall() -> None:
        async with connections(site.address, 10, receive_bytes=4096) as socks:
            for sock in socks:
                await asyncio.get_running_loop().sock_sendall(sock, head("GET", site.target("large")))
            await _until(lambda: scrape(daemon.admin).value("s3d_large_bodies") > 0)
            await _until(lambda: scrape(daemon.admin).value("s3d_large_bodies") == 0)

    asyncio.run(stall())


def test_what_is_held_is_given_back(daemon, site):
    """After all of that: no bytes, no bodies, no writes in the books; and lag was measured."""
    wait_until(lambda: scrape(daemon.admin).value("s3d_connections") <= 1)
    seen = scrape(daemon.admin)
    assert seen.value("s3d_held_bytes") == 0
    assert seen.value("s3d_large_bodies") == 0
    assert seen.value("s3d_writes_waiting") == 0
    for name in ("s3d_loop_lag", "s3d_writer_lag"):
        assert seen.buckets(f"{name}_seconds")[float("inf")] > 0
        assert seen.value(f"{name}_max_seconds") >= 0
    opened = [os.readlink(one) for one in Path(f"/proc/{daemon.process_id}/fd").iterdir() if one.is_symlink()]
    assert not [one for one in opened if "/blobs/" in one]


def test_descriptors_that_cannot_be_had_stop_the_start(tmp_path):
    """With what is needed and what to do about it."""
    config = tmp_path / "s3d.toml"
    config.write_text("[http]\nconnections_max = 3000\n")
    command = [PROGRAM, "run", "--data-dir", str(tmp_path / "data"), "--config", str(config)]
    command += ["--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0"]
    limited = ["sh", "-c", 'ulimit -n 2000 && exec "$@"', "sh", *command]
    ended = subprocess.run(limited, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "file descriptors are needed, and this process may have 2000" in ended.stderr
    assert "LimitNOFILE" in ended.stderr


def _said(daemon: LiveDaemon, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", daemon.port), 20) as sock:
        sock.sendall(sent)
        said = b""
        try:
            while more := sock.recv(65536):
                said += more
        except ConnectionResetError:
            pass
        return said


async def _until(condition) -> None:
    await asyncio.get_running_loop().run_in_executor(None, wait_until, condition)
