"""A bucket that stays local, on a daemon whose remote was never reached: whole S3, through a kill and a lost view."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import LiveDaemon, running_daemon
from samples import code_of

CONFIG = """
[remote]
endpoint = "http://127.0.0.1:9"
access_key = "any"
secret_key = "any"
sender = "inside"
[journal]
ballast_bytes = 0
[capacity]
volume_bytes = 64000000
pending_share_max = 0.5
local_share_max = 0.25
[[bucket]]
name = "scratch"
stays_local = true
"""
PART_BYTES = 5 * 1024 * 1024
FULL = b"f" * 8_000_000


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """Offline from the beginning."""
    with running_daemon(tmp_path_factory.mktemp("stays") / "edge", auth=False, config=CONFIG) as daemon:
        yield daemon


@pytest.fixture
def client(edge: LiveDaemon, s3_of: Any) -> Any:
    return s3_of(edge)


def refusal(call: Any, **given: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(**given)
    return code_of(refused.value)


def test_everything_is_known_without_a_remote(edge: LiveDaemon, client: Any) -> None:
    """The bucket is there from the start; present and absent, listings, tags, parts, copies: no 503 anywhere."""
    there = {"Bucket": "scratch", "Key": "a"}
    client.put_object(**there, Body=b"hello", Tagging="x=1")
    assert refusal(client.put_object, **there, Body=b"", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refusal(client.get_object, Bucket="scratch", Key="none") == (404, "NoSuchKey")
    assert refusal(client.get_object, Bucket="elsewhere", Key="none") == (503, "RemoteUnreachable")
    client.put_object_tagging(**there, Tagging={"TagSet": [{"Key": "y", "Value": "2"}]})
    assert client.get_object_tagging(**there)["TagSet"] == [{"Key": "y", "Value": "2"}]
    client.copy_object(Bucket="scratch", Key="b", CopySource="scratch/a")
    upload = client.create_multipart_upload(Bucket="scratch", Key="long")["UploadId"]
    names = {"Bucket": "scratch", "Key": "long", "UploadId": upload}
    parts = []
    for number, body in ((1, b"1" * PART_BYTES), (2, b"2")):
        parts.append({"PartNumber": number, "ETag": client.upload_part(**names, PartNumber=number, Body=body)["ETag"]})
    client.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert [one["Key"] for one in client.list_objects_v2(Bucket="scratch")["Contents"]] == ["a", "b", "long"]
    assert "ReplicationStatus" not in client.head_object(**there)
    assert "Status" not in client.get_bucket_versioning(Bucket="scratch")
    assert refusal(client.delete_bucket, Bucket="scratch") == (409, "BucketNotEmpty")
    status = edge.ask("/status")
    assert status["pending"]["count"] == 0
    assert (status["capacity"]["local"]["objects"], status["capacity"]["local"]["bytes"]) == (3, PART_BYTES + 11)


def test_who_asks_for_the_remote_is_told_that_there_will_be_none(edge: LiveDaemon) -> None:
    """Before anything is kept; of a write that was kept the admin listener says the same."""
    answer = edge.fetch("PUT", "/scratch/z", b"z", {"x-s3d-durability": "replicated"})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert edge.fetch("GET", "/scratch/z").status == 404
    sequence = edge.fetch("PUT", "/scratch/z", b"z").headers["x-s3d-seq"]
    assert edge.ask(f"/wait?seq={sequence}&timeout=0")["state"] == "local"
    assert edge.ask(f"/v1/receipts/{sequence}")["state"] == "local"
    assert edge.ask(f"/records/{sequence}")["state"] == "local"
    assert edge.fetch("DELETE", "/scratch/z").status == 204


def test_a_kill_and_a_lost_view_change_nothing(edge: LiveDaemon, s3_of: Any) -> None:
    """This disk has the only copy: it is found again from the journal alone."""
    before = edge.footprint().rows
    edge.kill()
    for path in edge.directory.glob("view*"):
        path.unlink()
    edge.start()
    after = edge.footprint().rows
    assert {name: after[name] for name in ("object", "bucket", "local_body", "blob_use", "row_use")} == {
        name: before[name] for name in ("object", "bucket", "local_body", "blob_use", "row_use")
    }
    client = s3_of(edge)
    assert client.get_object(Bucket="scratch", Key="long")["Body"].read() == b"1" * PART_BYTES + b"2"
    assert client.get_object(Bucket="scratch", Key="b")["Body"].read() == b"hello"
    assert refusal(client.get_object, Bucket="scratch", Key="none") == (404, "NoSuchKey")


def test_it_is_full_when_its_share_is(edge: LiveDaemon, client: Any) -> None:
    """An error that no SDK repeats; what is pending has its own room, and deleting makes some."""
    client.put_object(Bucket="scratch", Key="big", Body=FULL)
    assert refusal(client.put_object, Bucket="scratch", Key="more", Body=FULL) == (507, "LocalStorageFull")
    client.create_bucket(Bucket="goes")
    client.put_object(Bucket="goes", Key="k", Body=FULL)
    assert edge.ask("/status")["capacity"]["local"]["bytes_max"] == 16_000_000
    client.delete_objects(Bucket="scratch", Delete={"Objects": [{"Key": "big"}, {"Key": "long"}]})
    client.put_object(Bucket="scratch", Key="more", Body=FULL)
    for key in ("a", "b", "more"):
        client.delete_object(Bucket="scratch", Key=key)
    client.delete_bucket(Bucket="scratch")
    assert refusal(client.list_objects_v2, Bucket="scratch") == (404, "NoSuchBucket")
    client.create_bucket(Bucket="scratch")
    assert client.list_objects_v2(Bucket="scratch")["KeyCount"] == 0
