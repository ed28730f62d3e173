"""What reaches a remote: how fast a backlog drains, and which rate of writes is both acknowledged and confirmed.

A drain has the client (the daemon with its sender, or s5cmd uploading the same objects as files) on the servers' core
and the target on the load's. A sustained load has the daemon on both cores, the load and the sink on the load's.
"""

import time
from contextlib import ExitStack

from benchmarks import signing
from benchmarks.draining import CONFIRMED, Target, make_backlog, other, send, sink, url_of
from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import Load, LoadFailed, Rate
from benchmarks.plan import Bench
from benchmarks.processes import pin
from benchmarks.servers import Daemon, Server, start_sink
from benchmarks.signing import BODY_BYTES, Heads

DRAIN_SECONDS_MAX = 120.0
STEADY = 0.95  # of what was asked, acknowledged and confirmed alike: then the backlog does not grow
SEARCH_STEPS = 4
PACED_ROUNDS = 3
REPLICATING, ALONE = SUBJECT, f"{SUBJECT} without a remote"


def measure_drains(bench: Bench, rgw: Server | None) -> None:
    """The rows `drain-sink`, `drain-s3d` and, where it runs, `drain-rgw`. Raises LoadFailed, ServerFailed."""
    plan = bench.plan
    backlog = make_backlog(bench, "drain", plan.drain_objects, frozenset({plan.server_core}))
    with ExitStack() as moved:
        targets = {"sink": sink(bench), "s3d": other(bench)}
        if rgw is not None:
            pin(rgw.roots, plan.load_core)
            moved.callback(pin, rgw.roots, plan.server_core)
            targets["rgw"] = Target(rgw.name, lambda _name, _stack: rgw)
        for number in bench.rounds("drain", plan.drain_rounds, 0.18):
            for name, target in targets.items():
                send(bench, f"drain-{name}", number, backlog, target)


def measure_sustained(bench: Bench) -> None:
    """The rows `paced`, `confirmed` and `steady`. Raises LoadFailed, ServerFailed."""
    plan = bench.plan
    pace = plan.paced
    bench.findings.row("paced", f"PUT 4 KiB at {pace:,.0f} a second, acknowledged", "/s")
    bench.findings.row("confirmed", "confirmed by the sink meanwhile", "/s")
    target = bench.keep(start_sink(plan.load_core))
    cores = plan.both_cores
    replicating = bench.keep(Daemon(REPLICATING, plan.directory / "replicating", cores, remote=url_of(target)).start())
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
