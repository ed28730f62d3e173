"""One run: start everything, measure section by section; one that fails is a reason in the report, not the end."""

import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import backlog, folding, large, sending, small, starting, stores
from benchmarks.aims import outcomes
from benchmarks.document import document
from benchmarks.findings import SUBJECT, Findings
from benchmarks.load import LoadFailed
from benchmarks.machine import machine
from benchmarks.peers import STARTERS, NotInstalled
from benchmarks.plan import Bench, Plan, Say
from benchmarks.servers import Daemon, Server, ServerFailed, start_bare

TITLES = {"rclone": "rclone serve s3", "juicefs": "JuiceFS gateway", "rgw": "Ceph RGW"}
FAILURES = (LoadFailed, ServerFailed, NotInstalled, OSError, subprocess.SubprocessError, shutil.Error)


def run(plan: Plan, say: Say, *, with_budget: bool) -> dict[str, Any]:
    """Measure what the plan asks for; the whole of it as a document for programs (document.py)."""
    where, began = machine(plan.directory), time.monotonic()
    with ExitStack() as stack:
        bench = Bench(plan, stack, say)
        _Run(bench).measure()
        findings = bench.findings
    steps = _budget(plan, findings, say) if with_budget else []
    aims = outcomes(findings, plan.large_store)
    return document(where, asdict(plan), findings, aims, steps, time.monotonic() - began)


class _Run:
    """The servers that several sections share, and the sections in their order."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._peers: dict[str, Server] = {}

    def measure(self) -> None:
        """Every section of the plan."""
        bench, rows = self._bench, self._bench.plan.rows
        bare = bench.keep(start_bare(bench.plan.server_core))
        self._start_peers()
        peers = list(self._peers.values())
        if rows & {"put", "put1", "get", "cold", "large"}:
            self._section("requests", lambda: self._requests(bare, peers))
        if "drain" in rows:
            self._section("drain", lambda: sending.measure_drains(bench, self._peers.get("rgw")))
        if "backlog" in rows:
            self._section("backlog", lambda: backlog.measure(bench))
        if "sustained" in rows:
            self._section("sustained", lambda: sending.measure_sustained(bench))
        if "fold" in rows:
            self._section("fold", lambda: folding.measure(bench))
        if rows & {"stores", "list", "start"}:
            self._section("stores", lambda: self._stores(peers))

    def _requests(self, bare: Server, peers: list[Server]) -> None:
        """Two sections with the same daemons."""
        ours = self._start_ours()
        everybody = [*ours, *peers]
        self._section("small requests", lambda: small.measure(self._bench, bare, everybody))
        if "large" in self._bench.plan.rows:
            self._section("64 MiB bodies", lambda: large.measure(self._bench, bare, everybody))
        for server in ours:
            server.stop()

    def _stores(self, peers: list[Server]) -> None:
        found = stores.measure(self._bench, peers)
        for server in peers:
            server.stop()
        for store in found:
            store.server.stop()
        if "start" in self._bench.plan.rows:
            for store in found:
                if store.count >= self._bench.plan.large_store:
                    self._section("start", partial(starting.measure, self._bench, store))

    def _start_ours(self) -> list[Server]:
        plan, cores = self._bench.plan, frozenset({self._bench.plan.server_core})
        daemons = [Daemon(SUBJECT, plan.directory / "signed", cores)]
        if plan.unsigned:
            daemons.append(Daemon(f"{SUBJECT} without keys", plan.directory / "unsigned", cores, signed=False))
        if plan.baseline is not None:
            daemons.append(Daemon("baseline", plan.directory / "baseline", cores, checkout=plan.baseline))
        return [self._bench.keep(daemon.start()) for daemon in daemons]

    def _start_peers(self) -> None:
        plan = self._bench.plan
        for name in plan.peers:
            self._bench.say(f"starting {TITLES[name]}")
            try:
                self._peers[name] = self._bench.keep(STARTERS[name](self._bench.room(f"peer-{name}"), plan.server_core))
            except (NotInstalled, ServerFailed, OSError) as error:
                self._bench.findings.lacks(TITLES[name], str(error))

    def _section(self, name: str, measure: Callable[[], None]) -> None:
        """One that fails does not take the others with it; a run without anybody beside it must come to its end."""
        began = time.monotonic()
        try:
            measure()
        except FAILURES as error:
            self._bench.findings.lacks(f"FAILED: {name}", str(error))
            self._bench.say(f"{name} FAILED: {error}")
            for line in _errors_of_daemons(self._bench.plan.directory):
                self._bench.say(line)
        self._bench.say(f"{name}: {time.monotonic() - began:.0f} s")


def _errors_of_daemons(directory: Path) -> list[str]:
    """The last error that each daemon has logged: their logs go with the run's directory."""
    found = []
    for log in sorted(directory.rglob("*.log")):
        lines = [line for line in log.read_text(errors="replace").splitlines() if '"level": "error"' in line]
        found += [f"{log.name}: {line[-600:]}" for line in lines[-1:]]
    return found


def _budget(plan: Plan, findings: Findings, say: Say) -> list[dict[str, Any]]:
    """In this process, so the daemon's own code is imported here and nowhere else."""
    say("the budget of a PUT, step by step")
    try:
        from benchmarks import budget

        return [asdict(step) for step in budget.measure(plan.directory / "budget", plan.server_core, findings)]
    except Exception as error:  # noqa: BLE001 - it follows the daemon's inside, and a change there must not cost the run
        findings.lacks("FAILED: the budget", f"{type(error).__name__}: {error}")
        return []
