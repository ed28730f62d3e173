"""How long a daemon takes from its start to the first correct read, with millions of records behind it.

The data directory is written as a daemon would have left it: records through the journal, rotated, sealed and under a
base by upkeep itself, the newest of them pending because the link went down. Only the batches are larger than HTTP's.
Then a daemon starts on it: with its view as a clean stop leaves it, as a kill leaves it, and with the view lost, while
as much lies behind the base as upkeep ever lets happen.
"""

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from journal import Entry, Journal, SqliteBackend
from journal.disk import RealDisk
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import SystemClock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.config import load
from s3d.events import CONFIRMED, OUTCOME_STREAM, Confirmation, Confirmed, Mutation, encode
from s3d.operations.bodies import BodyCache
from s3d.upkeep.decide import BASE_RECORDS, Limits
from s3d.upkeep.upkeep import Upkeep
from s3d.values import stream_of
from s3d.view.questions import Questions
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

BUCKET = "history"
BATCH = 1000
BODY_BYTES = 128
START_SECONDS_MAX = 900
LATER_SECONDS = 75  # the collection of unused blobs has been round by then
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Start:
    """One start: seconds from the process's start to `ready` and to the first read, memory then and at its peak."""

    name: str
    ready_seconds: float
    read_seconds: float
    resident_mib: float
    peak_mib: float


@click.command()
@click.option("--records", default=10_000_000, show_default=True, type=click.IntRange(min=2 * BATCH))
@click.option("--pending", default=1_000_000, show_default=True, type=click.IntRange(min=BATCH))
@click.option("--directory", type=click.Path(path_type=Path), help="Where to build; built already: use it as it is.")
@click.option("--starts", default=2, show_default=True, type=click.IntRange(min=1), help="Of each kind.")
@click.option("--later", default=LATER_SECONDS, show_default=True, help="Seconds until memory is looked at again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def main(records: int, pending: int, directory: Path | None, starts: int, later: int, as_json: bool) -> None:  # noqa: FBT001
    """Build RECORDS records, PENDING of which have not arrived, and start a daemon on them."""
    made = Path(tempfile.mkdtemp(prefix="s3d-cold-")) if directory is None else directory
    try:
        data = made / "data"
        if not data.exists():
            asyncio.run(_build(data, records, pending))
        found = [start for one in _kinds(data, records, starts, later) for start in one]
        _tell(found, data, as_json=as_json)
    finally:
        if directory is None:
            shutil.rmtree(made, ignore_errors=True)


# building


async def _build(directory: Path, records: int, pending: int) -> None:
    disk, clock = RealDisk(), SystemClock()
    disk.make_directory(str(directory))
    trust = ViewTrust(disk, str(directory), *this_boot(str(directory)))
    _, token = trust.begin()
    view = View(f"{directory}/view.db", token=token, trusted=None)
    backend = SqliteBackend(f"{directory}/journal", disk=disk, synchronous="OFF")
    machine = StateMachine(view, has_remote=True, origin=backend)
    journal = await Journal.open(backend, machine, now_ms=lambda: milliseconds(clock.now()))
    files = BlobFiles(disk, f"{directory}/blobs")
    files.prepare()
    pool = BlobPool(files, 1)
    reader = view.reader()
    rows = RowBodies(journal.body, Questions(reader).relocated, pool, BodyCache(0))
    upkeep = Upkeep(journal, view.reader, pool, rows, disk, clock, _limits())
    await _write(journal, records - pending, pending, upkeep)
    await upkeep.close()
    pool.close()
    await journal.close()
    reader.close()
    if view.close(sync=True):
        trust.end_clean(token)


def _limits() -> Limits:
    journal = load({}, {}, None).journal
    return Limits(
        journal.keep_unsealed_bytes, journal.retain_files, journal.retain_bytes, journal.retain_days, has_remote=True
    )


async def _write(journal: Journal, confirmed: int, pending: int, upkeep: Upkeep) -> None:
    """What has arrived, what has not; upkeep has its last say when it would next make a base one record later."""
    await journal.append([Entry(BUCKET, "CreateBucket", encode(Mutation()))])
    await _confirm(journal, [journal.head.sequence])
    total, behind = confirmed + pending, min(BASE_RECORDS - BATCH, pending)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("records", total=total)
        while (at := journal.head.sequence) < total:
            if total - at <= behind:
                behind = 0
                bar.update(task, description="upkeep")
                while await upkeep.step() is not None:
                    pass
                bar.update(task, description="records")
            appended = await journal.append([_entry(number) for number in range(at + 1, min(at + BATCH, total) + 1)])
            if at < confirmed:
                await _confirm(journal, [record.sequence for record in appended])
            bar.update(task, completed=at)


async def _confirm(journal: Journal, sequences: list[int]) -> None:
    told = Confirmed(confirmations=tuple(Confirmation(one, etag="0" * 32) for one in sequences))
    await journal.append([Entry(OUTCOME_STREAM, CONFIRMED, encode(told))])


def _entry(number: int) -> Entry:
    body = _body(number)
    mutation = Mutation(
        input={"ContentType": "application/json", "Metadata": {"site": "roof"}},
        caller="AKIDEXAMPLE",
        source="127.0.0.1",
        request=f"{number:016X}",
        size=len(body),
        etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
    )
    digest = hashlib.sha256(body).digest()
    return Entry(stream_of(BUCKET, _key(number)), "PutObject", encode(mutation), body, digest, len(body))


def _key(number: int) -> str:
    return f"sensors/{number % 100:02}/{number:012}.json"


def _body(number: int) -> bytes:
    return f"{number:016}".encode() * (BODY_BYTES // 16)


# starting


def _kinds(data: Path, records: int, starts: int, later: int) -> Iterator[list[Start]]:
    """In this order, because the last one is not the directory any more that was built."""
    yield [_start(data, records, "clean stop", signal.SIGTERM, 0) for _ in range(starts)]
    _start(data, records, "", signal.SIGKILL, 0)
    yield [_start(data, records, "kill", signal.SIGKILL, 0) for _ in range(starts)]
    for number in range(starts):
        for path in data.glob("view*"):
            path.unlink()
        last = number == starts - 1
        yield [_start(data, records, "view lost", signal.SIGTERM, later if last else 0)]
    yield [_start(data, records, f"{later} s later", signal.SIGTERM, later)]


def _start(data: Path, records: int, name: str, end: int, stay_seconds: float) -> Start:
    """Start, read the newest record's body and an old one's description, and end it by a signal."""
    config = data.parent / "cold.toml"
    config.write_text('[remote]\nendpoint = "http://127.0.0.1:9"\naccess_key = "any"\nsecret_key = "any"\n')
    arguments = ["run", "--data-dir", str(data), "--config", str(config), "--listen", "http://127.0.0.1:0"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("S3", "AWS_"))}
    began = time.monotonic()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("s3d")), *arguments, "--admin", "http://127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        port = _wait_for_port(process)
        ready_seconds = time.monotonic() - began
        _check_reads(port, records)
        read_seconds = time.monotonic() - began
        time.sleep(stay_seconds)
        resident, peak = _memory_mib(process.pid)
        return Start(name, ready_seconds, read_seconds, resident, peak)
    finally:
        process.send_signal(end)
        process.wait(120)
        assert process.stderr is not None
        process.stderr.close()


