"""Reads without the link, in a bucket that others write to: what was seen is shown with its age, the rest is a 503."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from live import wait_until

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.timeout(180)
MIB = 1024 * 1024
RULES = """
[[rule]]
match = "partial"
partial_listings = true
"""


@pytest.fixture(scope="module")
def link(moto: Remote) -> Iterator[FaultProxy]:
    it = FaultProxy(moto.host, moto.port)
    yield it
    it.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, link: FaultProxy, moto: Remote) -> Iterator[Edge]:
    it = Edge(str(tmp_path_factory.mktemp("offline")), link.url, moto, rules=RULES)
    it.start()
    yield it
    it.close()


@pytest.fixture
def online(link: FaultProxy, site: Edge) -> Iterator[None]:
    """The link is up, before and after."""
    link.restore()
    wait_until(lambda: site.status()["remote"]["state"] == "up")
    yield
    link.restore()


@pytest.fixture
def stranger(moto: Remote) -> Any:
    return moto.client()


def listing(client: Any, bucket: str, **given: Any) -> tuple[list[str], list[dict[str, str]]]:
    """Keys and prefixes in order, and the headers of every page."""
    entries: list[str] = []
    headers: list[dict[str, str]] = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **given):
        entries += [one["Key"] for one in page.get("Contents", ())]
        entries += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
        headers.append(page["ResponseMetadata"]["HTTPHeaders"])
    return sorted(entries), headers


def refusal(call: Any, *given: Any, **how: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(*given, **how)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_an_offline_listing_equals_the_online_one(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """Whatever the delimiter and the size of the pages, with what was written and deleted here since."""
    bucket = "theirs"
    stranger.create_bucket(Bucket=bucket)
    for number in range(60):
        stranger.put_object(Bucket=bucket, Key=f"{number % 5}/{number:02}", Body=b"x")
    before, headers = listing(site.client, bucket, PaginationConfig={"PageSize": 7})
    assert (len(before), "x-s3d-age-seconds" in headers[0]) == (60, False)
    link.refuse()
    site.client.put_object(Bucket=bucket, Key="2/new", Body=b"x")
    site.client.delete_object(Bucket=bucket, Key="4/04")
    expected = sorted({*before, "2/new"} - {"4/04"})
    for size in (1, 7, 1000):
        found, headers = listing(site.client, bucket, PaginationConfig={"PageSize": size})
        assert found == expected
        assert all(int(one["x-s3d-age-seconds"]) >= 0 for one in headers)
    assert listing(site.client, bucket, Delimiter="/")[0] == ["0/", "1/", "2/", "3/", "4/"]
    assert listing(site.client, bucket, Prefix="2/")[0] == [key for key in expected if key.startswith("2/")]
    site.kill()
    site.start()
    assert listing(site.client, bucket)[0] == expected, "a restart forgets nothing of it"


def test_the_link_is_cut_in_the_middle_of_a_listing(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """What was never listed is the 503, not the end of the listing; with a rule it is left out, and that is said."""
    for bucket in ("cut", "partial"):
        stranger.create_bucket(Bucket=bucket)
        for number in range(9):
            stranger.put_object(Bucket=bucket, Key=f"{number}", Body=b"x")
    tokens = {}
    for bucket in ("cut", "partial"):
        first = site.client.list_objects_v2(Bucket=bucket, MaxKeys=4)
        assert [one["Key"] for one in first["Contents"]] == ["0", "1", "2", "3"]
        tokens[bucket] = first["NextContinuationToken"]
    link.refuse()
    unreachable = (503, "RemoteUnreachable")
    assert refusal(site.client.list_objects_v2, Bucket="cut", ContinuationToken=tokens["cut"]) == unreachable
    assert refusal(site.client.list_objects, Bucket="cut") == unreachable
    known = site.client.list_objects_v2(Bucket="cut", MaxKeys=4)
    assert [one["Key"] for one in known["Contents"]] == ["0", "1", "2", "3"]
    site.client.put_object(Bucket="partial", Key="8.new", Body=b"x")
    partial = site.client.list_objects_v2(Bucket="partial", ContinuationToken=tokens["partial"])
    assert [one["Key"] for one in partial["Contents"]] == ["4", "8.new"]
    assert partial["ResponseMetadata"]["HTTPHeaders"]["x-s3d-partial"] == "true"
    link.restore()
    site.drain()
    rest = site.client.list_objects_v2(Bucket="cut", ContinuationToken=tokens["cut"])
    assert [one["Key"] for one in rest["Contents"]] == ["4", "5", "6", "7", "8"]


def test_buckets_are_listed_with_their_age(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """ListBuckets and HeadBucket too say how old what they say is; `s3d ls` says so beside its table."""
    stranger.create_bucket(Bucket="known")
    names = [one["Name"] for one in site.client.list_buckets()["Buckets"]]
    assert "x-s3d-age-seconds" not in site.client.head_bucket(Bucket="known")["ResponseMetadata"]["HTTPHeaders"]
    link.refuse()
    answers = site.client.list_buckets(), site.client.head_bucket(Bucket="known")
    assert [one["Name"] for one in answers[0]["Buckets"]] == names
    assert all(int(one["ResponseMetadata"]["HTTPHeaders"]["x-s3d-age-seconds"]) >= 0 for one in answers)
    assert "remote was not asked" in site.says("ls", "--endpoint", site.endpoint)


def test_many_that_miss_one_object_fetch_it_once(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """Counted where it costs: bytes over the link. Then it is read without the link, with its age."""
    body = random.Random(3).randbytes(3 * MIB)
    stranger.create_bucket(Bucket="big")
    stranger.put_object(Bucket="big", Key="object", Body=body)
    site.client.head_bucket(Bucket="big")
    before = link.answered_bytes
    with ThreadPoolExecutor(8) as readers:
        found = list(readers.map(lambda _: site.client.get_object(Bucket="big", Key="object")["Body"].read(), range(8)))
    assert all(one == body for one in found)
    assert link.answered_bytes - before < 2 * len(body)
    wait_until(lambda: site.status()["cache_bytes"] >= len(body))
    link.refuse()
    again = site.client.get_object(Bucket="big", Key="object", Range="bytes=1000000-1999999")
    assert again["Body"].read() == body[1_000_000:2_000_000]
    assert int(again["ResponseMetadata"]["HTTPHeaders"]["x-s3d-age-seconds"]) >= 0


def test_the_link_is_cut_in_the_middle_of_a_body(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """The answer breaks off, nothing of it is taken for the object; afterwards it is fetched whole."""
    body = random.Random(4).randbytes(4 * MIB)
    stranger.create_bucket(Bucket="torn")
    stranger.put_object(Bucket="torn", Key="object", Body=body)
    cached = site.status()["cache_bytes"]
    link.cut_answer_after(2 * MIB)
    with pytest.raises((ClientError, HTTPClientError, ResponseStreamingError, IncompleteReadError)):
        site.client.get_object(Bucket="torn", Key="object")["Body"].read()
    assert site.status()["cache_bytes"] == cached
    link.restore()
    wait_until(lambda: site.status()["remote"]["state"] == "up")
    assert site.client.get_object(Bucket="torn", Key="object")["Body"].read() == body


def test_ranges_make_a_list_with_holes(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """What was read is here without the link; a hole is a 503, and is filled when the link is back."""
    body = random.Random(5).randbytes(2 * MIB)
    stranger.create_bucket(Bucket="holes")
    stranger.put_object(Bucket="holes", Key="object", Body=body)

    def part(start: int, end: int) -> bytes:
        found = site.client.get_object(Bucket="holes", Key="object", Range=f"bytes={start}-{end - 1}")
        return bytes(found["Body"].read())

    cached = site.status()["cache_bytes"]
    assert part(0, MIB // 2) == body[: MIB // 2]
    assert part(MIB, 2 * MIB) == body[MIB:]
    wait_until(lambda: site.status()["cache_bytes"] == cached + 3 * MIB // 2)
    link.refuse()
    assert part(1000, MIB // 2) == body[1000 : MIB // 2]
    assert part(MIB + 1, 2 * MIB) == body[MIB + 1 :]
    assert refusal(part, 0, MIB) == (503, "RemoteUnreachable")
    link.restore()
    wait_until(lambda: site.status()["remote"]["state"] == "up")
    before = link.answered_bytes
    assert part(0, 2 * MIB) == body
    assert link.answered_bytes - before < MIB, "only the hole came over the link"


def test_a_warmed_bucket_is_there_without_the_link(site: Edge, link: FaultProxy, stranger: Any, online: None) -> None:
    """Listing and bytes; what could not be had is named, and another run gets it without reading the rest again."""
    stranger.create_bucket(Bucket="warm")
    bodies = {f"a/{number}": random.Random(number).randbytes(100_000) for number in range(5)}
    for key, body in bodies.items():
        stranger.put_object(Bucket="warm", Key=key, Body=body)
    stranger.put_object(Bucket="warm", Key="beside", Body=b"not asked for")
    warm = ("cache", "warm", "warm/a/", "--json", "--endpoint", site.endpoint)
    found = json.loads(site.says(*warm))
    assert found == {"objects": 5, "bytes": 500_000, "listed_now": True, "failed": []}
    before = link.answered_bytes
    assert json.loads(site.says(*warm))["bytes"] == 500_000
    assert link.answered_bytes - before < 100_000
    link.refuse()
    assert listing(site.client, "warm", Prefix="a/")[0] == sorted(bodies)
    assert all(site.client.get_object(Bucket="warm", Key=key)["Body"].read() == body for key, body in bodies.items())
    assert refusal(site.client.get_object, Bucket="warm", Key="beside") == (503, "RemoteUnreachable")
