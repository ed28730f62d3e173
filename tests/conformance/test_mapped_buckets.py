"""Two sites and one bucket of the company: each sees its own, and the company sees where everything came from."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import LiveDaemon, running_daemon, wait_until
from samples import code_of

MAP = """
[[bucket]]
name = "*"
remote_bucket = "company"
prefix = "{site}/{{bucket}}/"

[[bucket]]
name = "orders"
remote_bucket = "company-orders"
"""
PART_BYTES = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveDaemon, LiveDaemon, LiveDaemon]]:
    """The company's remote with its two buckets, and two edges in front of it."""
    directory = tmp_path_factory.mktemp("mapped")
    with running_daemon(directory / "remote", auth=False) as remote:
        client = remote.client()
        for bucket in ("company", "company-orders"):
            client.create_bucket(Bucket=bucket)
        client.close()
        to = f'[remote]\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\nsender = "inside"\n'
        with (
            running_daemon(directory / "seven", auth=False, config=to + MAP.format(site="site-7")) as seven,
            running_daemon(directory / "eight", auth=False, config=to + MAP.format(site="site-8")) as eight,
        ):
            yield remote, seven, eight


@pytest.fixture
def clients(sites: Any, s3_of: Any) -> tuple[Any, Any, Any]:
    """Clients of the three."""
    remote, seven, eight = (s3_of(one) for one in sites)
    return remote, seven, eight


def drained(edge: LiveDaemon) -> None:
    wait_until(lambda: edge.ask("/status")["pending"]["count"] == 0)
    assert edge.ask("/status")["pending"]["parked"] == 0


def test_sites_share_a_bucket_and_do_not_see_each_other(sites: Any, clients: Any) -> None:
    """The same names at both; each key is under its site's prefix at the company."""
    company, seven, eight = clients
    for client, site in ((seven, b"7"), (eight, b"8")):
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="a/b c+é", Body=site, Metadata={"m": "1"}, Tagging="t=1")
        client.copy_object(Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": "a/b c+é"})
    for edge in sites[1:]:
        drained(edge)
    keys = [one["Key"] for one in company.list_objects_v2(Bucket="company")["Contents"]]
    assert {"site-7/photos/a/b c+é", "site-7/photos/copy", "site-8/photos/a/b c+é", "site-8/photos/copy"} <= set(keys)
    found = company.get_object(Bucket="company", Key="site-8/photos/copy")
    assert (found["Body"].read(), found["Metadata"]["m"], found["TagCount"]) == (b"8", "1", 1)
    assert [one["Key"] for one in seven.list_objects_v2(Bucket="photos")["Contents"]] == ["a/b c+é", "copy"]
    assert seven.get_object(Bucket="photos", Key="copy")["Body"].read() == b"7"


def test_an_upload_in_parts_and_deletions_cross_the_map(sites: Any, clients: Any) -> None:
    """Nothing is left of them where it should not be."""
    company, seven, _ = clients
    seven.create_bucket(Bucket="films")
    upload = seven.create_multipart_upload(Bucket="films", Key="long")["UploadId"]
    names = {"Bucket": "films", "Key": "long", "UploadId": upload}
    parts = []
    for number, body in ((1, b"1" * PART_BYTES), (2, b"2")):
        etag = seven.upload_part(**names, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    seven.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    drained(sites[1])
    assert company.head_object(Bucket="company", Key="site-7/films/long")["ContentLength"] == PART_BYTES + 1
    with pytest.raises(ClientError) as refused:
        seven.delete_bucket(Bucket="films")
    assert code_of(refused.value) == (409, "BucketNotEmpty")
    seven.delete_objects(Bucket="films", Delete={"Objects": [{"Key": "long"}, {"Key": "k" * 1020}]})
    seven.delete_bucket(Bucket="films")
    drained(sites[1])
    assert "Contents" not in company.list_objects_v2(Bucket="company", Prefix="site-7/films/")


def test_what_others_put_under_the_prefix_is_found(sites: Any, clients: Any) -> None:
    """A bucket that only the company has written to: listed, read, paged through, as any bucket of the remote."""
    company, seven, _ = clients
    for number in range(5):
        company.put_object(Bucket="company", Key=f"site-7/plans/{number}/x", Body=b"from the company")
    assert "plans" in {one["Name"] for one in seven.list_buckets()["Buckets"]}
    assert seven.get_object(Bucket="plans", Key="3/x")["Body"].read() == b"from the company"
    pages = seven.get_paginator("list_objects_v2").paginate(
        Bucket="plans", Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    assert [one["Prefix"] for page in pages for one in page["CommonPrefixes"]] == [f"{n}/" for n in range(5)]
    with pytest.raises(ClientError) as refused:
        seven.head_bucket(Bucket="nowhere")
    assert code_of(refused.value) == (404, "404")


def test_a_bucket_of_the_configuration_needs_not_be_made(sites: Any, clients: Any) -> None:
    """It takes writes from the start, under the remote's name for it."""
    company, seven, _ = clients
    seven.put_object(Bucket="orders", Key="1", Body=b"one")
    drained(sites[1])
    assert company.get_object(Bucket="company-orders", Key="1")["Body"].read() == b"one"


def test_a_key_that_does_not_fit_behind_the_prefix_is_refused(clients: Any) -> None:
    """Before it is acknowledged, and not by the remote in a week."""
    seven = clients[1]
    seven.create_bucket(Bucket="deep")
    room = 1024 - len("site-7/deep/")
    seven.put_object(Bucket="deep", Key="k" * room, Body=b"")
    with pytest.raises(ClientError) as refused:
        seven.put_object(Bucket="deep", Key="k" * (room + 1), Body=b"")
    assert code_of(refused.value) == (400, "KeyTooLongError")
