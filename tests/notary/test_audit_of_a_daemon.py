"""A site from its first write to the auditor's desk: signed, refused, exported, verified, with the real commands."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from live import LiveDaemon

from s3d.cli.exits import FAILED, OK
from s3d.cli.main import cli


class Ran(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def s3d(*arguments: str) -> Ran:
    """As it is typed, in this process."""
    found = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert found.exception is None, found.exception
    return Ran(found.return_value or OK, found.stdout, found.stderr)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> LiveDaemon:
    """One that has written, refused and signed, and has stopped."""
    daemon = LiveDaemon(tmp_path_factory.mktemp("signed") / "data", auth=True).start()
    try:
        client = daemon.client()
        client.create_bucket(Bucket="photos")
        for number in range(3):
            client.put_object(Bucket="photos", Key=f"a/{number}", Body=b"x")
        client.close()
        assert daemon.fetch("GET", "/photos/a/1").status == 403
        key = s3d("audit", "key", "--admin", daemon.admin)
        (daemon.directory.parent / "site.key").write_text(key.stdout)
        found = s3d("audit", "export", "--admin", daemon.admin, "--output", str(daemon.directory.parent / "live.jsonl"))
        assert (found.returncode, found.stderr) == (OK, "")
        assert daemon.ask("/status")["audit"]["last"]["covers"] == "1-4"
    finally:
        daemon.stop()
    return daemon


def verified(export: Path, key: Path) -> Ran:
    return s3d("audit", "verify", str(export), "--public-key", str(key), "--json")


def test_an_export_of_a_daemon_is_verified_and_one_that_was_changed_is_not(daemon: LiveDaemon) -> None:
    """With nothing but the file and the key."""
    export, key = daemon.directory.parent / "live.jsonl", daemon.directory.parent / "site.key"
    found = verified(export, key)
    assert (found.returncode, json.loads(found.stdout)["verdict"]) == (OK, "verified"), found.stderr
    assert json.loads(found.stdout)["signed_through"] == 4
    changed = daemon.directory.parent / "changed.jsonl"
    changed.write_bytes(export.read_bytes().replace(b"photos/a/1", b"photos/a/9"))
    found = verified(changed, key)
    assert (found.returncode, json.loads(found.stdout)["findings"][0]["sequence"]) == (FAILED, 3)


def test_what_a_stop_signed_is_verified_from_the_disk(daemon: LiveDaemon) -> None:
    """Also that somebody was refused; who it was stands in the file beside the journal."""
    end, key = daemon.directory.parent / "end.jsonl", daemon.directory.parent / "site.key"
    found = s3d("audit", "export", "--data-dir", str(daemon.directory), "--output", str(end))
    assert (found.returncode, found.stderr) == (OK, "")
    found = verified(end, key)
    assert (found.returncode, json.loads(found.stdout)["checkpoints"]) == (OK, 2), found.stdout
    found = s3d("audit", "list", "--export", str(end), "--event", "refused", "--json")
    (event,) = json.loads(found.stdout)["events"]
    assert (event["code"], event["source"]) == ("AccessDenied", "127.0.0.1")
    (line,) = (daemon.directory / "refused.jsonl").read_text().splitlines()
    assert (json.loads(line)["path"], json.loads(line)["code"]) == ("/photos/a/1", "AccessDenied")
    assert (daemon.directory / "audit-signing.key").stat().st_mode & 0o777 == 0o600


def test_an_epoch_that_has_begun_since_the_last_signature_changes_nothing(daemon: LiveDaemon, tmp_path: Path) -> None:
    """A disk that was recovered, or restored, and on which no daemon has signed since: what was signed is verified."""
    disk, end = shutil.copytree(daemon.directory, tmp_path / "disk"), tmp_path / "end.jsonl"
    key = daemon.directory.parent / "site.key"

    def s3d_here(*arguments: object) -> int:
        return cli.main([*map(str, arguments)], prog_name="s3d", standalone_mode=False) or OK

    assert s3d_here("journal", "restored", disk) == OK
    assert s3d_here("audit", "export", "--data-dir", disk, "--output", end) == OK
    assert s3d_here("audit", "verify", end, "--public-key", key) == OK
