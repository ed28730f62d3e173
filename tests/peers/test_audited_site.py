"""A site whose journal has dropped its beginning, with anchors in a bucket with Object Lock; and what an auditor says.

Three lives. In the first the site signs and anchors a little; then its disk is copied. In the second it goes on:
exports are made, files are sealed, and the oldest of them dropped. In the third somebody goes on with the copy instead.
"""

import json
import shutil
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from live import LiveDaemon, wait_until

from peers.edge import Remote
from s3d.cli.exits import FAILED, OK, PENDING
from s3d.cli.main import cli

pytest.importorskip("moto", reason="moto is the remote with Object Lock; it is not installed")

ANCHORS, OBJECT_BYTES = "audit-anchors", 16 * 1024
CONFIG = """
[remote]
endpoint = "http://{host}:{port}"
access_key = "{key}"
secret_key = "{secret}"
region = "us-east-1"
sender = "inside"
[audit]
anchor_bucket = "audit-anchors"
anchor_retain_days = 30
anchor_lock = "compliance"
[gaps]
every_hours = 0
[journal]
file_bytes_max = 65536
keep_unsealed_bytes = 0
retain_files = {retained}
"""


class Site(NamedTuple):
    """Exports by name and the site's key in a directory; the remote."""

    directory: Path
    remote: Remote

    def verify(self, *names: str, options: tuple[str, ...] = ()) -> Any:
        """What the auditor is told, who has a copy of the anchors."""
        return self._verify(names, "--anchors", str(self.directory / "anchors"), *options)

    def verify_there(self, name: str) -> Any:
        """The same, when the anchors are read where they are, with the auditor's own keys to the bucket."""
        remote = f"http://{self.remote.host}:{self.remote.port}"
        return self._verify([name], "--anchors", f"s3://{ANCHORS}/s3d-audit", "--remote", remote)

    def _verify(self, names: Sequence[str], *options: str) -> Any:
        exports = [str(self.directory / f"{name}.jsonl") for name in names]
        key = ["--public-key", str(self.directory / "site.key")]
        environ = {"AWS_ACCESS_KEY_ID": self.remote.access_key, "AWS_SECRET_ACCESS_KEY": self.remote.secret_key}
        arguments = ["audit", "verify", *exports, *key, *options]
        return CliRunner(env=environ).invoke(cli, arguments, standalone_mode=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, moto: Remote) -> Site:
    directory = tmp_path_factory.mktemp("audited")
    there = moto.client()
    there.create_bucket(Bucket=ANCHORS, ObjectLockEnabledForBucket=True)
    config = CONFIG.format(
        host=moto.host, port=moto.port, key=moto.access_key, secret=moto.secret_key, retained="{retained}"
    )
    daemon = LiveDaemon(directory / "data", auth=False, config=config.format(retained=0))
    copy = LiveDaemon(directory / "copy", auth=False, config=config.format(retained=0))
    _first_life(daemon.start(), directory)
    shutil.copytree(daemon.directory, copy.directory)
    _second_life(daemon.start(), directory, config.format(retained=1))
    _third_life(copy.start(), directory)
    _copy_anchors(there, directory / "anchors")
    there.close()
    return Site(directory, moto)


def _first_life(daemon: LiveDaemon, directory: Path) -> None:
    """A little is written, signed and anchored."""
    try:
        _write(daemon, 2, bucket="audited")
        (directory / "site.key").write_text(_typed("audit", "key", "--admin", daemon.admin))
        _export(daemon, directory / "older.jsonl")
    finally:
        assert daemon.stop() == 0


def _second_life(daemon: LiveDaemon, directory: Path, other: str) -> None:
    """Much more is; then only one sealed file is retained."""
    try:
        _write(daemon, 20)
        daemon.ask("/wait?all=1&timeout=60")
        _export(daemon, directory / "middle.jsonl")
        daemon.directory.with_suffix(".toml").write_text(other)
        _post(daemon, "/configuration/reload")
        wait_until(lambda: daemon.ask("/v1/journal")["files"][0]["first"] > 10)
        _write(daemon, 1)
        daemon.ask("/wait?all=1&timeout=60")
        _export(daemon, directory / "newer.jsonl")
    finally:
        assert daemon.stop() == 0


