"""A virtual month without a link, and the drain after it; `scripts/simulate --pending` has a million records."""

from pathlib import Path

import pytest

from .mutants import MUTANTS
from .offline import live_offline

PENDING = 1000


def test_n2_q9_after_a_month_offline_everything_arrives_once_and_in_order(memory: Path) -> None:
    """Acknowledged, read back, kept through restarts; then each key in its order, and parts before manifests."""
    result = live_offline(30, PENDING, memory)
    assert result.pending == PENDING + 1
    assert 0 < result.superseded < PENDING
    assert result.behind_most < PENDING


@pytest.mark.parametrize("name", ["records_overtake_each_other", "a_barrier_leaves_before_its_group"])
def test_it_turns_red_for(memory: Path, name: str) -> None:
    """A proof that cannot fail proves nothing."""
    with MUTANTS[name].make(), pytest.raises(AssertionError):
        live_offline(1, 500, memory)
