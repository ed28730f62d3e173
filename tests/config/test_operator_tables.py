"""`[[operator]]`: strict like every table, and no two with one name or one token."""

from collections.abc import Callable
from pathlib import Path

import pytest

from s3d.config import load
from s3d.errors import ConfigurationError

ONE = '[[operator]]\nname = "alice"\ntoken_hash = "' + "a1" * 32 + '"\n'


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], object]:
    def read(text: str) -> object:
        (tmp_path / "s3d.toml").write_text(text)
        return load({"data_dir": "/d"}, {}, str(tmp_path / "s3d.toml")).operators

    return read


def test_operators_are_read(read) -> None:
    """In the order of the file."""
    found = read(ONE + ONE.replace("alice", "backup-job").replace("a1", "b2"))
    assert [one.name for one in found] == ["alice", "backup-job"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ONE + ONE.replace("a1", "b2"), "operator 2: name: two operators are called alice"),
        (ONE + ONE.replace("alice", "bob"), "operator 2: token_hash: two operators have one token"),
        (ONE.replace("a1", "A1"), "operator 1"),
        (ONE.replace("alice", "a b"), "operator 1"),
        ('[[operator]]\nname = "alice"\n', "operator 1"),
        (ONE + 'token = "x"\n', "unknown setting token"),
    ],
)
def test_what_cannot_be_is_refused(read, text: str, says: str) -> None:
    """With the table's number."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert says in str(caught.value)
