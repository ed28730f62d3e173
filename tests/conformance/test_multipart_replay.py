"""Uploads in front of a remote: sent part by part, whatever happens there or here; and what only the remote knows."""

import subprocess
import sys
import time

import boto3
import pytest
from botocore.config import Config
from conftest import new_bucket_name
from live import ACCESS_KEY, REGION, SECRET_KEY, LiveDaemon, running_daemon, wait_until
from multipart import LEAST, body, complete, etag_of, refusal, send, upload
from peers.fault_proxy import FaultProxy, free_port

PARTS = [body(LEAST, 1), body(LEAST, 2), body(7, 3)]
WHOLE = b"".join(PARTS)


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """The remote of most tests: another s3d, which forgets uploads when it is told to, and counts parts."""
    with running_daemon(tmp_path_factory.mktemp("far") / "data", auth=True) as daemon:
        yield daemon


@pytest.fixture
def there(far, s3_of):
    """Asks the remote directly."""
    return s3_of(far)


@pytest.fixture(scope="module")
def link(far):
    """The way to it, which can be cut."""
    proxy = FaultProxy("127.0.0.1", far.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def moto():
    """Somebody else's S3; a client that asks it directly."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    try:
        wait_until(lambda: answers(client), 60)
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()


def answers(client):
    try:
        client.list_buckets()
    except Exception:
        return False
    return True


@pytest.fixture(scope="module")
def edge(link, tmp_path_factory):
    directory = tmp_path_factory.mktemp("edge") / "data"
    with running_daemon(directory, auth=False, config=replay_to(link.url)) as daemon:
        yield daemon


def replay_to(url):
    return (
        f'[remote]\nsender = "inside"\nendpoint = "{url}"\n'
        f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\nregion = "{REGION}"\n'
        "backoff_seconds_max = 1\nconnect_timeout_seconds = 2\nread_timeout_seconds = 5\n"
        "[shutdown]\ndrain_seconds = 1\n"
    )


@pytest.fixture
def client(edge, s3_of):
    return s3_of(edge)


@pytest.fixture
def place(client):
    name = f"replay-{new_bucket_name()}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def cut(link, edge):
    """Cuts the link, and waits until the daemon knows; it is back when the test ends."""

    def cut_it():
        link.refuse()
        wait_until(lambda: edge.fetch("GET", "/").status >= 200 and edge.ask("/status")["remote"]["state"] == "down")

    yield cut_it
    link.restore()
    wait_until(lambda: edge.ask("/status")["remote"]["state"] != "down")


def settle(daemon, seconds=30):
    """Until the remote has everything; a parked record ends that at once."""
    deadline = time.monotonic() + seconds
    while daemon.ask("/status")["pending"]["count"]:
        assert daemon.ask("/status")["pending"]["parked"] == 0, daemon.ask("/pending")
        assert time.monotonic() < deadline, daemon.ask("/pending")
        time.sleep(0.05)


def blob_count(daemon):
    return len(daemon.footprint().rows["blob_use"])


def test_an_upload_arrives_and_its_parts_are_let_go_then(edge, there, client, place):
    """The object has the same bytes, ETag and parts there; the blobs of the parts are the object's alone afterwards."""
    before = blob_count(edge)
    answer = upload(client, place, "k", PARTS, Metadata={"m": "1"}, ContentType="t/x", Tagging="a=1")
    settle(edge)
    got = there.get_object(Bucket=place, Key="k")
    assert (got["Body"].read(), got["ETag"], got["ContentType"]) == (WHOLE, answer["ETag"], "t/x")
    assert (got["Metadata"]["m"], got["ETag"]) == ("1", etag_of(PARTS))
    assert client.head_object(Bucket=place, Key="k")["ReplicationStatus"] == "COMPLETED"
    assert blob_count(edge) == before + 2
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == WHOLE


@pytest.mark.parametrize("when", ["before the parts", "before Complete"])
def test_decision_10_the_remote_aborts_an_upload_behind_our_back(edge, there, client, place, cut, link, when):
    """A lifecycle rule, ten days offline: every part is still here and is sent once more."""
    upload_id = client.create_multipart_upload(Bucket=place, Key="k")["UploadId"]
    parts = []
    if when == "before Complete":
        parts = [send(client, place, "k", upload_id, n, part) for n, part in enumerate(PARTS, 1)]
    settle(edge)
    (begun,) = there.list_multipart_uploads(Bucket=place)["Uploads"]
    cut()
    if when == "before the parts":
        parts = [send(client, place, "k", upload_id, n, part) for n, part in enumerate(PARTS, 1)]
    complete(client, place, "k", upload_id, parts)
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == WHOLE
    there.abort_multipart_upload(Bucket=place, Key="k", UploadId=begun["UploadId"])
    link.restore()
    settle(edge)
    assert there.get_object(Bucket=place, Key="k")["Body"].read() == WHOLE
    assert "Uploads" not in there.list_multipart_uploads(Bucket=place)


def test_offline_from_begin_to_end(edge, there, client, place, cut, link):
    """Begun, filled, replaced, listed and completed without a link; aborted ones never go out."""
    cut()
    upload_id = client.create_multipart_upload(Bucket=place, Key="k")["UploadId"]
    send(client, place, "k", upload_id, 1, b"replaced")
    parts = [send(client, place, "k", upload_id, n, part) for n, part in enumerate(PARTS, 1)]
    other = client.create_multipart_upload(Bucket=place, Key="other")["UploadId"]
    send(client, place, "other", other, 1, body(100_000))
    client.abort_multipart_upload(Bucket=place, Key="other", UploadId=other)
    copied = client.create_multipart_upload(Bucket=place, Key="copied")["UploadId"]
    complete(client, place, "k", upload_id, parts)
    named = {"Bucket": place, "Key": "copied", "UploadId": copied, "CopySource": f"{place}/k"}
    one = client.upload_part_copy(**named, PartNumber=1, CopySourceRange=f"bytes=1-{LEAST}")["CopyPartResult"]
    two = client.upload_part_copy(**named, PartNumber=2, CopySourceRange=f"bytes={2 * LEAST - 1}-{2 * LEAST + 6}")
    listed = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in ((1, one), (2, two["CopyPartResult"]))]
    complete(client, place, "copied", copied, listed)
    link.restore()
    settle(edge)
    assert there.get_object(Bucket=place, Key="k")["Body"].read() == WHOLE
    wanted = WHOLE[1 : LEAST + 1] + WHOLE[2 * LEAST - 1 :]
    assert there.get_object(Bucket=place, Key="copied")["Body"].read() == wanted
    assert "Uploads" not in there.list_multipart_uploads(Bucket=place)
    assert [one["Key"] for one in there.list_objects_v2(Bucket=place)["Contents"]] == ["copied", "k"]


