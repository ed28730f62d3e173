"""The sweep in its short form, and the proof that it can fail. `scripts/powercut-sweep` is the long form."""

import logging
import random
from collections.abc import Iterator

import apsw
import pytest

from journal import JournalError
from journal.database import connect_writer, set_pragmas
from s3d.blobs.files import BlobFiles

from .mutants import CASES_MAX, MUTANTS, NO_DIRECTORY_SYNCS, Mutant
from .oracle import Violation, check
from .simulated_disk import PowerCut, SimulatedDisk, Volume
from .simulated_vfs import SimulatedVfs
from .storage import Storage
from .sweep import DEEPER, KINDS, Sweep
from .workload import BLOBS, Ledger, Life, empty_storage

# SQLite goes on after some errors of a VFS (of xDelete, for one), and apsw then says that nobody was told.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CASES = 8_000
FOR_EVER = 10**9
SEEDS = 2  # the cases are spread over so many tests, so that a failure is found early and the report shows progress


@pytest.fixture
def vfs() -> Iterator[SimulatedVfs]:
    with SimulatedVfs() as registered:
        yield registered


@pytest.mark.parametrize("seed", range(SEEDS))
def test_decision_39_nothing_acknowledged_is_lost_at_any_power_cut(vfs: SimulatedVfs, seed: int) -> None:
    """Every acknowledged record is there, in order, with its body; others whole or not at all; the view is the fold.

    Cuts at every I/O index, cuts during recovery, failed I/Os, kills, a full disk, flipped bytes of the log.
    """
    sweep = Sweep(vfs, seed)
    for _ in sweep.run(CASES // SEEDS):
        pass
    assert sweep.counts["cases"] >= CASES // SEEDS
    for kind in (*KINDS, DEEPER):
        assert sweep.counts[kind] > 0, f"no case of kind {kind}: {sweep.counts}"
    assert all(sweep.seen[what] > 10 for what in ("sealed", "based", "dropped")), sweep.seen


def test_a_switch_to_the_log_that_fails_is_noticed(vfs: SimulatedVfs) -> None:
    """Its commit comes after the pragma's row: unread, a connection says "wal" and goes on with a rollback journal."""
    outcomes = set()
    for at in range(1, 20):
        vfs.volume = Volume(Storage(), eio_at=at)
        connection = connect_writer("/db", vfs.name, exclusive=True)
        try:
            set_pragmas(connection, "FULL", exclusive=True, new=True)
            connection.execute("CREATE TABLE t(x)")
        except apsw.Error:
            outcomes.add("refused")
        else:
            outcomes.add("log")
            assert "/db-wal" in vfs.volume.storage.shown_names
            assert "/db-journal" not in vfs.volume.storage.shown_names
        connection.close()
    assert outcomes == {"refused", "log"}


def test_the_journal_does_not_depend_on_the_directory_syncs_of_sqlite(
    vfs: SimulatedVfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite ignores their errors, and some builds leave them out: the journal syncs each name itself."""
    monkeypatch.setattr(*NO_DIRECTORY_SYNCS)
    for _ in Sweep(vfs, 0, kinds=("power cut",)).run(3000):
        pass


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_sweep_turns_red_for(vfs: SimulatedVfs, mutant: Mutant) -> None:
    """A sweep that cannot fail proves nothing: each way to get durability wrong is found within a bounded number."""
    logging.disable(logging.CRITICAL)  # a broken journal complains; that is not what is tested
    try:
        with mutant.applied() as setting, pytest.raises(Violation):
            for _ in Sweep(vfs, mutant.seed, setting, mutant.kinds).run(CASES_MAX):
                pass
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("index", range(0, 120, 7))
def test_a_live_cut_is_what_the_recorded_one_says(vfs: SimulatedVfs, index: int) -> None:
    """Nothing that runs on after the cut (handlers, `finally`, rollbacks) acknowledges anything or reaches the disk."""
    recorded = run_life(vfs, Volume(empty_storage()))
    live = run_life(vfs, Volume(empty_storage(), cut_at=index))
    assert shapes(live) == shapes(recorded)[:index]
    assert len(live.ledger_at(index).confirmed) == len(recorded.ledger_at(index).confirmed)
    survivor = Life(vfs, Volume(live.volume.storage.copy()), live.ledger_at(index), seed=2)
    survivor.open()
    check(survivor, live.ledger_at(index))
    survivor.stop()


def shapes(life: Life) -> list[tuple[object, ...]]:
    """What was done where; the bytes differ, because SQLite salts its log."""
    return [(type(one), getattr(one, "inode", 0), getattr(one, "offset", 0)) for one in life.volume.log]


def run_life(vfs: SimulatedVfs, volume: Volume) -> Life:
    life = Life(vfs, volume, Ledger(), seed=1)
    try:
        life.open()
        life.work(6)
        life.stop()
    except (PowerCut, JournalError):
        pass  # SQLite goes on after some errors of a VFS, and then has one of its own
    finally:
        life.kill()
    return life


def test_l5_the_directories_that_the_blobs_make_for_themselves_are_durable(vfs: SimulatedVfs) -> None:
    """From an empty volume: after `prepare` and `finish`, no cut loses the blob, its directory or the one above."""
    disk = SimulatedDisk(Volume(Storage()))
    files = BlobFiles(disk, BLOBS)
    files.prepare()
    writer = files.create()
    writer.write(b"bytes")
    writer.finish()
    for seed in range(100):
        after = BlobFiles(SimulatedDisk(Volume(disk.volume.storage.after_power_cut(random.Random(seed)))), BLOBS)
        assert after.read(writer.id, 0, 100) == b"bytes"


def test_i3_a_failed_fsync_stops_the_journal_and_loses_nothing_later(vfs: SimulatedVfs) -> None:
    """Stop, restart on the same kernel, more acknowledgements, power cut: at every sync of a life, nothing is lost."""
    quiet = run_life(vfs, Volume(empty_storage()))
    syncs = [at for at, operation in enumerate(quiet.volume.log) if type(operation).__name__ == "Sync"]
    stopped = 0
    for at in syncs:
        failed = Life(vfs, Volume(empty_storage(), eio_at=at), Ledger(), seed=1)
        try:
            failed.open()
            stopped += not failed.work(6)
        except JournalError:
            stopped += 1
        finally:
            failed.kill()
        ledger = failed.ledger_at(failed.volume.index)
        successor = Life(vfs, Volume(failed.volume.storage.copy()), ledger, seed=at)
        successor.open()
        successor.found(*check(successor, ledger))
        assert successor.work(3)
        successor.kill()
        ledger = successor.ledger_at(successor.volume.index)
        for draw in range(3):
            after = successor.volume.storage.after_power_cut(random.Random(draw))
            survivor = Life(vfs, Volume(after), ledger, seed=draw)
            survivor.open()
            check(survivor, ledger)
            survivor.kill()
    blobs = sum(1 for event in quiet.events if event.kind == "attempt")
    assert stopped >= blobs, "an fsync error ends the life, unless it was a blob's, which fails one request"


@pytest.mark.parametrize("at", range(0, 120, 17))
def test_i2_a_disk_that_goes_on_failing_ends_every_start_and_loses_nothing(vfs: SimulatedVfs, at: int) -> None:
    """No write succeeds any more: the life ends, so does the next one, and when the disk is mended all is there."""
    failed = Life(vfs, Volume(empty_storage(), eio_at=range(at, FOR_EVER)), Ledger(), seed=1)
    try:
        failed.open()
        assert not failed.work(100), "it went on acknowledging"
    except JournalError:
        pass
    finally:
        failed.kill()
    ledger, storage = failed.ledger_at(failed.volume.index), failed.volume.storage
    again = Life(vfs, Volume(storage.copy(), eio_at=range(FOR_EVER)), ledger, seed=2)
    with pytest.raises(JournalError):
        again.open()
    again.kill()
    mended = Life(vfs, Volume(again.volume.storage.copy()), ledger, seed=3)
    mended.open()
    mended.found(*check(mended, ledger))
    assert mended.work(3)
    mended.stop()
