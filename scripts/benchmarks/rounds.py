"""One run: start everything, measure in interleaved rounds, so that a slow minute of the machine slows every row."""

import hashlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load, signing
from benchmarks.load import LARGE_BYTES, LoadFailed, Rate
from benchmarks.servers import Server, start_bare, start_daemon
from benchmarks.signing import BODY_BYTES, BUCKET, Heads, Signer

HOT_KEYS = 2000  # 8 MiB: they fit into the daemon's memory for small bodies
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked of a run."""

    directory: Path
    rounds: int
    seconds: float
    list_objects: int
    rows: frozenset[str]
    server_core: int
    load_core: int
    baseline: Path | None


@dataclass
class Found:
    """Per row every round's figure, in order: rows of one round belong together."""

    series: dict[str, list[float]] = field(default_factory=dict)
    p50_ms: dict[str, list[float]] = field(default_factory=dict)
    p99_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)

    def add(self, row: str, value: float) -> None:
        """One round's figure."""
        self.series.setdefault(row, []).append(value)

    def median(self, row: str) -> float:
        """Of all rounds."""
        return statistics.median(self.series[row])

    def ratio(self, row: str, to: str) -> tuple[float, float, float] | None:
        """Median, least and greatest of the rounds' own ratios."""
        if row not in self.series or to not in self.series:
            return None
        ratios = [a / b for a, b in zip(self.series[row], self.series[to], strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


class _Run:
    """The servers, the prepared requests, and how far each daemon's keys have been used up."""

    def __init__(self, plan: Plan, stack: ExitStack, say: Say) -> None:
        self._plan = plan
        self._stack = stack
        self._say = say
        self.found = Found()
        self._written: dict[str, int] = {}
        self._heads: dict[tuple[str, str], Heads] = {}
        self._bare = self._kept(start_bare(plan.server_core))
        self._signed = self._daemon("signed", signed=True)
        self._daemons = [self._signed]
        if "unsigned" in plan.rows:
            self._daemons.append(self._daemon("unsigned", signed=False))
        if plan.baseline is not None:
            self._daemons.append(self._daemon("baseline", signed=True, checkout=plan.baseline))

    def measure(self) -> None:
        """Everything the plan asks for."""
        plan, rows = self._plan, self._plan.rows
        self._prepare()
        for number in range(plan.rounds):
            self._say(f"round {number + 1} of {plan.rounds}")
            with _on_core(plan.server_core):
                self.found.add("append", load.appends_per_second(plan.directory, min(plan.seconds, 2.0)))
            self._round(rows)
        for daemon in self._daemons:
            self.found.memory_mib[f"{daemon.name}, after the PUTs"] = daemon.resident_mib()
        if "list" in rows:
            self._list()
        if "large" in rows:
            self._large()
        self.found.memory_mib["bare, peak"] = self._bare.peak_mib()
        for daemon in self._daemons:
            self.found.memory_mib[f"{daemon.name}, peak"] = daemon.peak_mib()

    def _prepare(self) -> None:
        """Buckets, signed requests and the objects that GET asks for."""
        self._say("signing requests")
        count = max(self._plan.list_objects, 20_000)  # after so many, keys are written again
        for server in self._daemons:
            self.found.memory_mib[f"{server.name}, at start"] = server.resident_mib()
            signer = Signer(f"127.0.0.1:{server.port}")
            load.exchange(server.port, signer.head("PUT", f"/{BUCKET}"), memoryview(b""))
            body = b"x" * BODY_BYTES
            file = self._plan.directory / f"{server.name}-put"
            self._heads[server.name, "PUT"] = signing.write_objects(file, signer, "PUT", count, body)
            file = self._plan.directory / f"{server.name}-get"
            self._heads[server.name, "GET"] = signing.write_objects(file, signer, "GET", count)
            self._put(server, 32, record=False)
            self._get(server, "warm", record=False)
        self._heads["bare", "PUT"] = self._heads["signed", "PUT"]
        self._heads["bare", "GET"] = self._heads["signed", "GET"]
        self._put(self._bare, 32, record=False)

    def _round(self, rows: frozenset[str]) -> None:
        servers = [self._bare, *self._daemons]
        if "put" in rows:
            for server in servers:
                self._put(server, 32)
        if "put1" in rows:
            for server in servers:
                self._put(server, 1)
        if "get" in rows:
            for server in servers:
                self._get(server, "hot")
        if "cold" in rows:
            for server in self._daemons:
                self._get(server, "cold")

    def _put(self, server: Server, connections: int, *, record: bool = True) -> None:
        offset = self._written.get(server.name, 0)
        rate, cpu_us = self._load(server, "PUT", connections, offset, BODY_BYTES)
        self._written[server.name] = offset + rate.requests
        if record:
            self._record(f"PUT {connections} {server.name}", rate, cpu_us)

    def _get(self, server: Server, temperature: str, *, record: bool = True) -> None:
        """`hot` asks again and again for a few keys, `cold` for all that were written, in the order of writing."""
        heads = self._heads[server.name, "GET"]
        # The last requests of a round may have been cut off, so the last keys may be missing.
        written = HOT_KEYS if temperature != "cold" else min(self._written[server.name] - 64, heads.count)
        limited = Heads(heads.path, heads.size, min(heads.count, written))
        rate, cpu_us = self._load(server, "GET", 32, 0, 0, limited)
        if record:
            self._record(f"GET {temperature} {server.name}", rate, cpu_us)

    def _load(
        self, server: Server, method: str, connections: int, offset: int, body: int, heads: Heads | None = None
    ) -> tuple[Rate, float]:
        heads = heads or self._heads[server.name, method]
        before = server.cpu_seconds()
        rate = load.wrk(server.port, heads, connections, self._plan.seconds, self._plan.load_core, offset, body)
        return rate, (server.cpu_seconds() - before) / rate.requests * 1e6

    def _record(self, row: str, rate: Rate, cpu_us: float) -> None:
        self.found.add(row, rate.per_second)
        self.found.p50_ms.setdefault(row, []).append(rate.p50_ms)
        self.found.p99_ms.setdefault(row, []).append(rate.p99_ms)
        self.found.cpu_us.setdefault(row, []).append(cpu_us)

    def _list(self) -> None:
        self._say("filling the bucket for LIST")
        for server in self._daemons:
            while self._written[server.name] < self._plan.list_objects:
                self._put(server, 32, record=False)
            signer = Signer(f"127.0.0.1:{server.port}")
            file = self._plan.directory / f"{server.name}-list"
            self._heads[server.name, "LIST"] = signing.write_listings(file, signer, 100)
        for _ in range(self._plan.rounds):
            for server in self._daemons:
                rate, cpu_us = self._load(server, "LIST", 8, 0, 0)
                self._record(f"LIST {server.name}", rate, cpu_us)

    def _large(self) -> None:
        self._say("64 MiB bodies")
        body = memoryview(os.urandom(LARGE_BYTES))
        sha256 = hashlib.sha256(body).hexdigest()
        path = f"/{BUCKET}/large"
        with _on_core(self._plan.load_core):
            for _ in range(2 * self._plan.rounds):
                for server in (self._bare, *self._daemons):
                    signer = Signer(f"127.0.0.1:{server.port}")
                    put = signer.head("PUT", path, sha256=sha256, length=LARGE_BYTES)
                    self.found.add(f"PUT large {server.name}", 64 / load.exchange(server.port, put, body))
                    get = signer.head("GET", path)
                    seconds = load.exchange(server.port, get, memoryview(b""), LARGE_BYTES)
                    self.found.add(f"GET large {server.name}", 64 / seconds)

    def _daemon(self, name: str, *, signed: bool, checkout: Path | None = None) -> Server:
        directory = self._plan.directory
        log = directory / f"{name}.log"
        return self._kept(
            start_daemon(name, directory / name, self._plan.server_core, signed=signed, keep_log=log, checkout=checkout)
        )

    def _kept(self, server: Server) -> Server:
        self._stack.callback(server.stop)
        return server


def run(plan: Plan, say: Say) -> Found:
    """Measure. Raises LoadFailed, RuntimeError when a server does not start."""
    with ExitStack() as stack:
        measured = _Run(plan, stack, say)
        began = time.monotonic()
        measured.measure()
        if time.monotonic() - began > 850:
            raise LoadFailed("the signatures expire after fifteen minutes: fewer or shorter rounds, please")
        return measured.found


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
