"""Whatever is acknowledged at the edge ends up at somebody else's S3 server, as if it had been sent there directly."""

import random

import pytest

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy
from peers.model import Model, Object

pytestmark = pytest.mark.timeout(180)
LARGE_BYTES = 5 * 1024 * 1024


def _write_a_bit_of_everything(model: Model, chance: random.Random, part: str) -> None:
    model.put(f"{part}/plain", Object(chance.randbytes(5000)))
    model.put(f"{part}/empty", Object(b""))
    model.put(f"{part}/large", Object(chance.randbytes(LARGE_BYTES)))
    model.put(f"{part}/a b+c%20d/ünï/日本 🛰 (1)~*'", Object(b"names are bytes"))
    model.put(f"{part}/metadata", Object(b"m", metadata={"place": "roof, north side", "empty": "", "n": "1"}))
    headers = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a.csv"',
        "ContentLanguage": "de",
    }
    model.put(f"{part}/headers", Object(b"h", headers=headers))
    model.put(f"{part}/tags", Object(b"t", tags={"kind": "raw", "a b": "c/d"}))
    for number in range(5):
        model.put(f"{part}/overwritten", Object(b"version %d" % number, metadata={"n": str(number)}))
    model.copy(f"{part}/metadata", f"{part}/copy of metadata")
    model.copy(f"{part}/large", f"{part}/copy of large")
    model.put(f"{part}/metadata", Object(b"the copy keeps what was there"))
    model.put(f"{part}/short-lived", Object(b"x"))
    model.delete(f"{part}/short-lived")
    model.copy(f"{part}/plain", f"{part}/moved")
    model.delete(f"{part}/plain")


def test_online(edge: Edge, remote: Remote, model: Model):
    """Puts, overwrites, copies and deletes arrive with headers, metadata and tags; then all is COMPLETED."""
    _write_a_bit_of_everything(model, random.Random(1), "online")
    edge.drain()
    model.compare(remote.client(), tags=True)
    model.compare(edge.client)
    for key in model.objects:
        head = edge.client.head_object(Bucket=model.bucket, Key=key)
        assert head["ReplicationStatus"] == "COMPLETED", key


def test_written_while_the_remote_is_away(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Offline the edge goes on, across a kill and a restart: PENDING until the link is back, then COMPLETED."""
    _write_a_bit_of_everything(model, random.Random(1), "before")
    edge.drain()
    proxy.refuse()
    _write_a_bit_of_everything(model, random.Random(2), "during")
    model.delete("before/headers")
    model.put("before/large", Object(b"overwritten while away"))
    assert edge.client.head_object(Bucket=model.bucket, Key="during/large")["ReplicationStatus"] == "PENDING"
    edge.kill()
    edge.start()
    for key, it in model.objects.items():
        if key.startswith("during/") or key == "before/large":
            assert edge.client.get_object(Bucket=model.bucket, Key=key)["Body"].read() == it.body, key
    _write_a_bit_of_everything(model, random.Random(3), "after the kill")
    proxy.restore()
    edge.drain()
    model.compare(remote.client(), tags=True)
    model.compare(edge.client)
    assert edge.client.head_object(Bucket=model.bucket, Key="during/large")["ReplicationStatus"] == "COMPLETED"


def test_an_upload_in_parts_across_cuts_and_kills(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Parts sent before, during and after a cut, with kills in between, become one object with S3's own ETag; an upload
    that is aborted leaves nothing, neither here nor there."""
    it = Object(
        random.Random(4).randbytes(3 * LARGE_BYTES + 7), {"n": "1"}, {"ContentType": "a/b"}, part_bytes=LARGE_BYTES
    )
    upload, aborted = model.begin("in parts", it), model.begin("aborted", it)
    model.upload_part("in parts", it, upload, 1)
    model.upload_part("aborted", it, aborted, 1)
    edge.drain()
    proxy.refuse()
    model.upload_part("in parts", it, upload, 2)
    edge.kill()
    edge.start()
    proxy.restore()
    model.upload_part("in parts", it, upload, 3)
    edge.kill()
    edge.start()
    model.upload_part("in parts", it, upload, 4)
    proxy.refuse()
    model.complete("in parts", it, upload)
    edge.client.abort_multipart_upload(Bucket=model.bucket, Key="aborted", UploadId=aborted)
    proxy.restore()
    edge.drain()
    model.compare(remote.client())
    model.compare(edge.client)
    assert "Uploads" not in remote.client().list_multipart_uploads(Bucket=model.bucket)

    model.copy("in parts", "copy")
    edge.drain()
    model.compare(edge.client)
    there = remote.client().get_object(Bucket=model.bucket, Key="copy")  # its ETag is of one piece, but not with RGW 16
    assert there["Body"].read() == it.body


def test_tags_change_without_the_object(edge: Edge, remote: Remote, proxy: FaultProxy, model: Model):
    """Tags that are put, replaced and removed later arrive in that order, also when that happened offline."""
    for key in ("a", "b", "c"):
        model.put(key, Object(b"1", tags={"first": "1"}))
    model.tag("a", {"second": "2", "third": "3"})
    edge.drain()
    model.compare(remote.client(), tags=True)
    proxy.refuse()
    model.tag("a", {"fourth": "4"})
    model.tag("b", {})
    proxy.restore()
    edge.drain()
    model.compare(remote.client(), tags=True)


def test_a_bucket_comes_and_goes_offline(edge: Edge, remote: Remote, proxy: FaultProxy):
    """A bucket made and filled offline arrives, before its objects; one that was deleted again does not."""
    proxy.refuse()
    kept, gone = Model(edge.client, f"kept-{remote.name}"), Model(edge.client, f"gone-{remote.name}")
    for model in (kept, gone):
        model.create()
        model.put("a", Object(b"1"))
    gone.delete("a")
    edge.client.delete_bucket(Bucket=gone.bucket)
    proxy.restore()
    edge.drain()
    kept.compare(remote.client())
    names = {one["Name"] for one in remote.client().list_buckets()["Buckets"]}
    assert kept.bucket in names
    assert gone.bucket not in names