def _third_life(copy: LiveDaemon, directory: Path) -> None:
    """Somebody goes on with what the disk was after the first."""
    try:
        _write(copy, 3)
        copy.ask("/wait?all=1&timeout=60")
    finally:
        copy.stop()
    _typed("audit", "export", "--data-dir", str(copy.directory), "--output", str(directory / "copy.jsonl"))


def _copy_anchors(there: Any, directory: Path) -> None:
    directory.mkdir()
    for one in there.list_objects_v2(Bucket=ANCHORS)["Contents"]:
        there.download_file(ANCHORS, one["Key"], str(directory / one["Key"].rpartition("/")[2]))


def _write(daemon: LiveDaemon, count: int, bucket: str = "") -> None:
    client = daemon.client()
    if bucket:
        client.create_bucket(Bucket=bucket)
    for number in range(count):
        client.put_object(Bucket="audited", Key=f"{count}/{number}", Body=bytes(OBJECT_BYTES))
    client.close()


def _export(daemon: LiveDaemon, path: Path) -> None:
    _typed("audit", "export", "--admin", daemon.admin, "--output", str(path))


def _typed(*arguments: str) -> str:
    found = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    assert (found.exception, found.return_value) in {(None, OK), (None, None)}, found
    return found.stdout


def _post(daemon: LiveDaemon, path: str) -> None:
    request = urllib.request.Request(daemon.admin + path, b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 200


def first_and_last(path: Path) -> tuple[int, int]:
    lines = path.read_text().splitlines()
    return json.loads(lines[0])["first"], json.loads(lines[-1])["last"]


def test_what_was_dropped_is_in_an_older_export(site: Site) -> None:
    """The newer export is believed by itself, and joined to the older one without a hole."""
    first, last = first_and_last(site.directory / "newer.jsonl")
    assert first > 10
    for names in (("newer",), ("older", "middle", "newer")):
        found = site.verify(*names)
        assert found.return_value == OK, found.output
        assert f"{first} to {last}" in found.output


def test_what_no_export_has_is_named_and_whether_that_was_allowed(site: Site) -> None:
    """A hole is no forgery; what the site had to retain, by what its anchors and the older export know, is said."""
    ended, began = first_and_last(site.directory / "older.jsonl")[1], first_and_last(site.directory / "newer.jsonl")[0]
    found = site.verify("older", "newer")
    assert found.return_value == PENDING, found.output
    assert f"records {ended + 1} to {began - 1} are in none of them" in found.output
    found = site.verify("middle", "newer", options=("--retained-days", "400"))
    assert (found.return_value, "dropped-early" in found.output) == (FAILED, True), found.output
    assert site.verify("middle", options=("--retained-days", "400")).return_value == PENDING, "it has everything"


def test_anchors_are_locked_where_they_lie(site: Site) -> None:
    """Each for thirty days: none can be deleted, and what is put in front of one, or hides it, is looked behind.

    The site that was rolled back has found its next name taken, and has put nothing there.
    """
    there = site.remote.client()
    versions = there.list_object_versions(Bucket=ANCHORS)["Versions"]
    assert len(versions) == len({one["Key"] for one in versions}) >= 3
    for one in versions:
        head = there.head_object(Bucket=ANCHORS, Key=one["Key"], VersionId=one["VersionId"])
        assert head["ObjectLockMode"] == "COMPLIANCE"
        assert 29 <= (head["ObjectLockRetainUntilDate"] - datetime.now(UTC)).days <= 30
        with pytest.raises(ClientError, match="AccessDenied"):
            there.delete_object(Bucket=ANCHORS, Key=one["Key"], VersionId=one["VersionId"])
    there.delete_object(Bucket=ANCHORS, Key=versions[0]["Key"])
    there.put_object(Bucket=ANCHORS, Key=versions[1]["Key"], Body=b"{}", ContentMD5="mZFLkyvTelC5g8XnyQrpOw==")
    there.close()
    found = site.verify_there("newer")
    assert found.return_value == OK, found.output
    assert "Somebody has deleted 1 anchor, which the bucket has kept" in found.output
    assert "1 anchor has something else in front, which does not count" in found.output


def test_a_site_that_was_rolled_back_is_found(site: Site) -> None:
    """Its signatures are good, the key was on its disk; what it had anchored before says otherwise."""
    found = site.verify_there("copy")
    assert found.return_value == FAILED, found.output
    assert "the journal was rolled back" in found.output
    assert first_and_last(site.directory / "copy.jsonl")[0] == 1
