"""Small requests: PUT of 4 KiB at 32 connections and at 1, GET of 4 KiB, for the daemon, the bare handler and peers."""

import time
from dataclasses import dataclass

from benchmarks import signing
from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import Load, LoadFailed, Rate
from benchmarks.plan import Bench
from benchmarks.references import appends_per_second, on_core
from benchmarks.servers import Server
from benchmarks.signing import BODY_BYTES, Heads

KEYS_OF_PEERS = 10_000  # Ceph RGW keeps them in memory
SIGNED_SECONDS_MAX = 480.0  # a signature is good for fifteen minutes
HOT_KEYS = 2000  # 8 MiB: they fit into the daemon's memory for small bodies
CONNECTIONS = {"put": 32, "put1": 1}
BARE_AND_SYNC = "bare + one fdatasync"
TITLES = {
    "put": "PUT 4 KiB, 32 connections",
    "put1": "PUT 4 KiB, 1 connection",
    "get": "GET 4 KiB, in memory, 32 connections",
    "cold": "GET 4 KiB, from the disk's cache, 32 connections",
}


@dataclass
class _Prepared:
    """A server with its signed requests, and how many of its keys have been written."""

    server: Server
    put: Heads
    get: Heads
    signed_at: float
    written: int = 0


def measure(bench: Bench, bare: Server, servers: list[Server]) -> None:
    """The rows `put`, `put1`, `get` and `cold` of the plan. Raises LoadFailed when one of our own servers fails."""
    names = [name for name in TITLES if name in bench.plan.rows]
    if not names:
        return
    for name in names:
        bench.findings.row(name, TITLES[name], "/s")
    everybody = [prepared for server in servers if (prepared := _attempt(bench, "all", server)) is not None]
    subject = next(one for one in everybody if one.server.name == SUBJECT)
    everybody.insert(0, _Prepared(bare, subject.put, subject.get, subject.signed_at))
    if bench.plan.warm:
        _put(bench, everybody[0], 32)
    for number in bench.rounds("small requests", bench.plan.rounds, 0.3):
        _sign_again(bench, everybody)
        with on_core(bench.plan.server_core):
            appends = appends_per_second(bench.plan.directory, min(bench.plan.seconds / 2, 1.0))
        for name in names:
            for one in _taking_part(everybody, name, number):
                _attempt_row(bench, name, number, one, everybody)
        if "put1" in names:
            _add_reference(bench, number, appends)


def _taking_part(everybody: list[_Prepared], name: str, number: int) -> list[_Prepared]:
    """Peers have a turn in every other round, the bare handler has nothing that could be cold."""
    return [
        one
        for one in everybody
        if (one.server.ours or (number % 2 == 0 and name != "cold")) and (one is not everybody[0] or name != "cold")
    ]


def _attempt(bench: Bench, what: str, server: Server) -> _Prepared | None:
    """Prepare a server: its bucket, its requests, and a first second of load, so that nothing is new to it."""
    try:
        return _prepare(bench, server)
    except (LoadFailed, OSError) as error:
        if server.ours:
            raise
        bench.findings.lacks(f"{server.name}: {what}", str(error))
        return None


def _prepare(bench: Bench, server: Server) -> _Prepared:
    bench.say(f"preparing {server.name}")
    bench.make_bucket(server)
    prepared = _signed(bench, server)
    _put(bench, prepared, 32)
    return prepared


def _signed(bench: Bench, server: Server) -> _Prepared:
    signer = server.signer()
    numbers = range(bench.plan.keys if server.ours else min(bench.plan.keys, KEYS_OF_PEERS))
    room = bench.room("requests")
    put = signing.write_objects(room / f"{server.name}-put", signer, "PUT", numbers, b"x" * BODY_BYTES)
    get = signing.write_objects(room / f"{server.name}-get", signer, "GET", numbers)
    return _Prepared(server, put, get, time.monotonic())


def _sign_again(bench: Bench, everybody: list[_Prepared]) -> None:
    """Long runs outlive their signatures. The bare handler does not look at them."""
    for one in everybody[1:]:
        if time.monotonic() - one.signed_at > SIGNED_SECONDS_MAX:
            one.signed_at = _signed(bench, one.server).signed_at  # into the same files, of the same sizes


def _attempt_row(bench: Bench, name: str, number: int, one: _Prepared, everybody: list[_Prepared]) -> None:
    try:
        measured = _put(bench, one, CONNECTIONS[name]) if name in CONNECTIONS else _get(bench, one, name)
    except (LoadFailed, OSError) as error:
        if one.server.ours:
            raise
        everybody.remove(one)
        bench.findings.lacks(f"{one.server.name}: {TITLES[name]} and what follows", str(error))
    else:
        bench.note(name, one.server, number, measured)


def _put(bench: Bench, one: _Prepared, connections: int) -> tuple[Rate, float]:
    plan = bench.plan
    load = Load(one.put, connections, plan.seconds, plan.load_core, one.written, BODY_BYTES)
    measured = bench.load(one.server, load)
    one.written += measured[0].requests
    return measured


def _get(bench: Bench, one: _Prepared, temperature: str) -> tuple[Rate, float]:
    """`get` asks again and again for a few keys, `cold` for all that were written, in the order of writing."""
    # The last requests of a round may have been cut off, so the last keys may be missing.
    written = max(one.written - 64, 1)
    limited = Heads(one.get.path, one.get.size, min(one.get.count, written))
    if temperature == "get":
        limited = Heads(limited.path, limited.size, min(limited.count, HOT_KEYS))
    return bench.load(one.server, Load(limited, 32, bench.plan.seconds, bench.plan.load_core))


def _add_reference(bench: Bench, number: int, appends: float) -> None:
    """What one connection would reach if durability cost one fdatasync and nothing else."""
    row = bench.findings.rows["put1"]
    bare = next(one for one in row.samples["bare aiohttp handler"] if one.round == number)
    bench.add("put1", "append + fdatasync, 1 thread", Sample(number, appends))
    bench.add("put1", BARE_AND_SYNC, Sample(number, 1 / (1 / bare.value + 1 / appends)))
