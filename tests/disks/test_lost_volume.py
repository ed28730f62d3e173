"""A volume that becomes read-only, and a data directory that is not there any more, under a running daemon."""

import contextlib
import http.client
import os
import subprocess
from collections.abc import Callable

from live import LiveDaemon

from .conftest import SmallVolume, ended, mount_image

Make = Callable[..., LiveDaemon]


def attempts(daemon: LiveDaemon, prefix: str) -> list[int]:
    """What writes are answered with, until the daemon is gone."""
    answers: list[int] = []
    for number in range(50):
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(daemon.fetch("PUT", f"/bucket/{prefix}{number}", b"x" * 100).status)
            continue
        break
    return answers


def test_i6_a_volume_that_becomes_read_only_ends_it_and_nothing_is_lost(
    ext4_volume: SmallVolume, daemon_at: Make
) -> None:
    """As after an error of its own, ext4 takes no more writes: no further 2xx, exit code 1, all there afterwards."""
    daemon = daemon_at(ext4_volume.path / "data")
    assert daemon.fetch("PUT", "/bucket").status == 200
    for number in range(30):
        assert daemon.fetch("PUT", f"/bucket/k{number}", b"%d" % number).status == 200
    assert daemon.fetch("PUT", "/bucket/large", b"L" * 100_000).status == 200
    subprocess.run(["mount", "-o", "remount,abort", ext4_volume.path], check=True)
    assert daemon.fetch("PUT", "/bucket/refused", b"L" * 100_000).status == 500
    assert daemon.fetch("GET", "/bucket/k1").body == b"1", "what can be read is read"
    assert 200 not in attempts(daemon, "refused")
    assert ended(daemon) == 1
    said = "".join(daemon._log)
    assert "the journal has failed; the daemon ends" in said
    assert "check the disk" in said
    subprocess.run(["umount", ext4_volume.path], check=True)
    mount_image(ext4_volume.path)
    daemon.start()
    for number in range(30):
        assert daemon.fetch("GET", f"/bucket/k{number}").body == b"%d" % number
    assert daemon.fetch("GET", "/bucket/large").body == b"L" * 100_000
    assert daemon.fetch("GET", "/bucket/refused").status == 404


def test_i7_a_renamed_directory_ends_it_and_is_whole_when_it_is_put_back(
    small_volume: SmallVolume, daemon_at: Make
) -> None:
    """Open files go on working, where the next start does not look: nothing is acknowledged there."""
    daemon = daemon_at(small_volume.path / "data")
    assert daemon.fetch("PUT", "/bucket").status == 200
    assert daemon.fetch("PUT", "/bucket/kept", b"kept").status == 200
    os.rename(small_volume.path / "data", small_volume.path / "moved")
    assert 200 not in attempts(daemon, "refused")
    assert ended(daemon) == 1
    assert any("is not there any more" in line and "put it back" in line for line in daemon._log)
    os.rename(small_volume.path / "moved", small_volume.path / "data")
    assert daemon.start().fetch("GET", "/bucket/kept").body == b"kept"


def test_i7_an_unmounted_volume_ends_it_even_when_nobody_writes(small_volume: SmallVolume, daemon_at: Make) -> None:
    """The writer looks while it is idle; another directory in its place is not taken for it either."""
    daemon = daemon_at(small_volume.path / "data")
    assert daemon.fetch("PUT", "/bucket").status == 200
    subprocess.run(["umount", "-l", small_volume.path], check=True)
    assert ended(daemon) == 1
    assert any("is not there any more" in line for line in daemon._log)
