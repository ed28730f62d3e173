"""What an operation costs when much is stored already: the same requests to daemons with few, many and very many
objects, and listings beside those of peers.

The stores are made by the journal and the view themselves (prefill.py): the same records, rows and files as through
HTTP, with bodies of 128 bytes. PUTs go to keys that exist, so that a store keeps its size.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import signing
from benchmarks.findings import SUBJECT
from benchmarks.load import Load, LoadFailed, Rate, one_by_one
from benchmarks.plan import Bench, spread_over
from benchmarks.processes import cpu_seconds
from benchmarks.servers import Daemon, Server, ServerFailed
from benchmarks.signing import BODY_BYTES, Heads, key_of

STORED_BYTES = 128
KEYS = 20_000  # how many of a store's keys are written and read, spread all over it
LISTINGS = 200
LISTED_WITH_OTHERS = 100_000  # rclone takes a second for a page out of so many
ROUNDS, ROUNDS_OF_PEERS = 3, 2
SLOW_SECONDS = 0.25


@dataclass(frozen=True)
class Store:
    """A running daemon with `count` objects."""

    count: int
    server: Server
    daemon: Daemon
    put: Heads
    get: Heads
    listings: Heads


def fill(directory: Path, count: int, body_bytes: int, checkout: Path | None = None, *, grouped: bool = False) -> None:
    """Make a data directory with objects; `grouped`: a tenth of them in order groups. Raises ServerFailed."""
    environment = dict(os.environ) | ({"PYTHONPATH": str(checkout)} if checkout is not None else {})
    program = str(Path(__file__).with_name("prefill.py"))
    command = [sys.executable, program, str(directory), str(count), str(body_bytes), *(["grouped"] if grouped else [])]
    filled = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if filled.returncode != 0:
        raise ServerFailed(f"{count} objects could not be written: {filled.stderr[-400:]}")


def measure(bench: Bench, peers: list[Server]) -> list[Store]:
    """The rows `list-N`, `put-N` and `get-N`. Raises LoadFailed, ServerFailed."""
    plan = bench.plan
    kinds = (["put", "get"] if "stores" in plan.rows else []) + (["list"] if "list" in plan.rows else [])
    before = _baseline(bench) if plan.baseline is not None and "list" in kinds else []
    daemons = [(_filled(bench, SUBJECT, count), count) for count in plan.stores]
    stores = [_start(bench, daemon, count) for daemon, count in daemons]  # signed only now: filling takes its time
    for number in bench.rounds("stores", min(ROUNDS, plan.rounds), 0.09):
        for kind in kinds:
            for store in stores:
                _round(bench, number, kind, store)
        for store in before:
            _round(bench, number, "list", store)
    if "list" in kinds:
        _list_of_peers(bench, peers)
    return stores


def row_of(kind: str, count: int) -> str:
    """The name of a row."""
    return f"{kind}-{count}"


def _filled(bench: Bench, name: str, count: int, checkout: Path | None = None) -> Daemon:
    bench.say(f"writing {count:,} objects for {name}")
    directory = bench.plan.directory / f"store-{name}-{count}"
    fill(directory, count, STORED_BYTES, checkout)
    return Daemon(name, directory, frozenset({bench.plan.server_core}), checkout=checkout)


def _start(bench: Bench, daemon: Daemon, count: int) -> Store:
    directory = daemon.directory
    server = bench.keep(daemon.start())
    signer, room, numbers = server.signer(), bench.room("requests"), spread_over(count, KEYS)
    return Store(
        count,
        server,
        daemon,
        signing.write_objects(room / f"{directory.name}-put", signer, "PUT", numbers, b"x" * BODY_BYTES),
        signing.write_objects(room / f"{directory.name}-get", signer, "GET", numbers),
        signing.write_listings(room / f"{directory.name}-list", signer, LISTINGS),
    )


def _baseline(bench: Bench) -> list[Store]:
    """The other checkout's, if it could be filled by its own code."""
    count = _listed_with_others(bench)
    try:
        return [_start(bench, _filled(bench, "baseline", count, bench.plan.baseline), count)]
    except ServerFailed as error:
        bench.findings.lacks("baseline: LIST", str(error))
        return []


def _listed_with_others(bench: Bench) -> int:
    stores = bench.plan.stores
    return max((count for count in stores if count <= LISTED_WITH_OTHERS), default=min(stores))


def _round(bench: Bench, number: int, kind: str, store: Store) -> None:
    plan, row = bench.plan, row_of(kind, store.count)
    heads = {"put": store.put, "get": store.get, "list": store.listings}[kind]
    connections, body_bytes = (8, 0) if kind == "list" else (32, BODY_BYTES if kind == "put" else 0)
    title = {
        "put": f"PUT 4 KiB over an object, {store.count:,} stored",
        "get": f"GET of any object, {store.count:,} stored",
        "list": f"LIST of 1,000 out of {store.count:,}",
    }[kind]
    bench.findings.row(row, title, "/s")
    load = Load(heads, connections, plan.seconds, plan.load_core, number * 7919, body_bytes)
    bench.note(row, store.server, number, bench.load(store.server, load))


def _list_of_peers(bench: Bench, peers: list[Server]) -> None:
    """Pages out of what a peer has; rclone is given files for it, the others have what was PUT."""
    count = _listed_with_others(bench)
    for server in peers:
        bench.say(f"LIST of {server.name}")
        try:
            stored = _put_some(bench, server) if server.fill is None else _write_files(server, count)
            for number in range(min(ROUNDS_OF_PEERS, bench.plan.rounds)):
                bench.note_as(
                    row_of("list", count), f"{server.name} ({stored:,})", number, server, _list(bench, server)
                )
        except (LoadFailed, OSError) as error:
            bench.findings.lacks(f"{server.name}: LIST", str(error))


def _list(bench: Bench, server: Server) -> tuple[Rate, float]:
    path = bench.room("requests") / f"{server.name}-list"
    heads = signing.write_listings(path, server.signer(), LISTINGS)
    before = cpu_seconds(server.roots)
    first = one_by_one(server.port, heads, 0)
    if 1 / first.per_second < SLOW_SECONDS:
        return bench.load(server, Load(heads, 8, bench.plan.seconds, bench.plan.load_core))
    rate = one_by_one(server.port, heads, bench.plan.seconds)
    return rate, (cpu_seconds(server.roots) - before) / (rate.requests + 1) * 1e6


def _put_some(bench: Bench, server: Server) -> int:
    """As many objects as a few seconds take; how many there are for certain."""
    count, signer = 10_000, server.signer()
    bench.make_bucket(server)
    path = bench.room("requests") / f"{server.name}-fill"
    heads = signing.write_objects(path, signer, "PUT", range(count), b"x" * STORED_BYTES)
    load = Load(heads, 32, 4 * bench.plan.seconds, bench.plan.load_core, 0, STORED_BYTES)
    return min(count, bench.load(server, load)[0].requests)


def _write_files(server: Server, count: int) -> int:
    assert server.fill is not None
    os.makedirs(server.fill, exist_ok=True)
    for number in range(count):
        with open(f"{server.fill}/{key_of(number)}", "wb") as file:
            file.write(b"x" * STORED_BYTES)
    return count
