"""A token is one operator's or nobody's, and the configuration has nothing that would be one."""

from hashlib import sha256

import pytest

from s3d.auth.operators import Operators

ALICE, BOB = "alices", "bobs"


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        ("Bearer alices", "alice"),
        ("bearer alices ", "alice"),
        ("Bearer bobs", "bob"),
        ("Bearer nobodys", None),
        (f"Bearer {digest(ALICE)}", None),
        ("Bearer", None),
        ("alices", None),
        ("", None),
        ("Bearer \udcff", None),
    ],
)
def test_whose_token_it_is(authorization: str, name: str | None) -> None:
    """Only the whole token; its hash, which the configuration shows, is none."""
    operators = Operators({"alice": digest(ALICE), "bob": digest(BOB)})
    assert operators.prove(authorization) == name


def test_without_operators_nobody_is_one() -> None:
    """And that there are none can be asked."""
    assert not Operators({})
    assert Operators({}).prove("Bearer x") is None
