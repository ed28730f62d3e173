"""A start with everything pending: from the program's first instruction to the first correct answer to a read."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.findings import SUBJECT, Memory, Sample
from benchmarks.load import LoadFailed, fetch
from benchmarks.plan import Bench
from benchmarks.processes import memory
from benchmarks.servers import Daemon, Server, ServerFailed, end, free_port, start_sink
from benchmarks.signing import BODY_BYTES, BUCKET, key_of
from benchmarks.stores import STORED_BYTES, Store

START_SECONDS_MAX = 300.0
ROUNDS = 3


def measure(bench: Bench, store: Store) -> None:
    """The rows `start-clean-N` and `start-killed-N`, of a store whose daemon was stopped. Raises LoadFailed."""
    pending = f"{store.count:,} pending"
    clean, killed = f"start-clean-{store.count}", f"start-killed-{store.count}"
    bench.findings.row(clean, f"First correct read after a stop, {pending}", "s", less_is_better=True)
    bench.findings.row(killed, f"First correct read after SIGKILL, {pending}", "s", less_is_better=True)
    sink = bench.keep(start_sink(bench.plan.load_core))
    daemon = replace(store.daemon, remote=f"http://127.0.0.1:{sink.port}")
    for number in bench.rounds(f"start with {pending}", min(ROUNDS, bench.plan.rounds), 0.06):
        _start(bench, clean, number, daemon, store, kill=True)
        _start(bench, killed, number, daemon, store, kill=False)


def _start(bench: Bench, row: str, number: int, daemon: Daemon, store: Store, *, kill: bool) -> None:
    """Start, ask until the answer is right, and end it so that the next start is of the other kind."""
    daemon = replace(daemon, port=free_port())
    object_number = (store.count // 2 + number * 101) % store.count
    log = Path(f"{daemon.directory}.log")
    began = time.perf_counter()
    process = daemon.spawn(log)
    try:
        _ask_until_right(process, daemon, object_number, log)
        bench.add(row, SUBJECT, Sample(number, time.perf_counter() - began))
        bench.findings.rows[row].memory[SUBJECT] = _settled(process.pid, bench.plan.settle_seconds)
    finally:
        if kill:
            process.kill()
        end(process)


def _ask_until_right(process: subprocess.Popen[str], daemon: Daemon, number: int, log: Path) -> None:
    server = Server(SUBJECT, daemon.port, (process.pid,), lambda: None)
    head = server.signer().head("GET", f"/{BUCKET}/{key_of(number)}")
    deadline, said = time.monotonic() + START_SECONDS_MAX, "nothing"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            body = fetch(daemon.port, head, keep=True)
        except (OSError, LoadFailed) as error:
            said = str(error)
            time.sleep(0.02)
            continue
        if body not in {b"x" * STORED_BYTES, b"x" * BODY_BYTES}:  # as it was made, or as the PUT row has left it
            raise LoadFailed(f"a wrong answer after the start: {len(body)} bytes")
        return
    raise ServerFailed(f"no answer after the start; last: {said}; log: {log.read_text()[-300:]}")


def _settled(process: int, seconds: float) -> Memory:
    """What it holds a little later, when it has begun to send."""
    time.sleep(seconds)
    return memory([process])
