"""The power goes under a whole daemon, at any I/O; and the proof that this can fail.

`scripts/powercut-sweep --whole` is the long form.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from .mutants import MUTANTS, Mutant
from .oracle import Violation
from .recording import RecordedVfs
from .sweep import CUT, DEEPER, KILL, SECOND, Sweep

# SQLite goes on after some errors of a VFS, and apsw then says that nobody was told.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CASES = 40
SEEDS = 3
CASES_OF_A_MUTANT = 120


@pytest.fixture
def vfs() -> Iterator[RecordedVfs]:
    """SQLite's files are recorded."""
    with RecordedVfs() as registered:
        yield registered


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is such a place: nothing here is about a real disk."""
    place = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=place if place.is_dir() else None))
    logging.disable(logging.CRITICAL)  # daemons that find a cut-off disk have much to say
    with capture_logs():
        yield made
    logging.disable(logging.NOTSET)
    shutil.rmtree(made)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_decision_39_the_whole_daemon_survives_any_power_cut(vfs: RecordedVfs, memory: Path, seed: int) -> None:
    """Nothing acknowledged is lost, the view is the fold, and the remote ends up with what the site holds, once each.

    Journal, mark, bases, blobs, view and stamps share one I/O index; kills and cuts after cuts are among the cases.
    """
    sweep = Sweep(vfs, memory, seed)
    for _ in sweep.run(CASES):
        pass
    for kind in (CUT, SECOND, KILL, DEEPER):
        assert sweep.counts[kind] > 0, f"no case of kind {kind}: {sweep.counts}"
    for what in ("certain keys", "files sealed", "files dropped", "uploads gone on with", "read from the remote"):
        assert sweep.seen[what] > 3, f"too little of {what}: {sweep.seen}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_sweep_of_the_daemon_turns_red_for(vfs: RecordedVfs, memory: Path, mutant: Mutant) -> None:
    """Each way to get it wrong is found within a bounded number of cases."""
    sweep = Sweep(
        vfs, memory, mutant.seed, fault=mutant.fault, kinds=(mutant.kind,), choose=mutant.choose, draws=mutant.draws
    )
    with pytest.raises(Violation):
        for _ in sweep.run(CASES_OF_A_MUTANT):
            pass
