"""A file that is exchanged under a path is noticed, once, when it is complete."""

import os
from hashlib import sha256
from pathlib import Path

from s3d.app.watching import Watched


def of(path: Path) -> Watched:
    """As the daemon begins, with what it has read."""
    watched = Watched(str(path))
    watched.begin(sha256(path.read_bytes()).hexdigest())
    return watched


def looks(watched: Watched, count: int) -> list[bool]:
    return [watched.is_another() for _ in range(count)]


def test_a_config_map_is_swapped_above_the_file(tmp_path: Path) -> None:
    """As the kubelet does it: the file is a link through `..data`, a link that is renamed to another directory."""
    for version, text in (("..v1", "[log]\n"), ("..v2", "[gaps]\n")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "s3d.toml").write_text(text)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "s3d.toml").symlink_to("..data/s3d.toml")
    watched = of(tmp_path / "s3d.toml")
    assert looks(watched, 3) == [False] * 3
    (tmp_path / "..new").symlink_to("..v2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert looks(watched, 4) == [False, True, False, False]


def test_a_file_that_is_still_being_written_waits(tmp_path: Path) -> None:
    """It has to be the same twice."""
    path = tmp_path / "s3d.toml"
    path.write_text("")
    watched = of(path)
    for size in range(1, 4):
        path.write_text("#" * size)
        assert not watched.is_another()
    assert looks(watched, 2) == [True, False]


def test_a_file_that_is_gone_is_another_one_and_so_is_the_next(tmp_path: Path) -> None:
    """Whoever reads it then says that it cannot be read."""
    path = tmp_path / "s3d.toml"
    path.write_text("")
    watched = of(path)
    path.unlink()
    assert looks(watched, 3) == [False, True, False]
    path.write_text("")
    assert looks(watched, 3) == [False, True, False]


def test_what_changed_before_the_first_look_is_noticed(tmp_path: Path) -> None:
    """Between the start of the daemon and that of its watch: what is there is not what was read."""
    path = tmp_path / "s3d.toml"
    path.write_text("new")
    watched = Watched(str(path))
    watched.begin(sha256(b"old").hexdigest())
    assert looks(watched, 2) == [True, False]
    os.utime(path, ns=(1, 1))
    assert looks(watched, 3) == [False, True, False]
