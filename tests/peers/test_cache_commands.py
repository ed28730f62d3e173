"""`s3d cache` against a real daemon with a small cache: what is pinned is read without the link."""

import json
import random
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import wait_until

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.timeout(180)
MIB = 1024 * 1024
SMALL_CACHE = f"[cache]\ncapacity_bytes = {4 * MIB}\npinned_share_max = 0.5\n"
BODY = random.Random(7).randbytes(MIB)


@pytest.fixture(scope="module")
def link(moto: Remote) -> Iterator[FaultProxy]:
    it = FaultProxy(moto.host, moto.port)
    yield it
    it.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, link: FaultProxy, moto: Remote) -> Iterator[Edge]:
    it = Edge(str(tmp_path_factory.mktemp("cache")), link.url, moto, rules=SMALL_CACHE)
    it.start()
    yield it
    it.close()


def ask(site: Edge, path: str, document: Any = None) -> Any:
    """What `s3d cache` asks, without the time that a command takes to start."""
    body = json.dumps(document).encode() if document is not None else None
    request = urllib.request.Request(site.admin + path, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_what_is_pinned_stays_and_the_rest_gives_way(site: Edge, link: FaultProxy, moto: Remote) -> None:
    """Through more reads than the cache holds, and an eviction; then it may go."""
    stranger, where = moto.client(), ("--admin", site.admin)
    stranger.create_bucket(Bucket="maps")
    for name in ("keep/1", "keep/2", "other/1", "other/2", "other/3", "other/4"):
        stranger.put_object(Bucket="maps", Key=name, Body=BODY)
    warm = ("cache", "pin", "--warm", "--reason", "the trip", *where, "--endpoint", site.endpoint)
    assert site.says(*warm, "maps/keep/") == "Pinned maps/keep/.\n2 objects, 2.0 MiB, can be read here.\n"
    refused = site.ended(*warm, "maps/")
    assert (refused.returncode, "6,291,456 bytes would be pinned" in refused.stderr) == (1, True)
    for number in range(1, 5):
        assert site.client.get_object(Bucket="maps", Key=f"other/{number}")["Body"].read() == BODY
    wait_until(lambda: ask(site, "/cache?place=maps")["places"][0]["cached_bytes"] == 4 * MIB)
    report = ask(site, "/cache")
    (place,) = [one for one in report["places"] if one["place"] == "maps/"]
    assert (place["cached_objects"], place["pinned_bytes"], report["pinned_bytes"]) == (4, 2 * MIB, 2 * MIB)
    assert [(one["place"], one["caller"], one["reason"]) for one in report["pins"]] == [
        ("maps/keep/", "admin", "the trip")
    ]
    link.refuse()
    for name in ("keep/1", "keep/2"):
        assert site.client.get_object(Bucket="maps", Key=name)["Body"].read() == BODY
    with pytest.raises(ClientError):
        site.client.get_object(Bucket="maps", Key="other/1")["Body"].read()
    assert ask(site, "/cache")["counts"] == {"hits": 2, "misses": 6, "mismatches": 0}
    assert "25 % of 8 reads" in (said := site.says("cache", "status", *where)), said
    assert site.says("cache", "evict", "maps", *where) == (
        "Let go of 2 objects, 2.0 MiB.\nKept 2 objects, 2.0 MiB: pinned, see `s3d cache unpin`.\n"
    )
    assert site.says("cache", "unpin", "maps/keep/", *where) == "maps/keep/ is not pinned any more.\n"
    assert ask(site, "/cache/evict", {"place": "maps/keep/"})["bytes"] == 2 * MIB
    link.restore()


def test_an_unsent_byte_is_never_let_go_of_and_a_tag_pins(site: Edge, link: FaultProxy, moto: Remote) -> None:
    """Of objects that are written here: pending ones stay, large ones that are confirmed go, tagged ones do not."""
    site.client.create_bucket(Bucket="ours")
    site.client.put_object(Bucket="ours", Key="tagged", Body=BODY, Tagging="s3d.cache=pin")
    site.client.put_object(Bucket="ours", Key="sent", Body=BODY)
    site.client.put_object(Bucket="ours", Key="small", Body=b"small")
    site.drain()
    link.refuse()
    site.client.put_object(Bucket="ours", Key="unsent", Body=BODY)
    found = site.says("cache", "evict", "ours", "--json", "--admin", site.admin)
    kept = {one["why"]: (one["objects"], one["bytes"]) for one in json.loads(found)["kept"]}
    assert kept == {"unsent": (1, MIB), "pinned": (1, MIB), "journal": (1, 5)}
    for name in ("tagged", "unsent"):
        assert site.client.get_object(Bucket="ours", Key=name)["Body"].read() == BODY
    with pytest.raises(ClientError):
        site.client.get_object(Bucket="ours", Key="sent")["Body"].read()
    link.restore()
    site.drain()
    tags = moto.client().get_object_tagging(Bucket="ours", Key="tagged")["TagSet"]
    assert tags == [{"Key": "s3d.cache", "Value": "pin"}]
    assert site.client.get_object(Bucket="ours", Key="sent")["Body"].read() == BODY
    site.client.delete_object_tagging(Bucket="ours", Key="tagged")
    assert ask(site, "/cache/evict", {"place": "ours/tagged", "after": "written:"})["objects"] == 1
