"""What was: a key overwritten three times and deleted, seen and written back, while files are sealed and dropped."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from live import LiveDaemon, running_daemon, wait_until

from s3d.cli.main import cli
from s3d.errors import S3dError

FILES = """
[journal]
ballast_bytes = 0
file_bytes_max = 65536
keep_unsealed_bytes = 0
retain_files = 0
[cache]
body_memory_bytes = 0
"""
LARGE = os.urandom(200_000)
FILL = [f"fill/{number:02}" for number in range(30)]
KEY = {"Bucket": "site", "Key": "a b/ü"}
PLACE = "site/a b/ü"


class Site(NamedTuple):
    """An edge, its remote, and clients of both; `run` types a command: its code, and what it printed."""

    edge: LiveDaemon
    s3: Any
    remote: Any
    run: Callable[..., tuple[int, str, str]]

    def head(self) -> int:
        return int(self.edge.ask("/status")["head"].partition("-")[2])

    def drain(self) -> None:
        wait_until(lambda: self.edge.ask("/status")["pending"]["count"] == 0, 60)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveDaemon, LiveDaemon]]:
    directory: Path = tmp_path_factory.mktemp("past")
    with running_daemon(directory / "remote", auth=False) as remote:
        to = f'[remote]\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\nsender = "inside"\n'
        with running_daemon(directory / "edge", auth=False, config=to + FILES) as edge:
            yield edge, remote


@pytest.fixture
def site(pair: Any, s3_of: Any, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> Site:
    monkeypatch.setenv("S3D_ADMIN", pair[0].admin)

    def run(*arguments: str) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        code = cli.main(list(arguments), prog_name="s3d", standalone_mode=False)
        said = capfdbinary.readouterr()
        return code or 0, said.out.decode(), said.err.decode()

    return Site(pair[0], s3_of(pair[0]), s3_of(pair[1]), run)


def seq_of(answer: Any) -> int:
    return int(answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"].partition("-")[2])


def test_a_key_at_each_of_its_moments(site: Site, tmp_path: Path) -> None:
    """Absent, three versions, deleted: at the daemon, and in its directory while it runs. Then back again."""
    made = seq_of(site.s3.create_bucket(Bucket="site"))
    versions = {}
    for number in ("1", "2", "3"):
        body, given = f"version {number}".encode(), {"Metadata": {"m": number}, "Tagging": f"t={number}"}
        versions[seq_of(site.s3.put_object(**KEY, Body=body, ContentType="text/x", **given))] = number
    first, second, _ = versions
    large = seq_of(site.s3.put_object(Bucket="site", Key="large", Body=LARGE))
    gone = seq_of(site.s3.delete_object(**KEY))
    site.drain()
    for where in ((), ("--data-dir", str(site.edge.directory))):
        for sequence, number in versions.items():
            code, out, err = site.run("get", PLACE, "-", "--at", str(sequence), *where)
            assert (code, out) == (0, f"version {number}")
            assert f"As of record 1-{sequence}, of 20" in err
        for sequence, said in ((made, "there was no"), (gone, f"record 1-{gone} had deleted it")):
            with pytest.raises(S3dError, match=said):
                site.run("get", PLACE, "-", "--at", f"1-{sequence}", *where)
        listed = [
            json.loads(site.run("ls", "site", "--json", "--at", str(at), *where)[1]) for at in (second, large, gone)
        ]
        assert [[one["key"] for one in keys] for keys in listed] == [["a b/"], ["a b/", "large"], ["large"]]
        assert json.loads(site.run("ls", "--json", "--at", "0", *where)[1]) == []
        assert site.run("get", "site/large", str(tmp_path / "large"), "--at", str(large), *where)[0] == 0
        assert (tmp_path / "large").read_bytes() == LARGE

    assert "put " in site.run("restore", PLACE, "--at", str(second), "--dry-run")[1]
    assert "is written back" in site.run("restore", PLACE, "--at", str(second))[1]
    assert "Nothing to do" in site.run("restore", PLACE, "--at", str(second))[1]
    site.drain()
    for client in (site.s3, site.remote):
        found = client.get_object(**KEY)
        assert (found["Body"].read(), found["ContentType"]) == (b"version 2", "text/x")
        assert found["Metadata"]["m"] == "2"
        assert client.get_object_tagging(**KEY)["TagSet"] == [{"Key": "t", "Value": "2"}]
    told = site.run("audit", "list", "--json", "--key", PLACE, "--identity", "admin", "--event", "acknowledged")[1]
    (event,) = json.loads(told)["events"]
    assert event["message"] == f"as of 1-{second}"
    assert ("@" in event["claimed"], event["source"]) == (True, "")

    with pytest.raises(click.UsageError, match="say --yes"):
        site.run("restore", "site", "--prefix", "--at", str(first))
    code, out, _ = site.run("restore", "site", "--prefix", "--at", str(first), "--yes", "--json")
    steps = {step["key"]: (step["action"], step["made_by"]) for step in json.loads(out)["steps"]}
    assert (code, steps) == (0, {"a b/ü": ("put", f"1-{first}"), "large": ("delete", "")})
    site.drain()
    assert [one["Key"] for one in site.remote.list_objects_v2(Bucket="site")["Contents"]] == ["a b/ü"]
    assert site.remote.get_object(**KEY)["Body"].read() == b"version 1"
    assert site.edge.errors() == []


def test_parts_are_written_back_as_one_body(site: Site) -> None:
    """What was uploaded in parts gets the ETag of a whole; a later overwrite does not disturb it."""
    where = {"Bucket": "site", "Key": "parts"}
    upload = site.s3.create_multipart_upload(**where, Metadata={"p": "1"})["UploadId"]
    parts = [b"x" * 5 * 1024 * 1024, b"the end"]
    sent = [
        {
            "PartNumber": number,
            "ETag": site.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, 1)
    ]
    at = seq_of(site.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": sent}))
    site.s3.put_object(**where, Body=b"other")
    assert site.run("restore", "site/parts", "--at", str(at))[0] == 0
    found = site.s3.get_object(**where)
    assert found["Body"].read() == b"".join(parts)
    assert "-" not in found["ETag"]
    assert found["Metadata"] == {"p": "1"}
    site.drain()


def test_when_files_have_been_sealed_and_dropped(site: Site) -> None:
    """Of bytes that are gone it is said who has them; names are told as far back as the base reaches, no further."""
    here, there = (), ("--data-dir", str(site.edge.directory))
    sealed = seq_of(site.s3.put_object(**KEY, Body=b"sealed"))
    fill(site)
    wait_until(lambda: state_of(site, sealed) == "sealed", 60)
    for where in (here, there):
        listed = json.loads(site.run("ls", "site", "-r", "--json", "--at", str(sealed), *where)[1])
        assert "a b/ü" in [one["key"] for one in listed]
        with pytest.raises(S3dError, match="are not here any more") as missing:
            site.run("get", PLACE, "-", "--at", str(sealed), *where)
        assert "the remote (default) has confirmed them at 20" in missing.value.hint
        assert "`s3d get` without --at" in missing.value.hint
    site.s3.put_object(**KEY, Body=b"newer")
    with pytest.raises(S3dError, match="are not here any more"):
        site.run("restore", PLACE, "--at", str(sealed))

    config = site.edge.directory.with_suffix(".toml")
    config.write_text(config.read_text().replace("retain_files = 0", "retain_files = 1"))
    assert site.run("reload")[0] == 0
    wait_until(lambda: state_of(site, sealed) == "", 60)
    for where in (here, there):
        with pytest.raises(S3dError, match=r"the records before \d+ have been dropped") as refused:
            site.run("ls", "site", "--at", str(sealed), *where)
        reach = refused.value.hint.split("--at ")[1].split(";")[0]
        listed = json.loads(site.run("ls", "site", "-r", "--json", "--at", reach, *where)[1])
        assert [one["key"] for one in listed if one["key"].startswith("fill/")] == FILL
    assert site.edge.errors() == []


def fill(site: Site) -> None:
    """More than a journal file has room for."""
    for key in FILL:
        site.s3.put_object(Bucket="site", Key=key, Body=os.urandom(8000))
    site.drain()


def state_of(site: Site, sequence: int) -> str:
    """Of the file that has this record; empty: none has it any more."""
    files = site.edge.ask("/v1/journal")["files"]
    return next((str(one["state"]) for one in files if one["first"] <= sequence <= one["last"]), "")


def test_a_daemon_that_is_not_there(site: Site, tmp_path: Path) -> None:
    """One line, whatever was asked of whom."""
    with pytest.raises(S3dError, match="there is no journal in"):
        site.run("ls", "site", "--at", "1", "--data-dir", str(tmp_path))
    with pytest.raises(S3dError, match="no daemon answers"):
        site.run("ls", "site", "--at", "1", "--admin", "http://127.0.0.1:9")
    with pytest.raises(click.UsageError, match="goes with --at"):
        site.run("ls", "site", "--data-dir", str(tmp_path))
