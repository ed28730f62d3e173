"""Who a command says to be, the token that proves it, and how one is made."""

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from s3d.cli.identity import identification, login
from s3d.cli.operators import operator
from s3d.config import load
from s3d.errors import S3dError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def make(*arguments: str):
    return CliRunner().invoke(operator, arguments, standalone_mode=False)


def test_the_login_is_that_of_who_typed_it_also_by_way_of_sudo() -> None:
    """root is nobody's name."""
    name, at, host = login({}).partition("@")
    assert name
    assert (at, bool(host)) == ("@", True)
    assert login({"SUDO_USER": "alice"}) == f"alice@{host}"


def test_a_token_is_made_kept_and_found_again(home: Path) -> None:
    """What is shown is a table for the configuration, with which the token in the file is that operator's."""
    made = make("alice")
    assert made.exit_code == 0, made.output
    path = home / "s3d" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text().strip()
    assert token not in made.output
    (home / "s3d.toml").write_text(made.stdout)
    (found,) = load({"data_dir": "/d"}, {}, str(home / "s3d.toml")).operators
    assert (found.name, found.token_hash) == ("alice", sha256(token.encode()).hexdigest())
    assert identification(os.environ)["Authorization"] == f"Bearer {token}"
    assert isinstance(make("alice").exception, S3dError), "nothing is overwritten"
    assert path.read_text().strip() == token


def test_where_a_token_is_looked_for(home: Path) -> None:
    """In the environment, in the file that it names, in one's own; without one only the login is said."""
    environ = {"XDG_CONFIG_HOME": str(home)}
    assert [*identification(environ)] == ["X-S3d-Claimed-By"]
    make("alice", "--output", str(home / "job"))
    job = (home / "job").read_text().strip()
    assert identification({**environ, "S3D_TOKEN_FILE": str(home / "job")})["Authorization"] == f"Bearer {job}"
    assert identification({**environ, "S3D_TOKEN": "x"})["Authorization"] == "Bearer x"
    with pytest.raises(S3dError, match="there is no token"):
        identification({**environ, "S3D_TOKEN_FILE": str(home / "nowhere")})
    (home / "job").chmod(0o644)
    with pytest.raises(S3dError, match="others can read"):
        identification({**environ, "S3D_TOKEN_FILE": str(home / "job")})


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, 'a"'])
def test_a_name_that_the_configuration_would_not_take_is_refused(home: Path, name: str) -> None:
    """Before anything is written."""
    assert make(name).exception is not None
    assert not (home / "s3d").exists()
