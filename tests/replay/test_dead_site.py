"""The disk of a dead site on another machine: everything that was acknowledged there reaches the remote."""

import fcntl
import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import apsw
import click
import pytest
from live import LiveDaemon

from journal import JournalDamaged, JournalLocked, SqliteBackend
from s3d.cli.main import cli
from s3d.errors import DataDirectoryError

CONFIG = 'remote = { sender = "inside", endpoint = "http://127.0.0.1:1", access_key = "x", secret_key = "y" }'
LARGE = random.Random(1).randbytes(1_500_000)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of a site that was killed while its link was down and an operator had paused it."""
    directory = tmp_path_factory.mktemp("dead")
    daemon = LiveDaemon(directory / "site", auth=False, config=CONFIG).start()
    client = daemon.client()
    for bucket in ("dead", "dead-too"):
        client.create_bucket(Bucket=bucket)
    for number in range(10):
        client.put_object(Bucket="dead", Key=f"k/{number}", Body=b"%d" % number, Metadata={"n": str(number)})
    client.put_object(Bucket="dead", Key="k/1", Body=b"again")
    client.delete_object(Bucket="dead", Key="k/2")
    client.put_object(Bucket="dead", Key="large", Body=LARGE)
    client.copy_object(Bucket="dead", Key="copy", CopySource={"Bucket": "dead", "Key": "large"})
    begun = client.create_multipart_upload(Bucket="dead-too", Key="parts")["UploadId"]
    part = client.upload_part(Bucket="dead-too", Key="parts", UploadId=begun, PartNumber=1, Body=LARGE)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket="dead-too", Key="parts", UploadId=begun, MultipartUpload=parts)
    client.close()
    cli.main(["pause", "--admin", daemon.admin], prog_name="s3d", standalone_mode=False)
    daemon.kill()
    return directory / "site"


@pytest.fixture
def typed(tmp_path: Path, open_daemon: LiveDaemon, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`s3d replay …` as a person types it, with a state directory of the test's own; its exit code and document."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.chdir(tmp_path)

    def replay(data_dir: Path, *more: str) -> tuple[int, dict[str, int], dict[str, Any]]:
        said: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                click, "echo", lambda text="", **_: said.append(text.decode() if isinstance(text, bytes) else text)
            )
            arguments = ["replay", str(data_dir), "--remote", open_daemon.url, "--json", *more]
            code = cli.main(arguments, prog_name="s3d", standalone_mode=False)
        document = json.loads("".join(said))
        records = {name: found["records"] for name, found in document["outcomes"].items() if found["records"]}
        return code or 0, records, document

    return replay


def digest_of(directory: Path) -> str:
    """Every name and byte below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(str(path.relative_to(directory)).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def test_everything_arrives_and_nothing_on_the_disk_changes(
    disk: Path, typed: Any, open_daemon: LiveDaemon, tmp_path: Path
) -> None:
    """First a part, then the rest; the third time there is nothing to do. Each record's outcome is in a report."""
    before, client = digest_of(disk), open_daemon.client()
    assert typed(disk, "--dry-run")[1] == {"left": 19}
    assert not (tmp_path / "site.replay").exists()
    code, records, _ = typed(disk, "--prefix", "dead/k/", "--report", "first.json")
    assert (code, records) == (0, {"confirmed": 13, "not-selected": 6})
    assert client.list_objects_v2(Bucket="dead")["KeyCount"] == 9
    code, records, _ = typed(disk, "--verify", "--report", "all.json")
    assert (code, records) == (0, {"confirmed": 19})
    assert client.get_object(Bucket="dead", Key="k/1")["Body"].read() == b"again"
    assert client.get_object(Bucket="dead", Key="k/3")["Metadata"]["n"] == "3"
    for bucket, key in (("dead", "large"), ("dead", "copy"), ("dead-too", "parts")):
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == LARGE
    written = open_daemon.footprint().head
    assert typed(disk)[1] == {"confirmed": 19}
    assert open_daemon.footprint().head == written, "twice is once"
    report = json.loads((tmp_path / "all.json").read_text())
    assert [one["sequence"] for one in report["records"]] == list(range(1, 20))
    assert digest_of(disk) == before

    client.delete_object(Bucket="dead", Key="k/5")
    client.put_object(Bucket="dead", Key="k/6", Body=b"not ours")
    code, _, document = typed(disk, "--verify")
    assert code == 1
    assert [(one["key"], one["kind"]) for one in document["differences"]] == [("k/5", "missing"), ("k/6", "changed")]
    client.close()


def test_what_cannot_be_read_is_refused_and_the_rest_arrives(
    disk: Path, typed: Any, open_daemon: LiveDaemon, tmp_path: Path
) -> None:
    """A blob is missing, another is damaged, and so are two small bodies: their records say so, and stand in nobody's
    way. What was written over one of them goes in its place.
    """
    copied = tmp_path / "copied"
    shutil.copytree(disk, copied)
    blobs = sorted(path for path in (copied / "blobs").rglob("*") if path.is_file())
    blobs[0].unlink()
    damaged = bytearray(blobs[1].read_bytes())
    damaged[1000] ^= 1
    blobs[1].write_bytes(damaged)
    with apsw.Connection(str(copied / "journal" / "journal-000001.db")) as connection:
        spoil = "UPDATE record SET body = x'00' WHERE stream = ? AND sequence < 13"
        connection.execute(spoil, ("dead/k/1",))
        connection.execute(spoil, ("dead/k/3",))
    code, records, _ = typed(copied, "--map", "dead=replayed", "--map", "dead-too=replayed-too", "--report", "r.json")
    assert code == 4
    assert (records["refused"], records["superseded"]) == (3, 1)
    told = [one for one in json.loads((tmp_path / "r.json").read_text())["records"] if one["outcome"] == "refused"]
    assert {one["code"] for one in told} == {"LocalBodyUnreadable"}
    client = open_daemon.client()
    assert client.get_object(Bucket="replayed", Key="k/1")["Body"].read() == b"again"
    client.close()


def test_a_damaged_journal_is_not_replayed(disk: Path, typed: Any, tmp_path: Path) -> None:
    """A record that was edited: nothing is sent of a chain that does not hold, and there is no branch of it."""
    copied = tmp_path / "edited"
    shutil.copytree(disk, copied)
    with apsw.Connection(str(copied / "journal" / "journal-000001.db")) as connection:
        connection.execute("UPDATE record SET payload = CAST(payload || ' ' AS BLOB) WHERE sequence = 5")
    with pytest.raises(JournalDamaged, match="record 5"):
        typed(copied)
    assert not (tmp_path / "edited.replay" / "journal").exists()


def test_a_disk_in_use_and_a_state_of_others_are_refused(disk: Path, typed: Any, tmp_path: Path) -> None:
    """A daemon sends its records itself; and what another replay knows says nothing about this disk."""
    descriptor = os.open(disk / "journal" / "lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(JournalLocked, match="open in another process"):
        typed(disk)
    os.close(descriptor)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataDirectoryError, match=r"letter\.txt"):
        typed(disk, "--state", "mine")
    other = tmp_path / "other"
    backend = SqliteBackend(str(other / "journal"), ballast_bytes=0)
    backend.open()
    backend.close()
    assert typed(other, "--state", "theirs")[1] == {}
    with pytest.raises(DataDirectoryError, match="of other records"):
        typed(disk, "--state", "theirs")


def test_an_interrupted_branch_is_made_anew(disk: Path, typed: Any, tmp_path: Path) -> None:
    """Cut off before it was whole, or before it was said whose it is."""
    state = tmp_path / "site.replay"
    (state / "journal.new").mkdir(parents=True)
    (state / "journal.new" / "half").write_bytes(b"half")
    assert typed(disk, "--to", "1")[1] == {"confirmed": 1, "not-selected": 18}
    (state / "source").rename(state / "source.new")
    assert typed(disk, "--to", "1")[1] == {"confirmed": 1, "not-selected": 18}
