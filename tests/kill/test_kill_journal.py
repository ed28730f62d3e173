"""SIGKILL while the journal appends. Invariant 1, without a daemon around it."""

import os
import subprocess
import sys

import pytest

from kill.rounds import fresh_seed

ROUNDS = 40
PROGRAM = os.path.join(os.path.dirname(__file__), "journal_rounds.py")


@pytest.mark.slow
def test_every_acknowledged_record_survives_many_kills(tmp_path):
    """After each kill the journal opens, its chain holds, and every acknowledged record has its bytes."""
    ran = subprocess.run(
        [sys.executable, PROGRAM, str(tmp_path), str(ROUNDS), str(fresh_seed())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    acknowledged = int(ran.stdout.split("kills, ")[1].split()[0])
    assert acknowledged > ROUNDS, "the load did not load"
