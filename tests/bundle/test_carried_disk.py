"""A site without a link, a disk, and headquarters: what was written there arrives here, and receipts come back."""

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from live import LiveDaemon, running_daemon

from s3d.bundle.keys import OwnKey, write_key
from s3d.bundle.receipts import Page, read_receipts, write_receipts
from s3d.cli.main import cli
from s3d.errors import S3dError

SITE, HEADQUARTERS, STRANGER = OwnKey(b"s" * 32), OwnKey(b"h" * 32), OwnKey(b"x" * 32)
CONFIG = f"""
bundle.trust = ["{HEADQUARTERS.public}"]
remote = {{ sender = "inside", endpoint = "http://127.0.0.1:1", access_key = "x", secret_key = "y" }}
"""
PART_BYTES = 5 * 1024 * 1024


class Edge:
    """The site, and what is typed there and at headquarters."""

    def __init__(self, daemon: LiveDaemon, client: Any, remote: LiveDaemon, there: Any, disk: Path) -> None:
        self.daemon, self.client, self.remote, self.there, self.disk = daemon, client, remote, there, disk
        write_key(str(disk / "site.key"), SITE)
        write_key(str(disk / "hq.key"), HEADQUARTERS)

    def export(self, name: str, *more: str) -> dict[str, Any]:
        """`s3d bundle export`."""
        keys = ["--to", str(HEADQUARTERS.public), "--sign-with", str(self.disk / "site.key")]
        return run("export", str(self.disk / name), *keys, "--admin", self.daemon.admin, *more)

    def apply(self, name: str, *more: str) -> dict[str, Any]:
        """`s3d bundle apply`."""
        keys = ["--key", str(self.disk / "hq.key"), "--from", str(SITE.public)]
        return run("apply", str(self.disk / name), *keys, "--remote", self.remote.url, *more)

    def receipts(self, name: str) -> dict[str, Any]:
        """`s3d bundle receipts`."""
        return run("receipts", str(self.disk / name), "--admin", self.daemon.admin)

    def pending(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.daemon.ask("/pending")["records"]
        return found


def run(*arguments: str) -> dict[str, Any]:
    """A command as it is typed, and the document that it prints."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "y")
        patch.setattr(
            click, "echo", lambda text="", **_: said.append(text.decode() if isinstance(text, bytes) else text)
        )
        code = cli.main(["bundle", *arguments, "--json"], prog_name="s3d", standalone_mode=False)
    return {**json.loads("".join(said)), "code": code or 0}


def objects(client: Any, bucket: str) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Everything in a bucket: digest of the bytes, content type, and metadata but for the token."""
    found = {}
    for listed in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        got = client.get_object(Bucket=bucket, Key=listed["Key"])
        metadata = {name: value for name, value in got["Metadata"].items() if name != "s3d-token"}
        found[listed["Key"]] = (hashlib.sha256(got["Body"].read()).hexdigest(), got["ContentType"], metadata)
    return found


@pytest.fixture(scope="module")
def module_edge(tmp_path_factory: pytest.TempPathFactory, open_daemon: LiveDaemon) -> Iterator[Edge]:
    directory = tmp_path_factory.mktemp("carried")
    with running_daemon(directory / "site", auth=False, config=CONFIG) as daemon:
        client, there = daemon.client(), open_daemon.client()
        yield Edge(daemon, client, open_daemon, there, directory)
        client.close()
        there.close()


@pytest.fixture
def edge(module_edge: Edge) -> Edge:
    """Nothing is pending."""
    assert module_edge.pending() == []
    return module_edge


def test_everything_arrives_and_is_confirmed(edge: Edge) -> None:
    """Overwrites, deletions, copies, uploads in parts and metadata: headquarters has what the site has."""
    client, bucket = edge.client, "carried-all"
    client.create_bucket(Bucket=bucket)
    for number in range(20):
        client.put_object(Bucket=bucket, Key=f"k/{number}", Body=b"%d" % number, Metadata={"n": str(number)})
    for number in range(0, 20, 5):
        client.put_object(Bucket=bucket, Key=f"k/{number}", Body=b"again", ContentType="text/plain")
    for number in range(1, 20, 5):
        client.delete_object(Bucket=bucket, Key=f"k/{number}")
    client.put_object(Bucket=bucket, Key="large", Body=random.Random(1).randbytes(1_500_000))
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    client.put_object(Bucket=bucket, Key="large", Body=b"small now")
    upload_in_parts(client, bucket, "parts")
    before = objects(client, bucket)
    exported = edge.export("all", "--size", "4M")
    assert len(exported["files"]) > 1
    assert exported["records"] == len(edge.pending())
    applied = edge.apply("all")
    assert (applied["code"], applied["confirmed"], applied["left"]) == (0, exported["records"], 0)
    assert objects(edge.there, bucket) == before
    first = (edge.disk / "all.receipts").read_bytes()
    asked = edge.remote.ask("/status")["head"]
    assert edge.apply("all")["confirmed"] == exported["records"]
    assert (edge.disk / "all.receipts").read_bytes() == first
    assert edge.remote.ask("/status")["head"] == asked, "applied again, it sent something again"
    # without what it remembers it looks, and leaves things as they are
    shutil.rmtree(edge.disk / "all.state")
    assert edge.apply("all")["left"] == 0
    assert objects(edge.there, bucket) == before
    (edge.disk / "all.receipts").write_bytes(first)
    assert edge.receipts("all.receipts")["confirmed"] == exported["records"]
    head = edge.daemon.ask("/status")["head"]
    assert edge.receipts("all.receipts") == {
        "confirmed": 0,
        "parked": 0,
        "known": exported["records"],
        "code": 0,
    }
    assert edge.daemon.ask("/status")["head"] == head, "receipts that were taken again left a record"
    assert edge.pending() == []
    assert objects(client, bucket) == before
    assert (
        client.head_object(Bucket=bucket, Key="large")["ResponseMetadata"]["HTTPHeaders"]["x-amz-replication-status"]
        == "COMPLETED"
    )


def test_an_upload_goes_on_over_two_disks(edge: Edge) -> None:
    """The upload and its first part leave on one disk, and the rest on another, with what it builds on."""
    client, bucket = edge.client, "carried-upload"
    client.create_bucket(Bucket=bucket)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "b"})["UploadId"]
    name = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    first = client.upload_part(**name, PartNumber=1, Body=b"1" * PART_BYTES)["ETag"]
    edge.export("begun")
    assert edge.apply("begun")["code"] == 0
    edge.receipts("begun.receipts")
    second = client.upload_part(**name, PartNumber=2, Body=b"2")["ETag"]
    listed = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    client.complete_multipart_upload(**name, MultipartUpload={"Parts": listed})
    assert edge.export("ended")["records"] == 2
    assert edge.apply("ended")["code"] == 0
    assert objects(edge.there, bucket) == objects(client, bucket)
    assert edge.receipts("ended.receipts")["confirmed"] == 2


