"""One volume for what waits, what was sent, and whatever other programs put there: on file systems of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from live import LiveDaemon, wait_until

from .conftest import CONFIG, MIB, SmallVolume

Make = Callable[..., LiveDaemon]
BODY = bytes(range(256)) * 4096  # a MiB
REMOTE = (
    '[remote]\nsender = "inside"\nbackoff_seconds_max = 1\nendpoint = "{}"\n'
    'access_key = "any"\nsecret_key = "any-secret"\n'
)


def drained(daemon: LiveDaemon) -> bool:
    return bool(daemon.ask("/status")["pending"]["count"] == 0)


def files_here(daemon: LiveDaemon) -> int:
    return sum(1 for path in (daemon.directory / "blobs").rglob("*") if path.is_file())


@pytest.fixture
def far(daemon_at: Make, tmp_path: Path) -> LiveDaemon:
    """The remote: another daemon."""
    return daemon_at(tmp_path / "far", "")


def test_more_than_the_volume_holds_passes_through_it(
    small_volume: SmallVolume, daemon_at: Make, far: LiveDaemon
) -> None:
    """20 MiB through 24, of which half is kept free; each body is readable afterwards."""
    daemon = daemon_at(small_volume.path / "data", CONFIG + REMOTE.format(far.url))
    assert daemon.fetch("PUT", "/site").status == 200
    for number in range(20):
        wait_until(lambda n=number: daemon.fetch("PUT", f"/site/k{n}", BODY).status == 200, 60)  # type: ignore[misc]
    wait_until(lambda: drained(daemon), 60)
    wait_until(lambda: files_here(daemon) < 16)
    for number in (0, 10, 19):
        assert daemon.fetch("GET", f"/site/k{number}").body == BODY
        headers = daemon.fetch("HEAD", f"/site/k{number}").headers
        assert headers["x-amz-replication-status"] == "COMPLETED"
    assert daemon.errors() == []
    daemon.kill()
    daemon.start()
    assert daemon.fetch("GET", "/site/k1").body == BODY
    far.kill()
    answers = {daemon.fetch("GET", f"/site/k{number}").status for number in range(20)}
    assert answers == {200, 503}, "what is here is read without the link, what is not says so"


def test_other_programs_that_fill_the_volume_are_made_room_for_and_pending_bodies_stay(
    ext4_volume: SmallVolume, daemon_at: Make, far: LiveDaemon
) -> None:
    """Sent bodies go as a stranger's file grows; what is pending stays, all of it, to the last byte of the volume."""
    daemon = daemon_at(ext4_volume.path / "data", CONFIG + REMOTE.format(far.url))
    assert daemon.fetch("PUT", "/site").status == 200
    for number in range(6):
        assert daemon.fetch("PUT", f"/site/sent{number}", BODY).status == 200
    wait_until(lambda: drained(daemon), 60)
    assert files_here(daemon) == 6
    far.kill()
    for number in range(3):
        assert daemon.fetch("PUT", f"/site/waits{number}", BODY).status == 200
    hog = ext4_volume.path / "hog"
    hog.write_bytes(bytes(ext4_volume.free_bytes - 7 * MIB))
    wait_until(lambda: 3 < files_here(daemon) < 9)
    assert "RemoteUnreachable" in {daemon.fetch("GET", f"/site/sent{number}").code for number in range(6)}

    def only_pending_is_left() -> bool:
        ext4_volume.fill()
        return files_here(daemon) == 3

    wait_until(only_pending_is_left)
    for number in range(3):
        assert daemon.fetch("GET", f"/site/waits{number}").body == BODY

    def nothing_goes_in() -> bool:
        ext4_volume.fill()  # also what the last one that was let go of has left
        return daemon.fetch("PUT", "/site/no", BODY).code == "SlowDown"

    wait_until(nothing_goes_in)
    assert daemon.ask("/status")["capacity"]["forecast"]["fills"] == "full"
    hog.unlink()
    wait_until(lambda: daemon.fetch("PUT", "/site/again", BODY).status == 200)
    assert daemon.fetch("DELETE", "/site/sent1").status == 204


def test_a_bound_of_its_own_is_kept_on_a_large_disk(daemon_at: Make, far: LiveDaemon, tmp_path: Path) -> None:
    """volume_bytes: the cap is a share of it, and what was sent makes room although the disk has plenty."""
    config = CONFIG + REMOTE.format(far.url) + f"[capacity]\nvolume_bytes = {20 * MIB}\n"
    daemon = daemon_at(tmp_path / "near", config)
    assert daemon.ask("/status")["capacity"]["pending_bytes_max"] == int(20 * MIB * 0.9)
    assert daemon.fetch("PUT", "/site").status == 200
    for number in range(24):
        wait_until(lambda n=number: daemon.fetch("PUT", f"/site/k{n}", BODY).status == 200)  # type: ignore[misc]
    wait_until(lambda: drained(daemon), 60)
    wait_until(lambda: files_here(daemon) < 24, 60)
    assert daemon.fetch("GET", "/site/k0").body == BODY
