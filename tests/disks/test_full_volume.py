"""A daemon on a volume without a free byte: nothing half kept, reads, deletes and draining go on, and it heals."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from live import PROGRAM, Answer, LiveDaemon, wait_until

from .conftest import BALLAST_BYTES, CONFIG, SmallVolume

SMALL, LARGE = b"s" * 4000, b"L" * 300_000
Make = Callable[..., LiveDaemon]


def blobs_of(daemon: LiveDaemon) -> set[str]:
    return {path.name for path in (daemon.directory / "blobs").rglob("*") if path.is_file()}


def write_until_refused(daemon: LiveDaemon, prefix: str, body: bytes) -> tuple[list[str], Answer]:
    """PUT after PUT; the keys that were acknowledged, and the refusal.

    One may be a 500: it fitted into the journal, but not into the view. That is caught up with in the ballast's space;
    until then everything is a 503.
    """
    kept: list[str] = []
    for number in range(8000):
        answer = daemon.fetch("PUT", f"/bucket/{prefix}{number}", body)
        if answer.status == 200:
            kept.append(f"{prefix}{number}")
        elif answer.code == "SlowDown":
            return kept, answer
        else:
            assert answer.code in {"InternalError", "ServiceUnavailable"}, answer
    raise AssertionError("the volume is never full")


def has_ballast(daemon: LiveDaemon) -> bool:
    path = daemon.directory / "journal" / "ballast"
    return path.exists() and path.stat().st_size == BALLAST_BYTES


def started(volume: SmallVolume, make: Make, config: str = CONFIG) -> LiveDaemon:
    daemon = make(volume.path / "data", config)
    assert daemon.fetch("PUT", "/bucket").status == 200
    wait_until(lambda: has_ballast(daemon))
    return daemon


def test_d2_d4_d10_decision_16_filled_by_its_own_writes_it_refuses_reads_deletes_and_resumes(
    small_volume: SmallVolume, daemon_at: Make
) -> None:
    """503 SlowDown with Retry-After for large and small bodies, nothing half kept; then deletes free space."""
    daemon = started(small_volume, daemon_at)
    large, refused = write_until_refused(daemon, "large", LARGE)
    assert (refused.status, refused.code) == (503, "SlowDown")
    assert int(refused.headers["retry-after"]) > 0
    assert len(blobs_of(daemon)) == len(large), "nothing is left of the body that did not fit"
    small, refused = write_until_refused(daemon, "small", SMALL)
    assert (refused.status, refused.code, bool(refused.headers["retry-after"])) == (503, "SlowDown", True)
    assert not has_ballast(daemon), "it was given up"
    for _ in range(20):  # ordinary writes never take the reserve
        assert daemon.fetch("PUT", "/bucket/more", SMALL).status == 503
        assert daemon.fetch("PUT", "/bucket/more", LARGE).status == 503
    assert small_volume.free_bytes > BALLAST_BYTES // 2
    assert daemon.fetch("GET", f"/bucket/{large[0]}").body == LARGE
    assert daemon.fetch("GET", f"/bucket/{small[-1]}").body == SMALL
    assert daemon.fetch("HEAD", "/bucket/more").status == 404
    assert b"<KeyCount>5</KeyCount>" in daemon.fetch("GET", "/bucket?list-type=2&max-keys=5").body
    status = subprocess.run([PROGRAM, "status", "--admin", daemon.admin], capture_output=True, check=False, text=True)
    assert status.returncode == 0, status.stderr
    for key in small:
        assert daemon.fetch("DELETE", f"/bucket/{key}").status == 204
    assert daemon.fetch("GET", f"/bucket/{small[0]}").status == 404
    assert daemon.errors() == []
    head = daemon.ask("/status")["head"]
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.ask("/status")["head"] == head
    assert daemon.fetch("GET", f"/bucket/{large[-1]}").body == LARGE


def test_d7_d10_no_free_byte_at_all_a_restart_and_writes_resume_without_another(
    small_volume: SmallVolume, daemon_at: Make
) -> None:
    """Somebody else's file takes everything; stop and start work; when it goes, so does the refusal."""
    daemon = started(small_volume, daemon_at)
    assert daemon.fetch("PUT", "/bucket/kept", LARGE).status == 200
    hog = small_volume.fill()
    assert daemon.fetch("PUT", "/bucket/no", SMALL * 10).code == "SlowDown"
    small_volume.fill()  # and the reserve that was given up just now
    assert daemon.fetch("GET", "/bucket/kept").body == LARGE
    assert daemon.stop() == 0
    small_volume.fill()
    daemon.start()
    assert daemon.fetch("GET", "/bucket/kept").body == LARGE
    assert daemon.fetch("PUT", "/bucket/no", LARGE).code == "SlowDown"
    process_id = daemon.process_id
    os.unlink(hog)
    wait_until(lambda: daemon.fetch("PUT", "/bucket/again", SMALL).status == 200)
    assert daemon.fetch("PUT", "/bucket/large", LARGE).status == 200
    wait_until(lambda: has_ballast(daemon))
    assert daemon.process_id == process_id
    assert daemon.errors() == []


def test_d8_draining_goes_on_while_full_and_across_a_kill(
    small_volume: SmallVolume, daemon_at: Make, tmp_path: Path
) -> None:
    """The remote gets everything, the confirmations are recorded, and nothing is sent twice."""
    far = daemon_at(tmp_path / "far", "")
    remote = f'[remote]\nsender = "inside"\nendpoint = "{far.url}"\naccess_key = "any"\nsecret_key = "any-secret"\n'
    nowhere = remote.replace(far.url, "http://127.0.0.1:9")
    daemon = started(small_volume, daemon_at, CONFIG + nowhere)
    large, _ = write_until_refused(daemon, "large", LARGE)
    small, _ = write_until_refused(daemon, "small", SMALL)
    wait_until(lambda: daemon.ask("/status")["ready"])
    records = daemon.ask("/status")["pending"]["count"]
    assert records >= 1 + len(large) + len(small)
    daemon._config.write_text(CONFIG + remote + "backoff_seconds_max = 1\n")
    daemon.kill()
    daemon.start()
    wait_until(lambda: daemon.ask("/status")["pending"]["count"] == 0, 60)
    assert far.fetch("GET", f"/bucket/{large[-1]}").body == LARGE
    assert far.fetch("GET", f"/bucket/{small[-1]}").body == SMALL
    assert far.ask("/status")["head"] == f"1-{records}", "each record arrived once"
    assert daemon.fetch("HEAD", f"/bucket/{small[0]}").headers["x-amz-replication-status"] == "COMPLETED"
    assert [line for line in daemon.errors() if "disk" not in line] == []
