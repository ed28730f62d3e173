"""The view folded anew: what a start does without a view that it may believe, `s3d recover`, a replay and an auditor.

Records are read from a journal, each checked against the one before it, and folded, in one process and on one core;
the rate is that of its CPU time, because what else runs here takes turns with it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.findings import SUBJECT, Memory, Sample
from benchmarks.plan import Bench
from benchmarks.references import on_core
from benchmarks.servers import ServerFailed

ROUNDS = 3
MIXES = {
    "fold-new": "View folded anew, puts of new keys, all pending",
    "fold-over": "View folded anew, puts over 10,000 keys, confirmed 1,000 records later",
    "fold-late": "View folded anew, puts of new keys, confirmed 50,000 records later",
}


def measure(bench: Bench) -> None:
    """The rows `fold-…`. Raises ServerFailed."""
    plan = bench.plan
    for mix, title in MIXES.items():
        bench.findings.row(mix, title, "/s")
        bench.say(f"writing a journal of {plan.folded:,} records ({mix})")
        _refold(bench, None, "make", bench.room("folding") / mix, mix, plan.folded)
    for number in bench.rounds("folding", min(ROUNDS, plan.rounds), 0.06):
        for mix in MIXES:
            _round(bench, SUBJECT, None, number, mix)
            if plan.baseline is not None:
                _round(bench, "baseline", plan.baseline, number, mix)


def _round(bench: Bench, name: str, checkout: Path | None, number: int, mix: str) -> None:
    found = json.loads(_refold(bench, checkout, "fold", bench.room("folding") / mix))
    cpu_us = found["cpu_seconds"] / found["records"] * 1e6
    bench.add(mix, name, Sample(number, 1e6 / cpu_us, cpu_us=cpu_us))
    bench.findings.rows[mix].memory[name] = Memory(found["peak_mb"], 0.0, found["peak_mb"])


def _refold(bench: Bench, checkout: Path | None, *arguments: object) -> str:
    """Run refold.py on the servers' core, with the code of a checkout."""
    environment = dict(os.environ) | ({"PYTHONPATH": str(checkout)} if checkout is not None else {})
    command = [sys.executable, str(Path(__file__).with_name("refold.py")), *map(str, arguments)]
    with on_core(bench.plan.server_core):
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode != 0:
        raise ServerFailed(f"no journal was folded: {ran.stderr[-400:]}")
    return ran.stdout
