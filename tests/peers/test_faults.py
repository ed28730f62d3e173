"""Links that break in every way: nothing is lost, or half there, or there twice. Invariants 5 and 6."""

import random

import pytest

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy
from peers.model import Model, Object

pytestmark = pytest.mark.timeout(180)
one_server = pytest.mark.parametrize("remote", ["moto"], indirect=True)  # these are about the link alone
MIB = 1024 * 1024


def test_lost_answers_do_not_make_second_versions(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """In a versioned bucket a put, copy or delete whose answer was lost is recognised, not repeated as a version."""
    edge.drain()
    there = remote.client()
    there.put_bucket_versioning(Bucket=model.bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.lose_answers("PUT", times=4)
    for number in range(8):
        model.put(f"key {number}", Object(b"%d" % number))
    edge.drain()
    assert proxy.lost_answers == 4
    proxy.lose_answers("PUT", times=1)
    model.copy("key 0", "copy")
    edge.drain()
    proxy.lose_answers("DELETE", times=1)
    model.delete("key 1")
    edge.drain()
    assert proxy.lost_answers == 6

    found = there.list_object_versions(Bucket=model.bucket)
    versions = sorted(one["Key"] for one in found["Versions"])
    assert versions == sorted([*(f"key {number}" for number in range(8)), "copy"])
    assert [one["Key"] for one in found["DeleteMarkers"]] == ["key 1"]
    model.compare(there)


@one_server
def test_a_connection_cut_in_the_middle_of_a_body(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """An upload that breaks after a part of its bytes is sent again, whole."""
    edge.drain()
    proxy.cut_once_after(2 * MIB)
    model.put("large", Object(random.Random(1).randbytes(6 * MIB)))
    edge.drain()
    assert proxy.cuts == 1
    model.compare(remote.client())


def test_lost_answers_to_an_upload_in_parts(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Whether begin, parts or completion is answered or not: one object, one version, no upload left open."""
    edge.drain()
    there = remote.client()
    there.put_bucket_versioning(Bucket=model.bucket, VersioningConfiguration={"Status": "Enabled"})
    it = Object(random.Random(2).randbytes(11 * MIB), part_bytes=5 * MIB)
    proxy.lose_answers("PUT", times=2)
    upload = model.begin("large", it)
    for number in (1, 2, 3):
        model.upload_part("large", it, upload, number)
    edge.drain()
    proxy.lose_answers("POST", times=1)
    model.complete("large", it, upload)
    edge.drain()
    assert proxy.lost_answers == 3
    assert [one["Key"] for one in there.list_object_versions(Bucket=model.bucket)["Versions"]] == ["large"]
    assert "Uploads" not in there.list_multipart_uploads(Bucket=model.bucket)
    model.compare(there)


@one_server
def test_a_remote_that_accepts_and_never_answers(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Silence is a failure after remote.read_timeout_seconds; when the link is well again, all arrives."""
    edge.drain()
    proxy.blackhole()
    for number in range(5):
        model.put(f"key {number}", Object(b"%d" % number))
    assert edge.wait("--all", "--timeout", "3") == 5
    proxy.restore()
    edge.drain()
    model.compare(remote.client())


@one_server
def test_a_flapping_link_keeps_the_order_of_each_key(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Faults of all kinds among overwrites, copies and deletes of a few keys: the remote ends up as the edge is."""
    chance = random.Random(7)
    faults = (
        proxy.refuse,
        lambda: proxy.lose_answers("PUT", times=2),
        lambda: proxy.lose_answers("DELETE", times=1),
        lambda: proxy.cut_once_after(chance.randrange(100, 50_000)),
    )
    keys = [f"key {number}" for number in range(6)]
    for number in range(150):
        if number % 10 == 0:
            proxy.restore()
        if number % 10 == 5:
            chance.choice(faults)()
        key = chance.choice(keys)
        action = chance.random()
        if key in model.objects and action < 0.2:
            model.delete(key)
        elif key in model.objects and action < 0.4:
            model.copy(key, chance.choice([one for one in keys if one != key]))
        else:
            model.put(key, Object(chance.randbytes(chance.randrange(80_000)), metadata={"n": str(number)}))
    proxy.restore()
    edge.drain()
    model.compare(remote.client())
    model.compare(edge.client)
