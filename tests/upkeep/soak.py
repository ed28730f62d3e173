"""Write many times what a daemon may keep, through a real daemon to a real remote, and look at its disk.

What is on disk afterwards is what is pending plus what the settings retain, however much has passed through: with a key
that waits for a person all the time, with restarts and kills in between, and with a view that is lost at the end.
"""

import http.client
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from live import LiveDaemon, wait_until

KIB, MIB = 1024, 1024 * 1024
BUCKET, STUCK = "soak", "waits-for-a-person"
KEYS, WRITERS = 480, 8
SETTLED_SECONDS = 120


@dataclass(frozen=True)
class Shape:
    """How small the files and the objects are, and how much is kept."""

    file_bytes_max: int = MIB
    keep_unsealed_bytes: int = 2 * MIB
    retain_files: int = 4
    body_bytes: int = 4 * KIB

    @property
    def limit_bytes(self) -> int:
        """What the settings allow to be kept of what the remote has: unsealed files, sealed ones, the active one."""
        return self.keep_unsealed_bytes + self.file_bytes_max * (self.retain_files + 2)

    @property
    def settled_bytes(self) -> int:
        """The most that may be on disk when nothing is under way: that, and what does not grow.

        View and base hold a row for each of KEYS objects; each of the two has a write-ahead log, the journal has one.
        """
        return self.limit_bytes + 16 * MIB

    def config(self, endpoint: str) -> str:
        return f"""
[remote]
sender = "inside"
endpoint = "{endpoint}"
access_key = "edge"
secret_key = "edge-secret"
[journal]
ballast_bytes = 0
file_bytes_max = {self.file_bytes_max}
keep_unsealed_bytes = {self.keep_unsealed_bytes}
retain_files = {self.retain_files}
[cache]
capacity_bytes = {MIB}
[shutdown]
drain_seconds = 0
"""


@dataclass(frozen=True)
class Sample:
    """Bytes at one moment."""

    written: int
    on_disk: int
    pending: int
    files: int


@dataclass
class Soak:
    """`run` writes; `samples` has what the disk looked like after each round, `peak` the most in between."""

    directory: Path
    shape: Shape = field(default_factory=Shape)
    seed: int = 1
    told: Callable[[Sample], None] = lambda _: None
    samples: list[Sample] = field(default_factory=list)
    peak: int = 0
    written: int = 0

    def run(self, times: float, rounds: int) -> None:
        """Write `times` the limit in so many rounds, with a restart or a kill after each; then verify."""
        self._random = random.Random(self.seed)
        self._latest = {f"k{number}": 0 for number in range(KEYS)}
        self.remote = LiveDaemon(self.directory / "remote", auth=False, config="[journal]\nballast_bytes = 0\n").start()
        try:
            config = self.shape.config(self.remote.url)
            self.edge = LiveDaemon(self.directory / "edge", auth=False, config=config).start()
            try:
                self._begin()
                for number in range(rounds):
                    self._write(int(times * self.shape.limit_bytes / rounds))
                    if number % 2 == 0:
                        self._restart(kill=True)  # while upkeep is busy
                    self._sample()
                    if number % 2 == 1:
                        self._restart(kill=False)
                self._verify()
                self._lose_the_view()
                self._verify()
            finally:
                self.edge.kill()
        finally:
            self.remote.kill()

    def _begin(self) -> None:
        """A bucket, and a record that will never leave by itself: the remote has something else under its key."""
        assert self.edge.fetch("PUT", f"/{BUCKET}").status == 200
        wait_until(lambda: self._pending()["count"] == 0)
        assert self.remote.fetch("PUT", f"/{BUCKET}/{STUCK}", b"a stranger's").status == 200
        put = self.edge.fetch("PUT", f"/{BUCKET}/{STUCK}", b"ours" * KIB, {"If-None-Match": "*"})
        assert put.status == 200
        wait_until(lambda: self._pending()["parked"] == 1)

    def _write(self, size_bytes: int) -> None:
        """By several clients, each with keys of its own, so that the last version of each is known."""
        count = size_bytes // self.shape.body_bytes // WRITERS
        with ThreadPoolExecutor(WRITERS) as writers:
            seeds = [self._random.random() for _ in range(WRITERS)]
            writing = [writers.submit(self._write_some, *one, count) for one in enumerate(seeds)]
            while not all(one.done() for one in writing):
                self.peak = max(self.peak, disk_bytes(self.directory / "edge"))
                time.sleep(0.2)
        for one in writing:
            one.result()
        self.written += count * WRITERS * self.shape.body_bytes

    def _write_some(self, writer: int, seed: float, count: int) -> None:
        keys, chance = [f"k{number}" for number in range(writer, KEYS, WRITERS)], random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.edge.port, timeout=60)
        for key in chance.choices(keys, k=count):
            version = self._latest[key] + 1
            connection.request("PUT", f"/{BUCKET}/{key}", body=self._body_of(key, version))
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            self._latest[key] = version
        connection.close()

    def _sample(self) -> None:
        """When everything has left and upkeep has come to rest."""
        wait_until(lambda: self._pending()["count"] == 1, SETTLED_SECONDS)
        wait_until(self._is_at_rest, SETTLED_SECONDS)
        on_disk = disk_bytes(self.directory / "edge")
        sample = Sample(self.written, on_disk, self._pending()["bytes"], len(self._files()))
        self.samples.append(sample)
        self.told(sample)
        assert on_disk <= self.shape.settled_bytes + sample.pending, f"{sample} is more than {self.shape.settled_bytes}"

    def _is_at_rest(self) -> bool:
        files = self._files()
        sealed = sum(file["state"] == "sealed" for file in files)
        unsealed = sum(file["bytes"] for file in files if file["state"] != "sealed")
        kept = self.shape.keep_unsealed_bytes + 2 * self.shape.file_bytes_max
        return sealed <= self.shape.retain_files and unsealed <= kept

    def _restart(self, *, kill: bool) -> None:
        if kill:
            self.edge.kill()
        else:
            assert self.edge.stop() == 3, "a record is pending: the exit code says so"
        assert self.edge.errors() == []
        self.edge.start()

    def _lose_the_view(self) -> None:
        self.edge.kill()
        for path in (self.directory / "edge").glob("view*"):
            path.unlink()
        self.edge.start()
        assert self.edge.errors() == []

    def _verify(self) -> None:
        """Every object that was written says what was written last; the parked one still waits."""
        for key, version in self._latest.items():
            if version:
                answer = self.edge.fetch("GET", f"/{BUCKET}/{key}")
                assert (answer.status, answer.body) == (200, self._body_of(key, version)), key
        stuck = self.edge.fetch("GET", f"/{BUCKET}/{STUCK}")
        assert (stuck.status, stuck.body) == (200, b"ours" * KIB)
        assert self._pending()["parked"] == 1

    def _body_of(self, key: str, version: int) -> bytes:
        """What a key holds in its nth version."""
        return random.Random(f"{key} {version}").randbytes(self.shape.body_bytes)

    def _pending(self) -> Any:
        return self.edge.ask("/status")["pending"]

    def _files(self) -> Any:
        return self.edge.ask("/status")["files"]


def disk_bytes(directory: Path) -> int:
    """What the files of a directory take up."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # removed meanwhile
    return total
