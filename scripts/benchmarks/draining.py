"""A backlog that drains, and s5cmd uploading the same objects as files to a target of its own, on the same cores."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import LoadFailed
from benchmarks.peers import NotInstalled, start_rclone, tool
from benchmarks.plan import Bench
from benchmarks.servers import SETTINGS, Daemon, Server, pinned, start_sink
from benchmarks.signing import BODY_BYTES, BUCKET, key_of
from benchmarks.stores import fill

CONFIRMED = "s3d_replicated_records_total"
LOOK_SECONDS_LEAST, LOOK_SECONDS_MOST = 0.02, 1.0
OBJECTS_PER_SECOND_LEAST = 50.0  # whoever is slower has failed


@dataclass(frozen=True)
class Target:
    """Where objects are sent to: `start` makes one under a name on the load's core, to end with the stack."""

    title: str
    start: Callable[[str, ExitStack], Server]


@dataclass(frozen=True)
class Backlog:
    """A stopped data directory whose records all wait, the same objects as files, and on what their senders run."""

    directory: Path
    files: Path
    objects: int
    cores: frozenset[int]
    settings: str
    uploader: str | None

    @property
    def seconds_max(self) -> float:
        """How long sending all of it may take."""
        return max(120.0, self.objects / OBJECTS_PER_SECOND_LEAST)

    @property
    def records(self) -> int:
        """The bucket is one, too."""
        return self.objects + 1

    def daemon(self, directory: Path, target: Server) -> Daemon:
        """A daemon over a copy of it."""
        shutil.copytree(self.directory, directory)
        remote, keys = url_of(target), (target.access_key, target.secret_key)
        return Daemon(SUBJECT, directory, self.cores, remote=remote, keys=keys, settings=self.settings)


def make_backlog(
    bench: Bench, name: str, objects: int, cores: frozenset[int], settings: str = SETTINGS, *, grouped: bool = False
) -> Backlog:
    """Write it. Raises ServerFailed."""
    bench.say(f"writing {objects:,} objects, and as many files")
    directory, files = bench.plan.directory / f"{name}-filled", bench.plan.directory / f"{name}-files"
    fill(directory, objects, BODY_BYTES, grouped=grouped)
    files.mkdir()
    for number in range(objects):
        (files / key_of(number)).write_bytes(b"x" * BODY_BYTES)
    try:
        uploader = tool("s5cmd")
    except NotInstalled as error:
        bench.findings.lacks("s5cmd", str(error))
        uploader = None
    return Backlog(directory, files, objects, cores, settings, uploader)


def sink(bench: Bench) -> Target:
    """A remote that only answers."""
    return Target("a sink", lambda _name, stack: _ending(stack, start_sink(bench.plan.load_core)))


def other(bench: Bench) -> Target:
    """Another daemon of this project."""
    core = frozenset({bench.plan.load_core})
    return Target(
        "another s3d",
        lambda name, stack: _ending(stack, Daemon("target", bench.plan.directory / name, core).start()),
    )


def rclone(bench: Bench) -> Target:
    """A server of somebody else's."""
    plan = bench.plan
    return Target(
        "rclone serve s3", lambda name, stack: _ending(stack, start_rclone(plan.directory / name, plan.load_core))
    )


def send(bench: Bench, row: str, number: int, backlog: Backlog, target: Target) -> None:
    """One round of a row: the daemon, then s5cmd, each to a target of its own. Raises LoadFailed, ServerFailed."""
    bench.findings.row(row, f"Send {backlog.objects:,} objects of 4 KiB to {target.title}", "/s")
    with cleared(bench, f"{row}-drained-{number}") as (place, stack):
        _drain(bench, row, number, backlog, place, target.start(f"{place.name}/target", stack))
    if backlog.uploader is not None:
        with cleared(bench, f"{row}-uploaded-{number}") as (place, stack):
            _upload(bench, row, number, backlog, backlog.uploader, target.start(f"{place.name}/target", stack))


@contextmanager
def cleared(bench: Bench, name: str) -> Iterator[tuple[Path, ExitStack]]:
    """A place for one drain, gone with its servers when it is over: thirty of them would fill a small disk."""
    place = bench.room(name)
    with ExitStack() as stack:
        yield place, stack
    shutil.rmtree(place, ignore_errors=True)


def url_of(target: Server) -> str:
    """Its endpoint."""
    return f"http://127.0.0.1:{target.port}"


def _drain(bench: Bench, row: str, number: int, backlog: Backlog, place: Path, target: Server) -> None:
    """Start a daemon whose backlog is all the objects; time and CPU from its first confirmations to the last."""
    total = backlog.records
    edge = backlog.daemon(place / "edge", target)
    started = time.monotonic()
    server = edge.start()
    try:
        begun = (0.0, started, server.cpu_seconds())
        confirmed, now, wait = 0.0, time.monotonic(), LOOK_SECONDS_LEAST
        deadline = now + backlog.seconds_max
        while confirmed < total and now < deadline:
            time.sleep(wait)
            confirmed, now = server.metric(CONFIRMED), time.monotonic()
            if not begun[0] and 0 < confirmed < total / 2:  # where it is half over already, the start counts too
                begun = (confirmed, now, server.cpu_seconds())
            wait = _until_the_next_look(begun[0], begun[1], confirmed, now, total)
        if confirmed < total:
            raise LoadFailed(f"{total - confirmed:,.0f} of {total:,} records were not confirmed in time")
        rate = (total - begun[0]) / max(now - begun[1], 1e-3)
        cpu_us = (server.cpu_seconds() - begun[2]) / (total - begun[0]) * 1e6
        bench.add(row, SUBJECT, Sample(number, rate, cpu_us=cpu_us))
        bench.findings.rows[row].memory[SUBJECT] = server.memory()
    finally:
        server.stop()


def _until_the_next_look(first: float, began: float, confirmed: float, now: float, total: float) -> float:
    """Seconds. A look costs the daemon milliseconds, twenty a second a tenth of its rate: half of what is left."""
    if confirmed <= first:
        return LOOK_SECONDS_LEAST
    left = (total - confirmed) * (now - began) / (confirmed - first)
    return min(max(left / 2, LOOK_SECONDS_LEAST), LOOK_SECONDS_MOST)


def _upload(bench: Bench, row: str, number: int, backlog: Backlog, program: str, target: Server) -> None:
    """The same objects by s5cmd, from its start to its end, 32 at a time as the daemon's lanes are."""
    bench.make_bucket(target)
    command = [*pinned(backlog.cores), program, "--endpoint-url", url_of(target), "--numworkers", "32"]
    command += ["--log", "error", "cp", f"{backlog.files}/", f"s3://{BUCKET}/"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "S3_"))}
    environment |= {"AWS_ACCESS_KEY_ID": target.access_key, "AWS_SECRET_ACCESS_KEY": target.secret_key}
    environment |= {"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    used, began = os.times(), time.monotonic()
    limit = backlog.seconds_max
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=limit)
    seconds, after = time.monotonic() - began, os.times()
    if ran.returncode != 0:
        bench.findings.lacks(f"s5cmd to {target.name}", ran.stderr[-300:])
        return
    cpu = after.children_user + after.children_system - used.children_user - used.children_system
    bench.add(row, "s5cmd", Sample(number, backlog.objects / seconds, cpu_us=cpu / backlog.objects * 1e6))


def _ending(stack: ExitStack, server: Server) -> Server:
    stack.callback(server.stop)
    return server