def _wait_for_port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if '"event": "ready"' in line:
            return int(json.loads(line)["listen"].rpartition(":")[2])
    raise SystemExit("the daemon did not start:\n" + "".join(said[-20:]))


def _check_reads(port: int, records: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS_MAX)
    connection.request("GET", f"/{BUCKET}/{_key(records)}")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, _body(records)), "the newest record does not read as written"
    connection.request("HEAD", f"/{BUCKET}/{_key(1500)}")
    answer = connection.getresponse()
    answer.read()
    wanted = hashlib.md5(_body(1500), usedforsecurity=False).hexdigest()
    assert (answer.status, answer.getheader("ETag")) == (200, f'"{wanted}"'), "an old object is not what it was"
    connection.close()


def _memory_mib(pid: int) -> tuple[float, float]:
    """What a process holds now, and the most that it has held."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("VmRSS", "VmHWM")):
            found[line[:5]] = int(line.split()[1]) / 1024
    return found["VmRSS"], found["VmHWM"]


def _tell(starts: list[Start], data: Path, *, as_json: bool) -> None:
    sizes: dict[str, Any] = {
        "journal_mib": _mib(data / "journal", lambda path: not path.name.startswith("base-")),
        "base_mib": _mib(data / "journal", lambda path: path.name.startswith("base-")),
        "view_mib": _mib(data, lambda path: path.name.startswith("view")),
    }
    if as_json:
        print(json.dumps({**sizes, "starts": [asdict(one) for one in starts]}, indent=2))
        return
    table = Table("view", "ready s", "first read s", "resident MiB", "peak MiB")
    for one in starts:
        figures = (one.ready_seconds, one.read_seconds, one.resident_mib, one.peak_mib)
        table.add_row(one.name, *(f"{figure:.1f}" for figure in figures))
    out = Console(highlight=False)
    out.print(", ".join(f"{name.replace('_mib', '')} {size:,.0f} MiB" for name, size in sizes.items()))
    out.print(table)


def _mib(directory: Path, wanted: Callable[[Path], bool]) -> float:
    return sum(path.stat().st_size for path in directory.iterdir() if path.is_file() and wanted(path)) / 2**20


if __name__ == "__main__":
    main()
