"""Guarded writes before somebody else's S3, over a link that loses answers: our own success is never a conflict."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.timeout(180)
POLICIES = ("local", "remote", "keep-both", "hold")
RULES = "".join(f'[[rule]]\nmatch = "*/{policy}/*"\nconflict = "{policy}"\n' for policy in POLICIES)
BUCKET = "guarded"
MIB = 1024 * 1024


@pytest.fixture
def edge(tmp_path: Path, proxy: FaultProxy, remote: Remote) -> Iterator[Edge]:
    it = Edge(str(tmp_path), proxy.url, remote, rules=RULES).start()
    it.client.create_bucket(Bucket=BUCKET)
    it.drain()
    yield it
    it.close()
    there = remote.client()
    for one in there.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        there.delete_object(Bucket=BUCKET, Key=one["Key"])
    there.delete_bucket(Bucket=BUCKET)


def conflicts(edge: Edge) -> dict[str, Any]:
    """What `s3d conflicts` says, by key."""
    command = [sys.executable, "-m", "s3d.cli.main", "conflicts", "--json", "--admin", edge.admin]
    found = json.loads(subprocess.check_output(command))["conflicts"]
    return {one["key"]: one for one in found}


def contents(client: Any) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {one["Key"]: client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}


def test_lost_answers_are_no_conflicts(edge: Edge, remote: Remote, proxy: FaultProxy) -> None:
    """Puts, overwrites, copies, deletions and uploads in parts, under each policy: all answers are lost once."""
    client, many = edge.client, len(POLICIES)
    proxy.lose_answers("PUT", times=4 * many)
    for policy in POLICIES:
        for key, body in (("new", b"1"), ("new", b"2"), ("source", b"3"), ("gone", b"4")):
            client.put_object(Bucket=BUCKET, Key=f"{policy}/{key}", Body=body)
    edge.drain()
    proxy.lose_answers("PUT", times=many)
    proxy.lose_answers("DELETE", times=many)
    uploads = []
    for policy in POLICIES:
        client.copy_object(Bucket=BUCKET, Key=f"{policy}/copy", CopySource=f"{BUCKET}/{policy}/source")
        client.delete_object(Bucket=BUCKET, Key=f"{policy}/gone")
        whole = {"Bucket": BUCKET, "Key": f"{policy}/parts"}
        upload = client.create_multipart_upload(**whole)["UploadId"]
        part = client.upload_part(**whole, UploadId=upload, PartNumber=1, Body=b"p" * MIB)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        uploads.append({**whole, "UploadId": upload, "MultipartUpload": parts})
    edge.drain()
    proxy.lose_answers("POST", times=many)
    for one in uploads:
        client.complete_multipart_upload(**one)
    edge.drain()
    assert proxy.lost_answers == 7 * many
    assert conflicts(edge) == {}
    expected = {"new": b"2", "source": b"3", "copy": b"3", "parts": b"p" * MIB}
    assert contents(remote.client()) == {f"{p}/{key}": body for p in POLICIES for key, body in expected.items()}


def test_a_stranger_meets_each_policy(edge: Edge, remote: Remote, proxy: FaultProxy) -> None:
    """He writes and deletes while the edge is cut off; a retry of what is held goes over what he left."""
    there = remote.client()
    for policy in POLICIES:
        for key in ("k.txt", "d"):
            edge.client.put_object(Bucket=BUCKET, Key=f"{policy}/{key}", Body=b"first")
    edge.drain()
    proxy.refuse()
    for policy in POLICIES:
        there.put_object(Bucket=BUCKET, Key=f"{policy}/k.txt", Body=b"stranger")
        there.delete_object(Bucket=BUCKET, Key=f"{policy}/d")
        edge.client.put_object(Bucket=BUCKET, Key=f"{policy}/k.txt", Body=b"second")
        edge.client.put_object(Bucket=BUCKET, Key=f"{policy}/d", Body=b"again")
    proxy.restore()
    assert edge.wait("--prefix", f"{BUCKET}/hold/", "--timeout", "30") == 4
    for policy in ("local", "remote", "keep-both"):
        assert edge.wait("--prefix", f"{BUCKET}/{policy}/", "--timeout", "30") == 0
    found = conflicts(edge)
    assert sorted(found) == sorted(f"{policy}/{key}" for policy in POLICIES for key in ("k.txt", "d"))
    assert [found[f"{policy}/d"]["theirs"]["present"] for policy in POLICIES] == [False] * 4
    siblings = {found[f"keep-both/{key}"]["sibling"]: body for key, body in (("k.txt", b"second"), ("d", b"again"))}
    settled = {
        "local/k.txt": b"second",
        "local/d": b"again",
        "remote/k.txt": b"stranger",
        "keep-both/k.txt": b"stranger",
        "hold/k.txt": b"stranger",
        **siblings,
    }
    assert contents(there) == settled
    assert edge.run("parked", "retry", "--all") == 0
    edge.drain()
    assert contents(there) == settled | {"hold/k.txt": b"second", "hold/d": b"again"}