def test_m1_a_restart_in_the_middle_of_an_upload(there, link, tmp_path):
    """Killed with half the parts there: the client and the replay both go on where they were, under the same ids."""
    daemon = LiveDaemon(tmp_path / "data", auth=False, config=replay_to(link.url)).start()
    client = daemon.client()
    client.create_bucket(Bucket="restarted")
    upload_id = client.create_multipart_upload(Bucket="restarted", Key="k", ChecksumAlgorithm="CRC32C")["UploadId"]
    parts = [send(client, "restarted", "k", upload_id, 1, PARTS[0], ChecksumAlgorithm="CRC32C")]
    settle(daemon)
    (begun,) = there.list_multipart_uploads(Bucket="restarted")["Uploads"]
    parts.append(send(client, "restarted", "k", upload_id, 2, PARTS[1], ChecksumAlgorithm="CRC32C"))
    daemon.kill()
    client.close()
    daemon.start()
    client = daemon.client()
    told = client.list_parts(Bucket="restarted", Key="k", UploadId=upload_id)["Parts"]
    assert [(one["PartNumber"], one["ETag"], one["ChecksumCRC32C"]) for one in told] == [
        (one["PartNumber"], one["ETag"], one["ChecksumCRC32C"]) for one in parts
    ]
    settle(daemon)
    assert [one["UploadId"] for one in there.list_multipart_uploads(Bucket="restarted")["Uploads"]] == [
        begun["UploadId"]
    ]
    parts.append(send(client, "restarted", "k", upload_id, 3, PARTS[2], ChecksumAlgorithm="CRC32C"))
    answer = complete(client, "restarted", "k", upload_id, parts)
    daemon.kill()
    client.close()
    daemon.start()
    client = daemon.client()
    again = complete(client, "restarted", "k", upload_id, parts)
    assert (again["ETag"], again["ChecksumCRC32C"]) == (answer["ETag"], answer["ChecksumCRC32C"])
    settle(daemon)
    assert there.get_object(Bucket="restarted", Key="k")["Body"].read() == WHOLE
    client.close()
    daemon.kill()
    assert daemon.errors() == []


