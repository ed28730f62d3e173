"""Virtual hours, and months, of a daemon, a life for each seed; `scripts/simulate` has as many as there is time for."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from .lives import LIVES, SHORT_LIVES, Life, life_called, life_of, short_life_of
from .mutants import MUTANTS
from .site import Broken, Run
from .thrift import little_garbage
from .world import idle, simulate

SHORT_SEEDS = 1008
TOGETHER = 126
LONG_SEEDS = len(LIVES)
SEEDS_OF_A_MUTANT = 150
ROOT = Path(__file__).parents[2]
SHOWN_BY_A_FAILURE = "records_overtake_each_other"


@pytest.fixture(scope="module", autouse=True)
def _little_garbage() -> Iterator[None]:
    with little_garbage():
        yield


def live(seed: int, memory: Path, life: Life, run: Run | None = None) -> Run:
    """One life in a directory of its own."""
    own = memory / str(seed)
    own.mkdir()
    try:
        return simulate(seed, own, life, run)
    finally:
        shutil.rmtree(own)


@pytest.mark.parametrize("first", range(0, SHORT_SEEDS, TOGETHER))
def test_what_must_never_be_never_is_and_everything_arrives(memory: Path, first: int) -> None:
    """Safety at every answer, liveness at the end; each seed is a life of its own, of an hour or two."""
    acknowledged, done = 0, Counter[str]()
    for seed in range(first, first + TOGETHER):
        run = live(seed, memory, short_life_of(seed))
        acknowledged += run.acknowledged
        done += run.done
    assert acknowledged > TOGETHER * 5, "the clients did nothing"
    assert min(done["kill"], done["outage"], done["Conflicted"], done["files dropped"]) > 0, "nothing happened"


@pytest.mark.parametrize("seed", range(LONG_SEEDS))
def test_months_are_as_good_as_hours(memory: Path, seed: int) -> None:
    """The same with days to months in each life, and some hundred requests."""
    assert live(seed, memory, life_of(seed)).acknowledged > 20, "the clients did nothing"


def test_a_life_that_fails_fails_again_in_the_same_way(memory: Path) -> None:
    """The same calls in the same order at the same moments: a failure can be looked at twice."""
    mutant, seen = MUTANTS[SHOWN_BY_A_FAILURE], []
    for _ in range(2):
        run = Run()
        with mutant.make(), pytest.raises(Broken) as broken:
            live(mutant.noticed, memory, life_called(mutant.life), run)
        seen.append((str(broken.value), run.trace))
    assert seen[0] == seen[1]
    assert len(seen[0][1]) > 10


def test_a_seed_is_the_same_life_in_another_process(memory: Path) -> None:
    """What scripts/simulate names can be lived again by whoever reads it."""
    seed, trace = len(SHORT_LIVES) + 1, memory / "trace"
    command = [sys.executable, ROOT / "scripts" / "simulate", "--first", str(seed), "--trace", trace]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert trace.read_text().splitlines() == live(seed, memory, short_life_of(seed)).trace


def test_what_looks_by_itself_looks_seldom(memory: Path) -> None:
    """Whatever looks each second whether there is anything to do would be all that a life of months does: the
    simulation knows each of them, and has them look now and then.
    """
    idle_day = partial(idle, seconds=86_400.0)
    turns = simulate(1, memory, LIVES[0], work=idle_day).turns
    assert turns < 2000, f"{turns} turns in an idle day: give the interval of what is new to edge.LOOKING"


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulation_turns_red_for(memory: Path, name: str) -> None:
    """A simulation that cannot fail proves nothing."""
    mutant = MUTANTS[name]
    for seed in (mutant.noticed, *range(SEEDS_OF_A_MUTANT)):
        try:
            with mutant.make():
                live(seed, memory, life_called(mutant.life))
        except AssertionError:  # of the world, or of the remote itself
            return
    raise AssertionError(f"{name} was not noticed in {SEEDS_OF_A_MUTANT} lives")
