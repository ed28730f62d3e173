"""Virtual months of a daemon's life, one for each seed; `scripts/simulate` lives as many as there is time for."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .mutants import MUTANTS
from .world import simulate

SEEDS = 48
TOGETHER = 12
SEEDS_OF_A_MUTANT = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A month's warnings are not what a failure is understood by: its trace is."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def directory() -> Iterator[Path]:
    """In memory where there is such a place: what a disk does to it is the power-cut sweep's business."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_what_must_never_be_never_is_and_everything_arrives(directory: Path, first: int) -> None:
    """Safety at every answer, liveness at the end; each seed is a life of its own."""
    acknowledged = 0
    for seed in range(first, first + TOGETHER):
        own = directory / str(seed)
        own.mkdir()
        acknowledged += simulate(seed, own).acknowledged
        shutil.rmtree(own)
    assert acknowledged > TOGETHER * 20, "the clients did nothing"


def test_a_seed_is_lived_again_as_it_was(directory: Path) -> None:
    """The same calls in the same order at the same moments: a failure can be looked at twice."""
    prints = []
    for name in ("first", "second"):
        (directory / name).mkdir()
        run = simulate(7, directory / name)
        prints.append(run.fingerprint)
        assert len(run.trace) > 50
    assert prints[0] == prints[1]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulation_turns_red_for(directory: Path, name: str) -> None:
    """A simulation that cannot fail proves nothing."""
    for seed in range(SEEDS_OF_A_MUTANT):
        own = directory / str(seed)
        own.mkdir()
        try:
            with MUTANTS[name]():
                simulate(seed, own)
        except AssertionError:  # of the world, or of the remote itself
            return
        shutil.rmtree(own)
    raise AssertionError(f"{name} was not noticed in {SEEDS_OF_A_MUTANT} lives")