def test_moto_as_the_remote(moto, s3_of, tmp_path):
    """Parts, metadata and tags arrive at somebody else's S3, and aborts do. (It answers 500 to uploads that it does not
    know, so that forgetting them is the other remote's part.)
    """
    with running_daemon(tmp_path / "data", auth=False, config=replay_to(moto.meta.endpoint_url)) as daemon:
        client = s3_of(daemon)
        client.create_bucket(Bucket="bucket")
        answer = upload(client, "bucket", "k", PARTS, Metadata={"m": "1"}, Tagging="a=1")
        upload_id = client.create_multipart_upload(Bucket="bucket", Key="aborted")["UploadId"]
        send(client, "bucket", "aborted", upload_id, 1, b"x")
        settle(daemon)
        got = moto.get_object(Bucket="bucket", Key="k")
        assert (got["Body"].read(), got["ETag"], got["Metadata"]["m"]) == (WHOLE, answer["ETag"], "1")
        assert len(moto.list_multipart_uploads(Bucket="bucket")["Uploads"]) == 1
        client.abort_multipart_upload(Bucket="bucket", Key="aborted", UploadId=upload_id)
        client.put_object_tagging(Bucket="bucket", Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
        client.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/k")
        client.delete_object_tagging(Bucket="bucket", Key="k")
        settle(daemon)
        assert moto.get_object_tagging(Bucket="bucket", Key="k")["TagSet"] == []
        assert moto.get_object_tagging(Bucket="bucket", Key="copy")["TagSet"] == [{"Key": "b", "Value": "2"}]
        assert moto.get_object(Bucket="bucket", Key="copy")["Body"].read() == WHOLE
        assert "Uploads" not in moto.list_multipart_uploads(Bucket="bucket")


def test_declared_checksums_go_through(edge, there, client, place):
    """Both hold the same object, and the remote knows its parts."""
    for kind in ("FULL_OBJECT", "COMPOSITE"):
        declared = {"ChecksumAlgorithm": "CRC32", "ChecksumType": kind}
        upload_id = client.create_multipart_upload(Bucket=place, Key=kind, **declared)["UploadId"]
        parts = [
            send(client, place, kind, upload_id, n, part, ChecksumAlgorithm="CRC32") for n, part in enumerate(PARTS, 1)
        ]
        answer = complete(client, place, kind, upload_id, parts)
        settle(edge)
        got = there.get_object(Bucket=place, Key=kind, ChecksumMode="ENABLED")
        assert (got["Body"].read(), got["ETag"]) == (WHOLE, answer["ETag"])
        assert (got["ChecksumCRC32"], got["ChecksumType"]) == (answer["ChecksumCRC32"], kind)
        assert there.get_object(Bucket=place, Key=kind, PartNumber=3)["Body"].read() == PARTS[2]


@pytest.fixture
def strange(there, edge):
    """A bucket of the remote's with objects that never went through the daemon."""
    name = f"strange-{new_bucket_name()}"
    there.create_bucket(Bucket=name)
    upload(there, name, "parts", PARTS, Metadata={"m": "1"})
    there.put_object(Bucket=name, Key="tagged", Body=body(300_000), Tagging="a=1&b=2", ContentType="t/x")
    return name


def test_parts_that_only_the_remote_knows(client, strange, cut):
    """HEAD and GET of a part ask it, also for an object whose bytes are cached whole; offline that is a 503."""
    assert client.get_object(Bucket=strange, Key="parts")["Body"].read() == WHOLE
    for number, part in enumerate(PARTS, 1):
        got = client.get_object(Bucket=strange, Key="parts", PartNumber=number)
        assert (got["Body"].read(), got["PartsCount"]) == (part, 3)
        told = client.head_object(Bucket=strange, Key="parts", PartNumber=number)
        assert (told["ContentLength"], told["PartsCount"]) == (len(part), 3)
    assert client.get_object(Bucket=strange, Key="tagged", PartNumber=1)["ContentLength"] == 300_000
    cut()
    assert client.get_object(Bucket=strange, Key="parts")["Body"].read() == WHOLE
    assert refusal(client.get_object, Bucket=strange, Key="parts", PartNumber=2) == (503, "RemoteUnreachable")
    assert refusal(client.head_object, Bucket=strange, Key="parts", PartNumber=2)[0] == 503


def test_copies_of_what_is_at_the_remote(edge, there, client, place, strange):
    """Whole and in ranges, with metadata and tags, from remote-only and from cached sources."""
    for key in ("remote-only", "cached"):
        client.copy_object(Bucket=place, Key=key, CopySource=f"{strange}/tagged")
        assert client.get_object_tagging(Bucket=place, Key=key)["TagSet"] == [
            {"Key": "a", "Value": "1"},
            {"Key": "b", "Value": "2"},
        ]
        client.get_object(Bucket=strange, Key="tagged")["Body"].read()
    client.copy_object(Bucket=place, Key="new tags", CopySource=f"{strange}/tagged", TaggingDirective="REPLACE")
    upload_id = client.create_multipart_upload(Bucket=place, Key="k")["UploadId"]
    named = {"Bucket": place, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "CopySource": f"{strange}/parts"}
    part = client.upload_part_copy(**named, CopySourceRange=f"bytes=3-{LEAST + 9}")["CopyPartResult"]
    assert refusal(client.upload_part_copy, **named, CopySourceRange=f"bytes=3-{len(WHOLE)}")[1] == "InvalidArgument"
    complete(client, place, "k", upload_id, [{"PartNumber": 1, "ETag": part["ETag"]}])
    settle(edge)
    assert there.get_object(Bucket=place, Key="k")["Body"].read() == WHOLE[3 : LEAST + 10]
    for key in ("remote-only", "cached"):
        assert there.get_object(Bucket=place, Key=key)["Body"].read() == body(300_000)
        assert len(there.get_object_tagging(Bucket=place, Key=key)["TagSet"]) == 2
    assert there.get_object_tagging(Bucket=place, Key="new tags")["TagSet"] == []


def test_copies_while_the_link_is_cut(client, place, strange, cut):
    """Of pending and of cached bytes they work; of unknown ones they are a 503 and leave nothing."""
    client.get_object(Bucket=strange, Key="parts")["Body"].read()
    cut()
    client.put_object(Bucket=place, Key="pending", Body=b"pending")
    client.copy_object(Bucket=place, Key="copy of pending", CopySource=f"{place}/pending")
    client.copy_object(Bucket=place, Key="copy of cached", CopySource=f"{strange}/parts")
    assert client.get_object(Bucket=place, Key="copy of pending")["Body"].read() == b"pending"
    assert client.get_object(Bucket=place, Key="copy of cached")["Body"].read() == WHOLE
    upload_id = client.create_multipart_upload(Bucket=place, Key="k")["UploadId"]
    named = {"Bucket": place, "Key": "k", "CopySource": f"{strange}/tagged"}
    assert refusal(client.copy_object, **named) == (503, "RemoteUnreachable")
    assert refusal(client.upload_part_copy, **named, UploadId=upload_id, PartNumber=1) == (503, "RemoteUnreachable")
    assert "Parts" not in client.list_parts(Bucket=place, Key="k", UploadId=upload_id)
    client.abort_multipart_upload(Bucket=place, Key="k", UploadId=upload_id)


def test_uploads_into_a_bucket_that_others_write_to(edge, there, client, strange):
    """Conditions are decided on what the remote has; the object is there like any other."""
    upload_id = client.create_multipart_upload(Bucket=strange, Key="parts")["UploadId"]
    parts = [send(client, strange, "parts", upload_id, 1, b"new")]
    assert refusal(complete, client, strange, "parts", upload_id, parts, IfNoneMatch="*")[0] == 412
    complete(client, strange, "parts", upload_id, parts, IfMatch=etag_of(PARTS))
    settle(edge)
    assert there.get_object(Bucket=strange, Key="parts")["Body"].read() == b"new"


def test_tags_of_what_is_at_the_remote(edge, there, client, strange, cut):
    """Read from there, set here; what was set here is shown until it is there, also when others replace the object."""
    assert len(client.get_object_tagging(Bucket=strange, Key="tagged")["TagSet"]) == 2
    client.head_object(Bucket=strange, Key="tagged")
    client.put_object_tagging(Bucket=strange, Key="tagged", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    settle(edge)
    assert there.get_object_tagging(Bucket=strange, Key="tagged")["TagSet"] == [{"Key": "c", "Value": "3"}]
    client.put_object(Bucket=strange, Key="ours", Body=b"ours")
    settle(edge)
    there.put_object(Bucket=strange, Key="ours", Body=b"theirs", Tagging="x=1")
    client.put_object_tagging(Bucket=strange, Key="ours", Tagging={"TagSet": [{"Key": "y", "Value": "2"}]})
    assert client.get_object_tagging(Bucket=strange, Key="ours")["TagSet"] == [{"Key": "y", "Value": "2"}]
    settle(edge)
    assert there.get_object_tagging(Bucket=strange, Key="ours")["TagSet"] == [{"Key": "y", "Value": "2"}]
    assert client.get_object_tagging(Bucket=strange, Key="ours")["TagSet"] == [{"Key": "y", "Value": "2"}]
    cut()
    refused = refusal(client.get_object_tagging, Bucket=strange, Key="tagged")
    assert refused == (503, "RemoteUnreachable")
