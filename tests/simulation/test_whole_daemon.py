"""Virtual months of a daemon's life, one for each seed; `scripts/simulate` lives as many as there is time for."""

import shutil
from pathlib import Path

import pytest

from .lives import life_called
from .mutants import MUTANTS
from .world import simulate

SEEDS = 30
TOGETHER = 10
SEEDS_OF_A_MUTANT = 150


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_what_must_never_be_never_is_and_everything_arrives(memory: Path, first: int) -> None:
    """Safety at every answer, liveness at the end; each seed is a life of its own."""
    acknowledged = 0
    for seed in range(first, first + TOGETHER):
        own = memory / str(seed)
        own.mkdir()
        acknowledged += simulate(seed, own).acknowledged
        shutil.rmtree(own)
    assert acknowledged > TOGETHER * 20, "the clients did nothing"


def test_a_seed_is_lived_again_as_it_was(memory: Path) -> None:
    """The same calls in the same order at the same moments: a failure can be looked at twice."""
    prints = []
    for name in ("first", "second"):
        (memory / name).mkdir()
        run = simulate(7, memory / name)
        prints.append(run.fingerprint)
        assert len(run.trace) > 50
    assert prints[0] == prints[1]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulation_turns_red_for(memory: Path, name: str) -> None:
    """A simulation that cannot fail proves nothing."""
    mutant = MUTANTS[name]
    for seed in (mutant.noticed, *range(SEEDS_OF_A_MUTANT)):
        own = memory / str(seed)
        own.mkdir()
        try:
            with mutant.make():
                simulate(seed, own, life_called(mutant.life))
        except AssertionError:  # of the world, or of the remote itself
            return
        shutil.rmtree(own)
    raise AssertionError(f"{name} was not noticed in {SEEDS_OF_A_MUTANT} lives")
