"""A drill: a site writes and replicates, is backed up meanwhile, dies, and goes on elsewhere from the backup.

Every body says which write of its key it is. So two things can be checked of each key: the restored site has the last
write that was acknowledged before the backup began, or a later one; and the remote never goes back.
"""

import hashlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from live import PROGRAM, LiveDaemon, wait_until

KEYS = 12  # of each writer
SMALL, LARGE = 600, 80_000  # bytes: in a row of the journal, in a blob
PATIENCE_SECONDS = 60.0
Run = Callable[..., Any]
SITE = """
[remote]
endpoint = "{remote}"
access_key = "any"
secret_key = "any-secret"
bytes_per_second_max = {rate}
sender = "{sender}"
[journal]
file_bytes_max = 262144
keep_unsealed_bytes = 262144
"""


@dataclass
class Drilled:
    """What came of one drill. Seconds; `waits` are those of acknowledgements without a backup, and beside one."""

    keys: int = 0
    written: int = 0
    lost: int = 0
    pending_at_restore: int = 0
    backup_seconds: float = 0.0
    backup_bytes: int = 0
    waits: tuple[float, float] = (0.0, 0.0)
    longest: tuple[float, float] = (0.0, 0.0)
    wrong: list[str] = field(default_factory=list)


class Writer(threading.Thread):
    """One client that overwrites its keys, each write after the one before it was answered."""

    def __init__(self, daemon: LiveDaemon, bucket: str, number: int, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self._pause = pause
        self._bucket = bucket
        self._client = daemon.client()
        self._random = Random(f"{seed}-{number}")
        self._number = number
        self._ending = threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.places: list[str] = []
        self.waits: list[float] = []

    def run(self) -> None:
        """Write until it is told to end, or nobody answers any more."""
        version = 0
        with suppress(BotoCoreError, ClientError):
            while not self._ending.wait(self._pause):
                version += 1
                key = f"w{self._number}/k{self._random.randrange(KEYS)}"
                body = body_of(key, version, LARGE if self._random.random() < 0.2 else SMALL)
                began = time.monotonic()
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
                self.waits.append(time.monotonic() - began)
                self.acknowledged[key] = version
                self.places.append(answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"])

    def end(self) -> None:
        """Finish the write that is under way."""
        self._ending.set()
        self.join(PATIENCE_SECONDS)
        self._client.close()


def body_of(key: str, version: int, size: int) -> bytes:
    """A body that says which write it is of, and that it is whole."""
    filling = hashlib.sha256(f"{key} {version}".encode()).hexdigest().encode() * (size // 64)
    return f"{key} {version} ".encode() + filling


def version_of(key: str, body: bytes) -> int:
    """Which write of the key this is; -1: it is none, or not whole."""
    name, version, filling = [*body.decode().split(" ", 2), "", ""][:3]
    whole = name == key and version.isdecimal() and body == body_of(key, int(version), len(filling))
    return int(version) if whole else -1


def drill(
    directory: Path,
    far: LiveDaemon,
    seed: int,
    *,
    writers: int = 3,
    seconds: float = 1.0,
    rate: int = 4_000_000,
    run: Run | None = None,
    sender: str = "process",
    pause: float = 0.0,
) -> Drilled:
    """Do it once, with `far` as the remote. `seconds` before the backup begins, and up to so many after it.

    `pause` is how long a writer rests between two writes.

    What was wrong is in `wrong`. `run` runs a command, by default in a process of its own.
    """
    run = run or s3d
    config, bucket = SITE.format(remote=far.url, rate=rate, sender=sender), f"drill-{seed}"
    with _killed_at_the_end(LiveDaemon(directory / "site", auth=False, config=config)) as site:
        site.start()
        assert site.fetch("PUT", f"/{bucket}").status == 200
        clients = [Writer(site, bucket, number, seed, pause) for number in range(writers)]
        before, result = _until_it_dies(site, clients, directory, seed, seconds, run)
    at_remote = contents(far, bucket)
    restored = run("backup", "restore", directory / "backup", "--to", directory / "again", "--json")
    result.pending_at_restore = restored["pending"]
    with _killed_at_the_end(LiveDaemon(directory / "again", auth=False, config=config)) as again:
        again.start()
        _compare(again, far, bucket, before, at_remote, clients, result)
    return result


def _until_it_dies(
    site: LiveDaemon, clients: list[Writer], directory: Path, seed: int, seconds: float, run: Run
) -> tuple[dict[str, int], Drilled]:
    """What was acknowledged when the backup began; what is known of the drill so far."""
    for one in clients:
        one.start()
    wait_until(lambda: all(len(one.acknowledged) > KEYS // 2 for one in clients), PATIENCE_SECONDS)
    time.sleep(seconds)
    before = {key: version for one in clients for key, version in one.acknowledged.copy().items()}
    marks = [len(one.waits) for one in clients]
    taken = run("backup", directory / "backup", "--admin", site.admin, "--json")
    ends = [len(one.waits) for one in clients]
    time.sleep(seconds * Random(seed).random())
    site.kill()
    for one in clients:
        one.end()
    alone = sorted(wait for one, mark in zip(clients, marks, strict=True) for wait in one.waits[:mark])
    beside = sorted(w for one, mark, end in zip(clients, marks, ends, strict=True) for w in one.waits[mark:end])
    result = Drilled(
        keys=len(before),
        written=sum(len(one.places) for one in clients),
        backup_seconds=taken["seconds"],
        backup_bytes=taken["manifest"]["bytes"],
        waits=(_ninety_nine(alone), _ninety_nine(beside)),
        longest=(alone[-1], beside[-1] if beside else 0.0),
    )
    return before, result


def _compare(
    again: LiveDaemon,
    far: LiveDaemon,
    bucket: str,
    before: Mapping[str, int],
    at_remote: Mapping[str, int],
    clients: list[Writer],
    result: Drilled,
) -> None:
    wait_until(lambda: bool(again.ask("/status")["remote"]["state"] == "up"), PATIENCE_SECONDS)
    for key, version in before.items():
        found = again.fetch("GET", f"/{bucket}/{key}")
        if found.status != 200 or version_of(key, found.body) < version:
            result.wrong.append(f"{key}: write {version} was acknowledged before the backup, and is not there")
    place = again.fetch("PUT", f"/{bucket}/afterwards", b"x").headers["x-s3d-seq"]
    if place in {one for client in clients for one in client.places}:
        result.wrong.append(f"{place} names two records")
    wait_until(lambda: again.ask("/status")["pending"]["count"] == 0, PATIENCE_SECONDS)
    now = contents(far, bucket)
    for key in {**at_remote, **before}:
        least = max(before.get(key, 0), at_remote.get(key, 0))
        if now.get(key, -1) < least:
            result.wrong.append(f"{key}: the remote is to have write {least} at least, and has {now.get(key)}")
    newest = {key: version for one in clients for key, version in one.acknowledged.items()}
    result.lost = sum(version > now.get(key, 0) for key, version in newest.items())
    result.wrong += again.errors()


def contents(daemon: LiveDaemon, bucket: str) -> dict[str, int]:
    """Which write of each key a daemon has."""
    listed = daemon.fetch("GET", f"/{bucket}?list-type=2").body.decode()
    keys = [key for key in re.findall("<Key>([^<]+)</Key>", listed) if "/" in key]
    return {key: version_of(key, daemon.fetch("GET", f"/{bucket}/{key}").body) for key in keys}


def s3d(*arguments: object) -> Any:
    """Run the command; what it says. It has to end well."""
    ran = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{arguments} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def _ninety_nine(waits: list[float]) -> float:
    return waits[len(waits) * 99 // 100] if waits else 0.0


@contextmanager
def _killed_at_the_end(daemon: LiveDaemon) -> Iterator[LiveDaemon]:
    try:
        yield daemon
    finally:
        with suppress(AssertionError):  # it may never have been started
            daemon.kill()
