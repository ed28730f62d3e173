"""SIGKILL under load: nothing acknowledged is lost, nothing unanswered is half there. Invariants 1 and 3."""

import os
import shutil
import subprocess
import sys

import aiohttp
import pytest

from kill.ledger import Ledger, Lost, Version
from kill.load import listing, look
from kill.nursery import Nursery
from kill.rounds import Rounds, fresh_seed

ROUNDS = 25
ROUND_SECONDS_MAX = 12.0


@pytest.fixture
def nursery():
    it = Nursery()
    yield it
    it.close()


@pytest.mark.slow
@pytest.mark.timeout(ROUNDS * ROUND_SECONDS_MAX)
async def test_acknowledged_writes_survive_many_kills(nursery, tmp_path):
    """Every acknowledged operation is there after every restart, every unanswered one is there whole or not at all,
    the listing agrees, and the journal and its hash chain are sound at the end."""
    seed = fresh_seed()
    rounds = Rounds(nursery, str(tmp_path / "data"), seed)
    try:
        await rounds.run(ROUNDS)
    except Lost as lost:
        raise AssertionError(f"S3D_KILL_SEED={seed}, round {rounds.tally.rounds}: {lost}") from lost

    assert rounds.tally.acknowledged > ROUNDS, "the load did not load"
    assert any(version.in_parts for version in rounds.ledger.present.values()), "no upload in parts was completed"
    assert rounds.tally.uncertain_kept + rounds.tally.uncertain_gone > 0, "no kill ever hit a request"
    verified = subprocess.run(
        [sys.executable, "-m", "s3d.cli.main", "journal", "verify", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


async def test_a_view_made_anew_from_the_journal_shows_the_same(nursery, tmp_path):
    """After kills the view is disposable: without it, the daemon shows the same objects and the same listing."""
    rounds = Rounds(nursery, str(tmp_path / "data"), fresh_seed())
    await rounds.run(5)
    for name in os.listdir(tmp_path / "data"):
        if name.startswith("view.db"):
            os.unlink(tmp_path / "data" / name)
    child = await rounds.start()
    async with aiohttp.ClientSession() as session:
        await look(session, child.endpoint, rounds.ledger)


async def test_these_tests_can_fail(nursery, tmp_path):
    """A daemon that comes back with an older state of its directory is caught: the harness sees what is lost."""
    rounds = Rounds(nursery, str(tmp_path / "data"), fresh_seed())
    await rounds.run(3)
    shutil.copytree(tmp_path / "data", tmp_path / "older")
    while not rounds.ledger.present or len(rounds.ledger.sequences) < 20:
        await rounds.run(1)
    before = dict(rounds.ledger.known)
    while before == rounds.ledger.known:
        await rounds.run(1)
    shutil.rmtree(tmp_path / "data")
    shutil.move(tmp_path / "older", tmp_path / "data")
    child = await rounds.start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Lost):
            await look(session, child.endpoint, rounds.ledger)
        assert isinstance(await listing(session, child.endpoint), dict)


def test_a_ledger_accepts_what_was_acknowledged_or_under_way_and_nothing_else():
    """The three ways in which a key may not come back: lost, changed, and never written."""
    one, two, other = Version(1, 10), Version(2, 10), Version(3, 10)

    def told() -> Ledger:
        ledger = Ledger()
        ledger.begin("k", one)
        ledger.acknowledge("k", sequence=7)
        ledger.begin("k", two)
        return ledger

    for possible in (one, two):
        ledger = told()
        ledger.find("k", possible)
        assert ledger.known == {"k": possible}
        with pytest.raises(Lost):
            ledger.find("k", other)
    for impossible in (None, other):
        with pytest.raises(Lost):
            told().find("k", impossible)
    ledger = told()
    with pytest.raises(Lost):
        ledger.acknowledge("k", sequence=7)
