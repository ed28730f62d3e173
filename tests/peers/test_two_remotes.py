"""One edge with two remotes: one link is cut, the other goes on, and in the end both have what is theirs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import wait_until

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy

TABLES = """
[[other_remote]]
name = "city"
endpoint = "{endpoint}"
access_key = "{access_key}"
secret_key = "{secret_key}"
backoff_seconds_max = 1
connect_timeout_seconds = 2
read_timeout_seconds = 2
sender = "inside"

[[bucket]]
name = "permits"
remote_bucket = "city-permits"
prefix = "site-7/"
remote = "city"
"""


@pytest.fixture
def city(moto: Remote) -> Iterator[FaultProxy]:
    """Another link, to another remote; that it ends at the same server shows only that buckets are not mixed up."""
    it = FaultProxy(moto.host, moto.port)
    yield it
    it.close()


@pytest.fixture
def store(moto: Remote) -> Iterator[FaultProxy]:
    it = FaultProxy(moto.host, moto.port)
    yield it
    it.close()


@pytest.fixture
def edge(tmp_path: Path, moto: Remote, store: FaultProxy, city: FaultProxy) -> Iterator[Edge]:
    keys = {"access_key": moto.access_key, "secret_key": moto.secret_key}
    it = Edge(str(tmp_path), store.url, moto, rules=TABLES.format(endpoint=city.url, **keys))
    moto.client().create_bucket(Bucket="city-permits")
    it.start()
    yield it
    it.close()


def test_one_remote_is_cut_and_the_other_drains(edge: Edge, moto: Remote, city: FaultProxy) -> None:
    """Writes, copies and reads of each remote's buckets are that remote's matter only, until it is healed."""
    client, there = edge.client, moto.client()
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="permits", Key="before", Body=b"before")
    edge.drain()
    city.refuse()
    for number in range(20):
        client.put_object(Bucket="permits", Key=f"p{number}", Body=b"p%d" % number)
        client.put_object(Bucket="photos", Key=f"k{number}", Body=b"k%d" % number)
    client.copy_object(Bucket="photos", Key="copied", CopySource={"Bucket": "permits", "Key": "p7"})
    client.copy_object(Bucket="permits", Key="copied", CopySource={"Bucket": "photos", "Key": "k7"})
    photos = {f"k{number}": b"k%d" % number for number in range(20)} | {"copied": b"p7"}
    wait_until(lambda: contents(there, "photos") == photos)
    default, other = remotes = edge.status()["remotes"]
    assert [(one["name"], one["count"], one["link"]["state"]) for one in remotes] == [
        ("default", 0, "up"),
        ("city", 21, "down"),
    ]
    assert default["link"]["sender"] is not None
    assert other["link"]["sender"] is None
    assert refusal(client, "permits") == "RemoteUnreachable"
    assert refusal(client, "photos") == "NoSuchKey"
    assert [one["Name"] for one in client.list_buckets()["Buckets"] if one["Name"] in {"permits", "photos"}] == [
        "permits",
        "photos",
    ]
    city.restore()
    edge.drain()
    permits = {f"p{number}": b"p%d" % number for number in range(20)} | {"copied": b"k7", "before": b"before"}
    assert contents(client, "permits") == permits
    assert contents(there, "city-permits") == {f"site-7/{key}": body for key, body in permits.items()}
    assert contents(client, "photos") == contents(there, "photos") == photos
    assert [receipt(edge, client, bucket) for bucket in ("permits", "photos")] == ["city", "default"]


def receipt(edge: Edge, client: Any, bucket: str) -> str:
    """Which remote says that it has an object."""
    seq = client.put_object(Bucket=bucket, Key="proved", Body=b"x")["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"]
    edge.drain()
    name = str(json.loads(edge.says("receipt", seq, "--json", "--admin", edge.admin))["remote"]["name"])
    assert ("at city: ETag" in edge.says("receipt", seq, "--admin", edge.admin)) is (name == "city")
    return name


def contents(client: Any, bucket: str) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


def refusal(client: Any, bucket: str) -> str:
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=bucket, Key="never-written")
    return str(caught.value.response["Error"]["Code"])
