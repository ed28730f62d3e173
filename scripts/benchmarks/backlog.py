"""A long backlog under a daemon with everything on that makes it think: how fast it drains, beside s5cmd with the same
objects, and what its clients notice of it.

Everything means rules that share the link and decide what goes first, a window, order groups (a tenth of the records),
the gap audit, and a client that listens to events. New writes are measured over the same backlog twice, in the same
process: while replication is paused, and while it drains to a sink.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import signing
from benchmarks.draining import CONFIRMED, Backlog, cleared, make_backlog, other, rclone, send, sink
from benchmarks.findings import SUBJECT, Sample
from benchmarks.load import Load, LoadFailed
from benchmarks.plan import Bench
from benchmarks.servers import SETTINGS, Server
from benchmarks.signing import BODY_BYTES, Heads

PAUSED = f"{SUBJECT}, paused"
SETTLE_SECONDS = 1.0  # until what was under way has ended, and until the lanes are full
EVERYTHING = (
    SETTINGS
    + """
[gaps]
every_hours = 0.01
requests_per_minute = 600

[[window]]
start = "00:00"
end = "24:00"

[[rule]]
match = "bench/0*"
priority = "urgent"

[[rule]]
match = "bench/1*"
deadline_seconds = 3600

[[rule]]
match = "bench/f*"
priority = "bulk"
order = "newest"

[[rule]]
match = "bench/*"
gaps = "mend"
refuse_above = 0.95
"""
)


def measure(bench: Bench) -> None:
    """The rows `backlog-acks`, `backlog-paced`, `backlog-sent`, and `backlog-` with the targets.

    Raises LoadFailed, ServerFailed.
    """
    plan = bench.plan
    backlog = make_backlog(bench, "backlog", plan.backlog_objects, plan.both_cores, EVERYTHING, grouped=True)
    targets = {"backlog-sink": sink(bench), "backlog-s3d": other(bench)}
    if "rclone" in plan.peers:
        targets["backlog-rclone"] = rclone(bench)
    for number in bench.rounds("backlog", min(plan.backlog_rounds, plan.rounds), 0):
        with cleared(bench, f"backlog-acks-{number}") as (place, stack):
            remote = sink(bench).start("sink", stack)
            server = backlog.daemon(place / "edge", remote).start()
            stack.callback(server.stop)
            with _listening(server):
                _acknowledge(bench, number, backlog, server)
        for row, target in targets.items():
            bench.say(f"draining to {target.title}")
            send(bench, row, number, backlog, target)


def _acknowledge(bench: Bench, number: int, backlog: Backlog, server: Server) -> None:
    """The same loads paused, then draining."""
    waiting = f"over {backlog.objects:,} waiting records"
    bench.findings.row("backlog-acks", f"PUT 4 KiB, 32 connections, {waiting}", "/s")
    bench.findings.row("backlog-paced", f"PUT 4 KiB at {bench.plan.paced:,.0f} a second, {waiting}", "/s")
    bench.findings.row("backlog-sent", "confirmed by the sink meanwhile", "/s")
    heads = _sign(bench, server)
    _tell(server, "/replication/pause")
    time.sleep(SETTLE_SECONDS)
    _loads(bench, number, PAUSED, server, heads)
    _tell(server, "/replication/resume")
    time.sleep(SETTLE_SECONDS)
    before, began = server.metric(CONFIRMED), time.monotonic()
    _loads(bench, number, SUBJECT, server, heads)
    sent = (server.metric(CONFIRMED) - before) / (time.monotonic() - began)
    bench.add("backlog-sent", SUBJECT, Sample(number, sent))
    if not server.metric("s3d_pending_records"):
        raise LoadFailed(f"all {backlog.objects:,} records were sent before the load was over: see --backlog")


def _loads(bench: Bench, number: int, name: str, server: Server, heads: Heads) -> None:
    for row, pace in (("backlog-paced", bench.plan.paced), ("backlog-acks", 0.0)):
        seconds, core = bench.plan.paced_seconds, bench.plan.load_core
        load = Load(heads, 32, seconds, core, bench.loads * 7919, BODY_BYTES, pace)
        bench.note_as(row, name, number, server, bench.load(server, load))


def _sign(bench: Bench, server: Server) -> Heads:
    """Requests to keys of their own: to overwrite what waits would shorten the backlog."""
    numbers = range(bench.plan.backlog_objects, bench.plan.backlog_objects + bench.plan.keys)
    path = bench.room("requests") / "backlog"
    return signing.write_objects(path, server.signer(), "PUT", numbers, b"x" * BODY_BYTES)


def _tell(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=10)
    try:
        connection.request("POST", path, json.dumps({"reason": "measuring"}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise LoadFailed(f"{path}: {answer.read()!r}")
    finally:
        connection.close()


@contextmanager
def _listening(server: Server) -> Iterator[None]:
    """A client takes every event as it comes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=60)
    connection.request("GET", "/v1/events")
    answer = connection.getresponse()
    over = threading.Event()

    def listen() -> None:
        while not over.is_set() and answer.read1(65536):
            pass

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        server.stop()  # which ends the stream
        thread.join()
        connection.close()
