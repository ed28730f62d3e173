"""What reaches a remote: how fast a backlog drains, and which rate of writes is both acknowledged and confirmed.

A drain has the client (the daemon with its sender, or s5cmd uploading the same objects as files) on the servers' core
and the target on the load's. A sustained load has the daemon on both cores, the load and the sink on the load's.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import signing
from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import Load, LoadFailed, Rate
from benchmarks.peers import NotInstalled, tool
from benchmarks.plan import Bench
from benchmarks.processes import pin
from benchmarks.servers import Daemon, Server, pinned, start_sink
from benchmarks.signing import BODY_BYTES, BUCKET, Heads, key_of
from benchmarks.stores import fill

CONFIRMED = "s3d_replicated_records_total"
DRAIN_SECONDS_MAX = 120.0
STEADY = 0.95  # of what was asked, acknowledged and confirmed alike: then the backlog does not grow
SEARCH_STEPS = 4
PACED_ROUNDS = 3
REPLICATING, ALONE = SUBJECT, f"{SUBJECT} without a remote"
_Start = Callable[[str, ExitStack], Server]


def measure_drains(bench: Bench, rgw: Server | None) -> None:
    """The rows `drain-sink`, `drain-s3d` and, where it runs, `drain-rgw`. Raises LoadFailed, ServerFailed."""
    plan = bench.plan
    filled, files = plan.directory / "drain-filled", plan.directory / "drain-files"
    bench.say(f"writing {plan.drain_objects:,} objects, and as many files")
    fill(filled, plan.drain_objects, BODY_BYTES)
    _write_files(files, plan.drain_objects)
    uploader = _s5cmd(bench)
    with ExitStack() as moved:
        targets = _targets(bench, rgw, moved)
        for number in bench.rounds("drain", plan.drain_rounds, 0.18):
            for target, (title, start) in targets.items():
                row = f"drain-{target}"
                bench.findings.row(row, f"Send {plan.drain_objects:,} objects of 4 KiB to {title}", "/s")
                with _cleared(bench, f"drained-{target}-{number}") as (place, stack):
                    _drain(bench, row, number, place, filled, start(f"{place.name}/target", stack))
                if uploader is not None:
                    with _cleared(bench, f"uploaded-{target}-{number}") as (place, stack):
                        _upload(bench, row, number, uploader, files, start(f"{place.name}/target", stack))


def _targets(bench: Bench, rgw: Server | None, moved: ExitStack) -> dict[str, tuple[str, _Start]]:
    """Each with its title and how to start it on the load's core; `moved` takes the gateway back to the servers'."""
    plan = bench.plan

    def sink(name: str, stack: ExitStack) -> Server:
        server = start_sink(plan.load_core)
        stack.callback(server.stop)
        return server

    def other(name: str, stack: ExitStack) -> Server:
        server = Daemon("target", plan.directory / name, frozenset({plan.load_core})).start()
        stack.callback(server.stop)
        return server

    targets: dict[str, tuple[str, _Start]] = {"sink": ("a sink", sink), "s3d": ("another s3d", other)}
    if rgw is not None:
        pin(rgw.roots, plan.load_core)
        moved.callback(pin, rgw.roots, plan.server_core)
        targets["rgw"] = (rgw.name, lambda name, stack: rgw)
    return targets


def _drain(bench: Bench, row: str, number: int, place: Path, filled: Path, target: Server) -> None:
    """Start a daemon whose backlog is all the objects; the time from its first confirmations to the last."""
    directory, total = place / "edge", bench.plan.drain_objects + 1  # the bucket is a record too
    shutil.copytree(filled, directory)
    started = time.monotonic()
    edge = Daemon(SUBJECT, directory, frozenset({bench.plan.server_core}), remote=_url(target), keys=_keys(target))
    server = edge.start()
    try:
        before = server.cpu_seconds()
        first, began, now, confirmed = 0.0, 0.0, time.monotonic(), 0.0
        deadline = now + DRAIN_SECONDS_MAX
        while confirmed < total and now < deadline:
            time.sleep(0.05)
            confirmed, now = server.metric(CONFIRMED), time.monotonic()
            if not began and confirmed:  # where it is half over already, the start counts too
                first, began = (confirmed, now) if confirmed < total / 2 else (0.0, started)
        if confirmed < total:
            raise LoadFailed(
                f"{total - confirmed:,.0f} of {total:,} records were not confirmed in {DRAIN_SECONDS_MAX} s"
            )
        rate = (total - first) / max(now - began, 1e-3)
        cpu_us = (server.cpu_seconds() - before) / total * 1e6
        bench.add(row, SUBJECT, Sample(number, rate, cpu_us=cpu_us))
        bench.findings.rows[row].memory[SUBJECT] = server.memory()
    finally:
        server.stop()


def _upload(bench: Bench, row: str, number: int, program: str, files: Path, target: Server) -> None:
    """The same objects by s5cmd, from its start to its end, 32 at a time as the daemon's lanes are."""
    bench.make_bucket(target)
    command = [*pinned({bench.plan.server_core}), program, "--endpoint-url", _url(target), "--numworkers", "32"]
    command += ["--log", "error", "cp", f"{files}/", f"s3://{BUCKET}/"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "S3_"))}
    environment |= {"AWS_ACCESS_KEY_ID": target.access_key, "AWS_SECRET_ACCESS_KEY": target.secret_key}
    environment |= {"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    used, began = os.times(), time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    seconds, after = time.monotonic() - began, os.times()
    if ran.returncode != 0:
        bench.findings.lacks(f"s5cmd to {target.name}", ran.stderr[-300:])
        return
    cpu = after.children_user + after.children_system - used.children_user - used.children_system
    count = bench.plan.drain_objects
    bench.add(row, "s5cmd", Sample(number, count / seconds, cpu_us=cpu / count * 1e6))


def measure_sustained(bench: Bench) -> None:
    """The rows `paced`, `confirmed` and `steady`. Raises LoadFailed, ServerFailed."""
    plan = bench.plan
    pace = plan.paced
    bench.findings.row("paced", f"PUT 4 KiB at {pace:,.0f} a second, acknowledged", "/s")
    bench.findings.row("confirmed", "confirmed by the sink meanwhile", "/s")
    sink = bench.keep(start_sink(plan.load_core))
    cores = plan.both_cores
    replicating = bench.keep(Daemon(REPLICATING, plan.directory / "replicating", cores, remote=_url(sink)).start())
    alone = bench.keep(Daemon(ALONE, plan.directory / "alone", cores).start())
    heads = {server.name: _prepare(bench, server) for server in (replicating, alone)}
    for number in bench.rounds("sustained", min(PACED_ROUNDS, plan.rounds), 0.08):
        for server in (alone, replicating):
            measured, confirmed = _paced(bench, server, heads[server.name], pace)
            bench.note("paced", server, number, measured)
            if server is replicating:
                bench.add("confirmed", REPLICATING, Sample(number, confirmed))
                bench.findings.rows["confirmed"].memory[REPLICATING] = server.memory()
    if plan.search:
        bench.findings.row("steady", "PUT 4 KiB, the highest rate acknowledged and confirmed", "/s")
        bench.add("steady", REPLICATING, Sample(0, _highest_steady(bench, replicating, heads[REPLICATING])))


def _highest_steady(bench: Bench, server: Server, heads: Heads) -> float:
    """Between what is confirmed under as much load as is acknowledged, and what is acknowledged then."""
    bench.say("looking for the highest steady rate")
    measured, confirmed = _paced(bench, server, heads, 0.0)
    low, high = 0.0, measured[0].per_second
    attempt = max(confirmed, high / 4)
    for _ in range(SEARCH_STEPS):
        measured, confirmed = _paced(bench, server, heads, attempt)
        reached = min(measured[0].per_second, confirmed)
        if reached >= STEADY * attempt:
            low = max(low, min(reached, attempt))
            attempt = (attempt + high) / 2
        else:
            high = attempt
            attempt = (low + high) / 2 if low else attempt * 0.7
    return low


def _paced(bench: Bench, server: Server, heads: Heads, pace: float) -> tuple[tuple[Rate, float], float]:
    """The load, and how many records a second were confirmed while it ran; what is left drains afterwards."""
    plan = bench.plan
    load = Load(heads, 32, plan.paced_seconds, plan.load_core, bench.loads * 7919, BODY_BYTES, pace)
    before = server.metric(CONFIRMED)
    began = time.monotonic()
    measured = bench.load(server, load)
    rate = (server.metric(CONFIRMED) - before) / (time.monotonic() - began)
    if server.name == REPLICATING:
        _wait_until_drained(server)
    return measured, rate


def _wait_until_drained(server: Server) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while server.metric("s3d_pending_records"):
        if time.monotonic() > deadline:
            raise LoadFailed(f"records are still pending after {DRAIN_SECONDS_MAX} s")
        time.sleep(0.1)


def _prepare(bench: Bench, server: Server) -> Heads:
    signer = server.signer()
    bench.make_bucket(server)
    path = bench.room("requests") / f"sustained-{server.name}"
    heads = signing.write_objects(path, signer, "PUT", range(bench.plan.keys), b"x" * BODY_BYTES)
    if bench.plan.warm:
        bench.load(server, Load(heads, 32, 1, bench.plan.load_core, 0, BODY_BYTES))
    return heads


def _s5cmd(bench: Bench) -> str | None:
    try:
        return tool("s5cmd")
    except NotInstalled as error:
        bench.findings.lacks("s5cmd", str(error))
        return None


def _write_files(directory: Path, count: int) -> None:
    directory.mkdir()
    for number in range(count):
        (directory / key_of(number)).write_bytes(b"x" * BODY_BYTES)


@contextmanager
def _cleared(bench: Bench, name: str) -> Iterator[tuple[Path, ExitStack]]:
    """A place for one drain, gone with its servers when it is over: thirty of them would fill a small disk."""
    place = bench.room(name)
    with ExitStack() as stack:
        yield place, stack
    shutil.rmtree(place, ignore_errors=True)


def _url(target: Server) -> str:
    return f"http://127.0.0.1:{target.port}"


def _keys(target: Server) -> tuple[str, str]:
    return target.access_key, target.secret_key