def test_what_is_refused_is_parked_and_stops_only_its_own_key(edge: Edge) -> None:
    """The remote's code and message come back to the site; later records of the key wait, others arrive."""
    client, bucket = edge.client, "carried-refused"
    edge.there.create_bucket(Bucket=bucket)
    edge.there.put_object(Bucket=bucket, Key="there", Body=b"theirs")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="there", Body=b"ours", IfNoneMatch="*")
    client.put_object(Bucket=bucket, Key="there", Body=b"later")
    client.put_object(Bucket=bucket, Key="other", Body=b"arrives")
    edge.export("refused")
    applied = edge.apply("refused")
    assert (applied["code"], applied["confirmed"], applied["left"]) == (4, 2, 1)
    assert [one["code"] for one in applied["refused"]] == ["PreconditionFailed"]
    assert edge.receipts("refused.receipts") == {"confirmed": 2, "parked": 1, "known": 0, "code": 0}
    parked = edge.daemon.ask("/parked")["records"]
    assert [(one["key"], one["code"]) for one in parked] == [("there", "PreconditionFailed")]
    # a person mends it at headquarters, and calls again: the receipts for the rest
    edge.there.delete_object(Bucket=bucket, Key="there")
    assert edge.apply("refused", "--retry")["code"] == 0
    assert edge.receipts("refused.receipts")["confirmed"] == 2
    assert edge.there.get_object(Bucket=bucket, Key="there")["Body"].read() == b"later"


def test_receipts_of_others_change_nothing(edge: Edge) -> None:
    """A stranger's, changed ones, ones for another journal, epoch or record, and ones that are cut off."""
    client, bucket = edge.client, "carried-receipts"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    edge.export("good")
    edge.apply("good")
    path = edge.disk / "good.receipts"
    good, (_, page) = path.read_bytes(), next(iter(read_receipts(str(path))))
    assert isinstance(page, Page)
    head = edge.daemon.ask("/status")["head"]
    other = [msgspec.structs.replace(one, hash=b"\1" * 32) for one in page.receipts]
    bad = edge.disk / "bad"
    for said, instance, epoch, receipts, signer in (
        ("not trusted", page.instance, page.epoch, page.receipts, STRANGER),
        ("for journal", "another", page.epoch, page.receipts, HEADQUARTERS),
        ("for epoch", page.instance, page.epoch + 1, page.receipts, HEADQUARTERS),
        ("another record", page.instance, page.epoch, other, HEADQUARTERS),
    ):
        write_receipts(str(bad), page.bundle, instance, epoch, receipts, signer)
        with pytest.raises(S3dError, match=said):
            edge.receipts("bad")
    for place in range(0, len(good), 7):
        bad.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(S3dError):
            edge.receipts("bad")
    bad.write_bytes(good[:-1])
    with pytest.raises(S3dError, match="cut off"):
        edge.receipts("bad")
    assert edge.daemon.ask("/status")["head"] == head
    assert len(edge.pending()) == 2
    assert edge.receipts("good.receipts")["confirmed"] == 2


def test_a_range_that_would_overtake_is_refused(edge: Edge) -> None:
    """What waits in front of a record goes before it: a range that leaves it out is refused, others are not."""
    client, bucket = edge.client, "carried-range"
    client.create_bucket(Bucket=bucket)
    sequences = [
        int(client.put_object(Bucket=bucket, Key=key, Body=b"1")["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"][2:])
        for key in ("a", "b", "a")
    ]
    with pytest.raises(S3dError, match="waits before"):
        edge.export("range", "--seq", f"{sequences[1]}..{sequences[2]}")
    exported = edge.export("range", "--seq", f"1..{sequences[1]}")
    assert (exported["records"], exported["last"]) == (3, f"1-{sequences[1]}")
    edge.apply("range")
    edge.receipts("range.receipts")
    assert edge.export("rest", "--seq", f"{sequences[2]}..{sequences[2]}")["records"] == 1
    edge.apply("rest")
    edge.receipts("rest.receipts")
    with pytest.raises(S3dError, match="nothing is pending"):
        edge.export("nothing")
    assert not list(edge.disk.glob("nothing*"))


def upload_in_parts(client: Any, bucket: str, key: str) -> None:
    """Two parts."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    listed = []
    for number, size in ((1, PART_BYTES), (2, 10)):
        sent = client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=bytes([number]) * size
        )
        listed.append({"PartNumber": number, "ETag": sent["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})
