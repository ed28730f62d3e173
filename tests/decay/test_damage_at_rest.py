"""What changes while nobody has the files open is noticed, or makes no difference; `scripts/bitflips` at length."""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
import pytest
from structlog.testing import capture_logs

from .damage import KINDS
from .trials import UNHARMED, Accepted, Trials

TRIALS = 1000
WHATS = {"journal file", "sealed file", "log", "base", "mark", "body in a file", "bundle"}


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is such a place: each start syncs, and nothing here is about that."""
    place = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=place if place.is_dir() else None))
    logging.disable(logging.CRITICAL)  # a damaged journal has much to say
    with capture_logs():
        yield made
    logging.disable(logging.NOTSET)
    shutil.rmtree(made)


def test_c1_to_c6_a_thousand_damages_and_none_is_taken_for_what_was_written(memory: Path) -> None:
    """Flipped bits, cut-off files, overwritten, blanked and misplaced sectors: refused, named, or without effect."""
    trials = Trials(memory, 0)
    for _ in trials.run(TRIALS):
        pass
    assert {what for what, _ in trials.counts} == WHATS
    assert set(trials.kinds) == set(KINDS)
    for what in WHATS:
        noticed = sum(count for (one, outcome), count in trials.counts.items() if one == what and outcome != UNHARMED)
        assert noticed > 0, f"nothing was ever noticed about the {what}: {trials.counts}"


def body_as_it_is(connection: apsw.Connection, sequence: int) -> Any:
    """Without a look at its digest."""
    found = connection.execute("SELECT body FROM record WHERE sequence = ?", (sequence,)).fetchone()
    return found[0] if found else None


BLIND: Mapping[str, Mapping[str, Any]] = {
    "the_chain": {f"journal.{module}.follows": lambda *_: True for module in ("verify", "behind", "reading")},
    "the_mark": {"journal.opening.compare": lambda *_: None},
    "digests_of_rows": {"journal.reading.checked_body": body_as_it_is},
    "checksums_of_bodies": {"s3d.blobs.files._check_seal": lambda *_: None},
}


SEEDS = {"digests_of_rows": 1}  # whose trials meet it soon; 0 otherwise


@pytest.mark.parametrize("blind", BLIND)
def test_the_trials_turn_red_when_nobody_looks_at(memory: Path, blind: str) -> None:
    """Each of the checks is what some damage is noticed by."""
    with ExitStack() as stack:
        for name, value in BLIND[blind].items():
            stack.enter_context(patch(name, value))
        trials = Trials(memory, SEEDS.get(blind, 0))
        with pytest.raises(Accepted):
            for _ in trials.run(TRIALS):
                pass
