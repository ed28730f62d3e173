"""What is called a difference, and what a listing that was asked for earlier may say of it."""

import pytest

from s3d.gaps.compare import Claim, Shown, difference, suspects

THEN = 1000


def claim(*, present: bool = True, size: int = 3, etag: str = "e", confirmed_ms: int = THEN) -> Claim:
    return Claim("k", 7, present, size, etag, confirmed_ms)


@pytest.mark.parametrize(
    ("confirmed", "shown", "found"),
    [
        (claim(), Shown(3, "e"), None),
        (claim(), None, "missing"),
        (claim(), Shown(3, "f"), "changed"),
        (claim(etag=""), Shown(3, "f"), None),
        (claim(etag=""), Shown(4, "f"), "changed"),
        (claim(), Shown(3, ""), None),
        (claim(present=False), None, None),
        (claim(present=False), Shown(3, "e"), "returned"),
    ],
)
def test_a_claim_against_what_the_remote_shows(confirmed, shown, found):
    """By ETag where both have one, else by size."""
    assert difference(confirmed, shown) == found


def test_what_was_confirmed_after_the_question_is_not_in_its_answer():
    """An object that arrived while the remote was listing is not missing."""
    assert suspects([claim()], {}, asked_ms=THEN) == []
    assert suspects([claim()], {}, asked_ms=THEN + 1) == [claim()]
