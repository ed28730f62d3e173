"""The daemon against a dictionary: every operation, with crash, restart, link cut, link back and rotation among them.

`scripts/model-run` lives as many examples as there is patience for; this is the gate's share, the same ones every time.
"""

import pytest

from model.running import run

SEED = 20_261_123
EXAMPLES = 8


@pytest.mark.slow
def test_whatever_happens_the_edge_and_its_remote_are_what_the_dictionary_says() -> None:
    """Every answer on the way, and at the end bodies, ETags, metadata, tags, listings and uploads of both."""
    assert run(EXAMPLES, SEED, shorten=False) > EXAMPLES
