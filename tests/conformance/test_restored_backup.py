"""Decision 12 and decision 26: what a backup does not have is unknown, and the remote is asked for it."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import PROGRAM, LiveDaemon, wait_until

Make = Callable[..., LiveDaemon]


@pytest.fixture
def daemon_at(tmp_path: Path) -> Iterator[Make]:
    made: list[LiveDaemon] = []

    def make(name: str, endpoint: str = "") -> LiveDaemon:
        made.append(LiveDaemon(tmp_path / name, auth=False))
        point_to(made[-1], endpoint)
        return made[-1].start()

    yield make
    for daemon in made:
        daemon.kill()


def point_to(daemon: LiveDaemon, endpoint: str) -> None:
    remote = f'[remote]\nsender = "inside"\nendpoint = "{endpoint}"\naccess_key = "any"\nsecret_key = "any-secret"\n'
    daemon._config.write_text(remote if endpoint else "")


def pending(daemon: LiveDaemon) -> int:
    return int(daemon.ask("/status")["pending"]["count"])


@pytest.mark.parametrize("by", ["restored", "adopt"])
def test_what_was_written_after_the_backup_is_asked_for_at_the_remote(daemon_at: Make, tmp_path: Path, by: str) -> None:
    """Online it is there and listed; offline it is unknown, never absent; new buckets are this daemon's own again."""
    far = daemon_at("far")
    daemon = daemon_at("near", far.url)
    assert daemon.fetch("PUT", "/bucket").status == 200
    assert daemon.fetch("PUT", "/bucket/before", b"before").status == 200
    wait_until(lambda: pending(daemon) == 0)
    assert daemon.stop() == 0
    shutil.copytree(daemon.directory, tmp_path / "backup")
    daemon.start()
    assert daemon.fetch("PUT", "/bucket/after", b"after").status == 200
    wait_until(lambda: pending(daemon) == 0)
    daemon.kill()
    shutil.rmtree(daemon.directory)
    shutil.move(tmp_path / "backup", daemon.directory)
    if by == "adopt":
        (daemon.directory / "journal" / "mark").unlink()
    ran = subprocess.run([PROGRAM, "journal", by, daemon.directory], capture_output=True, text=True, check=True)
    epoch = re.search(r"epoch (\d+) begins", ran.stdout)
    assert epoch is not None
    assert int(epoch[1]) == 2 or (by == "restored" and int(epoch[1]) > 1_700_000_000)
    daemon.start()
    wait_until(lambda: bool(daemon.ask("/status")["remote"]["state"] == "up"))
    for key in (b"before", b"after"):
        answer = daemon.fetch("GET", f"/bucket/{key.decode()}")
        assert (answer.status, answer.body) == (200, key)
    assert daemon.fetch("GET", "/bucket?list-type=2").body.count(b"<Key>") == 2
    assert daemon.fetch("PUT", "/bucket/after", b"mine", {"If-None-Match": "*"}).status == 412
    assert daemon.fetch("DELETE", "/bucket").status == 409
    assert daemon.fetch("PUT", "/fresh").status == 200
    wait_until(lambda: pending(daemon) == 0)
    for _ in range(2):  # also with the view folded again
        daemon.kill()
        for path in daemon.directory.glob("view*"):
            path.unlink()
        point_to(daemon, "http://127.0.0.1:9")
        daemon.start()
        assert daemon.fetch("GET", "/bucket/after").code == "RemoteUnreachable"
        assert daemon.fetch("GET", "/bucket?list-type=2").code == "RemoteUnreachable"
        assert daemon.fetch("GET", "/bucket/before").body == b"before"
        assert daemon.fetch("GET", "/fresh/nothing").code == "NoSuchKey"
    head = daemon.ask("/status")["head"]
    daemon.kill()
    daemon.start()
    assert daemon.ask("/status")["head"] == head, "it is said once in an epoch"
