"""A burst of files in a drop folder of a daemon that is killed meanwhile: each becomes one object, whole, and goes.

`scripts/drop-burst` is this with as many files as you like; test_burst.py runs it small.
"""

import argparse
import hashlib
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live import LiveDaemon, wait_until

BUCKET, PREFIX = "burst", "raw/"
LARGE_BYTES = 200_000
PATIENCE_SECONDS = 3600


@dataclass(frozen=True)
class Outcome:
    """What came of it. `wrong` names keys that are missing, were put more than once, or have other bytes."""

    files: int
    seconds: float
    kills: int
    resident_bytes_max: int
    bystander_seconds: tuple[float, ...]
    wrong: tuple[str, ...]


def burst(home: Path, files: int, kills: int, seed: int) -> Outcome:
    """Write so many files, and kill the daemon so many times while it takes them."""
    dice = random.Random(seed)
    inbox = home / "in"
    inbox.mkdir()
    config = f'[[drop]]\nname = "burst"\ndirectory = "{inbox}"\nbucket = "{BUCKET}"\nprefix = "{PREFIX}"\n'
    daemon = LiveDaemon(home / "data", auth=False, config=config + 'after = "delete"\nsettle_seconds = 0.2\n').start()
    try:
        assert daemon.fetch("PUT", f"/{BUCKET}").status == 200
        began = time.monotonic()
        written: dict[str, str] = {}
        writing = threading.Thread(target=_write, args=(inbox, files, dice.randrange(2**32), written))
        writing.start()
        waits: list[float] = []
        resident = 0
        for _ in range(kills):
            goal = _taken(daemon) + files // (kills + 2)
            wait_until(lambda goal=goal: _taken(daemon) >= goal or _is_over(writing, inbox), PATIENCE_SECONDS)
            resident = max(resident, _resident_bytes(daemon))
            daemon.kill()
            daemon.start()
        while not _is_over(writing, inbox):
            waits.append(_bystander(daemon))
            time.sleep(0.05)
            assert time.monotonic() - began < PATIENCE_SECONDS
        seconds = time.monotonic() - began
        resident = max(resident, _resident_bytes(daemon))
        return Outcome(files, seconds, kills, resident, tuple(sorted(waits)), _wrong(daemon, written))
    finally:
        daemon.stop()


def _write(inbox: Path, files: int, seed: int, written: dict[str, str]) -> None:
    """As devices do: renamed, in place, in pieces; some large, some in directories."""
    dice = random.Random(seed)
    for number in range(files):
        data = dice.randbytes(LARGE_BYTES if dice.random() < 0.002 else dice.randrange(200))
        path = inbox / f"{number % 7}" / f"{number:06d}.bin"
        path.parent.mkdir(exist_ok=True)
        way = dice.randrange(10)
        if way < 5:
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(data)
            part.rename(path)
        elif way < 9:
            path.write_bytes(data)
        else:
            with path.open("wb") as file:
                for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                    file.write(half)
                    file.flush()
        written[f"{PREFIX}{number % 7}/{path.name}"] = hashlib.md5(data, usedforsecurity=False).hexdigest()


def _wrong(daemon: LiveDaemon, written: dict[str, str]) -> tuple[str, ...]:
    puts = Counter(one["key"] for one in _pages(daemon) if one["operation"] == "PutObject")
    client = daemon.client()
    found: dict[str, str] = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX):
        found |= {one["Key"]: one["ETag"].strip('"') for one in page.get("Contents", ())}
    client.close()
    keys = written.keys() | found.keys()
    return tuple(sorted(key for key in keys if puts[key] != 1 or written.get(key) != found.get(key)))


def _pages(daemon: LiveDaemon) -> list[dict[str, Any]]:
    """Everything is pending: there is no remote."""
    records: list[dict[str, Any]] = []
    after = "0"
    while after:
        page = daemon.ask(f"/pending?limit=10000&after={after}")
        records += page["records"]
        after = page["next"]
    return records


def _taken(daemon: LiveDaemon) -> int:
    return int(daemon.ask("/status")["drops"][0]["taken"])


def _is_over(writing: threading.Thread, inbox: Path) -> bool:
    """A daemon that was killed late finds less than another share of the files."""
    return not writing.is_alive() and not any(names for _, _, names in os.walk(inbox))


def _bystander(daemon: LiveDaemon) -> float:
    began = time.monotonic()
    assert daemon.fetch("PUT", f"/{BUCKET}/bystander", b"x" * 4096).status == 200
    return time.monotonic() - began


def _resident_bytes(daemon: LiveDaemon) -> int:
    status = Path(f"/proc/{daemon.process_id}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=int, nargs="?", default=100_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="s3d-burst-"))
    try:
        outcome = burst(home, given.files, given.kills, given.seed)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    waits = outcome.bystander_seconds
    print(f"{outcome.files:,} files in {outcome.seconds:.1f} s: {outcome.files / outcome.seconds:,.0f} a second")
    print(f"{outcome.kills} kills, {outcome.resident_bytes_max / 2**20:.0f} MiB resident at most")
    if waits:
        p50, p99, worst = (waits[int(share * (len(waits) - 1))] * 1000 for share in (0.5, 0.99, 1))
        print(f"a client's PUT meanwhile: median {p50:.1f} ms, 99 % below {p99:.1f} ms, worst {worst:.0f} ms")
    wrong = outcome.wrong
    print(f"WRONG: {len(wrong)}, such as {', '.join(wrong[:5])}" if wrong else "every file is one object, whole")
    raise SystemExit(1 if outcome.wrong else 0)
