"""A volume that has room and no inodes: no new file can be made, and nothing else is in the way."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import LiveDaemon, wait_until

from .conftest import CONFIG, mount, needs_root

INODES = 420  # the blobs' own directories are 257
LARGE = b"L" * 70_000


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "volume"
    path.mkdir()
    needs_root()
    mount("-t", "tmpfs", "-o", f"size=64m,nr_inodes={INODES}", "tmpfs", str(path))
    yield path
    subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def test_d9_without_inodes_large_bodies_are_refused_and_everything_else_goes_on(
    volume: Path, daemon_at: Callable[..., LiveDaemon]
) -> None:
    """503 SlowDown, and nothing half kept; small bodies need no file; when others remove theirs, all goes on."""
    daemon = daemon_at(volume / "data", CONFIG)
    assert daemon.fetch("PUT", "/bucket").status == 200
    strangers = [volume / f"stranger-{number}" for number in range(5)]
    for file in strangers:
        file.touch()
    kept = 0
    while (answer := daemon.fetch("PUT", f"/bucket/{kept}", LARGE)).status == 200:
        kept += 1
        assert kept < INODES
    assert (answer.status, answer.code, bool(answer.headers["retry-after"])) == (503, "SlowDown", True)
    assert daemon.fetch("PUT", "/bucket/small", b"s" * 4000).status == 200
    assert daemon.fetch("GET", "/bucket/0").body == LARGE
    assert daemon.fetch("GET", f"/bucket/{kept}").status == 404
    assert daemon.fetch("DELETE", "/bucket/0").status == 204
    for file in strangers:
        file.unlink()
    wait_until(lambda: daemon.fetch("PUT", "/bucket/again", LARGE).status == 200)
    assert daemon.errors() == []
