"""What is asked of a run, and what its sections share."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.findings import Findings, Sample
from benchmarks.load import Load, LoadFailed, Rate, exchange, wrk
from benchmarks.servers import Server
from benchmarks.signing import BODY_BYTES, BUCKET

Say = Callable[[str], None]

SECTIONS = ("put", "put1", "get", "cold", "list", "large", "drain", "sustained", "stores", "start", "fold")
ON_REQUEST = ("backlog",)  # takes as long as all the others


@dataclass(frozen=True)
class Plan:
    """Sizes and places. `stores` are numbers of objects; starts are measured of `large_store` and larger ones."""

    directory: Path
    rows: frozenset[str]
    minutes: float = 12.0  # on a slow machine sections have fewer rounds, so that a run ends about then; 0: no limit
    rounds: int = 5
    seconds: float = 2.0
    stores: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    keys: int = 60_000  # after so many, keys are written again
    drain_objects: int = 6_000
    drain_rounds: int = 3
    backlog_objects: int = 100_000
    backlog_rounds: int = 2
    large_rounds: int = 6
    folded: int = 200_000  # records of each journal that is folded anew
    paced: float = 1500.0
    paced_seconds: float = 4.0
    search: bool = True
    settle_seconds: float = 2.0
    peers: tuple[str, ...] = ("rclone", "juicefs", "rgw")
    unsigned: bool = True
    warm: bool = True  # a first load that does not count
    baseline: Path | None = None
    server_core: int = 0
    load_core: int = 1

    @property
    def large_store(self) -> int:
        """The store that the aims are about: a million objects, or the largest that there is."""
        return min(max(self.stores), 1_000_000)

    @property
    def both_cores(self) -> frozenset[int]:
        """For what is meant to use more than one."""
        return frozenset({self.server_core, self.load_core})


@dataclass
class Bench:
    """A run in progress. Whatever is started goes on `stack`, so that it ends with the run."""

    plan: Plan
    stack: ExitStack
    say: Say
    findings: Findings = field(default_factory=Findings)
    loads: int = 0

    def keep(self, server: Server) -> Server:
        """Have it stopped at the end."""
        self.stack.callback(server.stop)
        return server

    def room(self, name: str) -> Path:
        """A directory of this run."""
        path = self.plan.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def rounds(self, section: str, count: int, share: float) -> Iterator[int]:
        """The numbers of the rounds: at least one, and no more than fit into the section's share of the time."""
        began, limit = time.monotonic(), share * self.plan.minutes * 60
        for number in range(count):
            self.say(f"{section}, round {number + 1} of {count}")
            yield number
            with_another = (time.monotonic() - began) / (number + 1) * (number + 2)
            if limit and with_another > limit and number + 1 < count:
                why = f"{limit:.0f} s, its share of {self.plan.minutes:g} minutes, were over: see --minutes"
                self.findings.lacks(f"{section}: {number + 1} of {count} rounds", why)
                return

    def make_bucket(self, server: Server) -> None:
        """The bucket of all requests, which may be there already, and an object in it. Raises LoadFailed, OSError."""
        head = server.signer().head("PUT", f"/{BUCKET}")
        try:
            exchange(server.port, head)
        except LoadFailed as error:
            if "409" not in str(error):
                raise
        body = b"x" * BODY_BYTES  # a first object: some servers make what they keep objects in with it
        sha256 = hashlib.sha256(body).hexdigest()
        head = server.signer().head("PUT", f"/{BUCKET}/first", sha256=sha256, length=len(body))
        exchange(server.port, head, memoryview(body))

    def load(self, server: Server, load: Load) -> tuple[Rate, float]:
        """The rate, and the CPU that the server used for each request, in microseconds. Raises LoadFailed."""
        before = server.cpu_seconds()
        rate = wrk(server.port, load)
        self.loads += 1
        return rate, (server.cpu_seconds() - before) / rate.requests * 1e6

    def note(self, row: str, server: Server, number: int, measured: tuple[Rate, float]) -> None:
        """Remember a rate in a row that exists, and what the server holds now."""
        self.note_as(row, server.name, number, server, measured)

    def note_as(self, row: str, name: str, number: int, server: Server, measured: tuple[Rate, float]) -> None:
        """The same under another name."""
        rate, cpu_us = measured
        self.add(row, name, Sample(number, rate.per_second, rate.p50_ms, rate.p99_ms, cpu_us))
        self.findings.rows[row].memory[name] = server.memory()

    def add(self, row: str, name: str, sample: Sample) -> None:
        """Remember a figure that belongs to no server, or to more than one."""
        self.findings.rows[row].samples.setdefault(name, []).append(sample)


def spread_over(count: int, most: int) -> Sequence[int]:
    """At most so many of the numbers below `count`, all over them."""
    step = max(1, count // most)
    return range(0, count, step)[:most]
