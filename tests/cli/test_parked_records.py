"""`s3d parked show` and `drop`, before a real listener and before a daemon whose remote has a stranger."""

import json
import subprocess
from typing import Any

import pytest
from admin_edge import open_edge, s3d
from botocore.exceptions import ClientError
from live import PROGRAM, running_daemon, wait_until


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        yield edge


async def test_show_says_what_a_record_was(daemon):
    """And what the remote said of it."""
    sequence = await daemon.write("b/k", size=3)
    await daemon.park(sequence, "AccessDenied", "not you")
    ran = await s3d("parked", "show", f"1-{sequence}", admin=daemon.url)
    assert ran.code == 0
    assert "PutObject of b/k" in ran.out
    assert "parked: AccessDenied not you" in ran.out
    found = json.loads((await s3d("parked", "show", "1", "--json", admin=daemon.url)).out)
    assert (found["state"], found["bytes"], found["details"]["etag"]) == ("parked", 3, "e")
    ran = await s3d("parked", "show", "99", admin=daemon.url)
    assert ran.code == 1
    assert "there is no record 99" in ran.err


async def test_drop_wants_to_be_meant(daemon):
    """Not by a script that forgot --yes, and not half."""
    first, second = await daemon.write("b/k"), await daemon.write("b/l")
    await daemon.park(first)
    ran = await s3d("parked", "drop", "1", admin=daemon.url)
    assert ran.code == 2
    assert "--yes" in ran.err
    ran = await s3d("parked", "drop", str(first), str(second), "--yes", admin=daemon.url)
    assert ran.code == 1
    assert f"Record {second} is not parked" in ran.err
    assert len(await daemon.parked(0, 10)) == 1
    ran = await s3d("parked", "drop", str(first), "--yes", admin=daemon.url)
    assert (ran.code, ran.out) == (0, "1 record will never be sent.\n")
    assert await daemon.parked(0, 10) == []
    assert json.loads((await s3d("parked", "show", "1", "--json", admin=daemon.url)).out)["state"] == "settled"


def test_what_is_dropped_gives_way_to_what_the_remote_has(tmp_path: Any, s3_of: Any) -> None:
    """A guarded write that lost against a stranger: parked, fetched, dropped; what waited behind it then goes on."""
    with running_daemon(tmp_path / "remote", auth=False) as remote:
        to = f'[remote]\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\n'
        with running_daemon(tmp_path / "edge", auth=False, config=to) as edge:
            ours, theirs = s3_of(edge), s3_of(remote)

            def pending() -> tuple[int, int]:
                found = edge.ask("/status")["pending"]
                return found["count"], found["parked"]

            ours.create_bucket(Bucket="bucket")
            wait_until(lambda: pending() == (0, 0))
            theirs.put_object(Bucket="bucket", Key="k", Body=b"theirs")
            answer = ours.put_object(Bucket="bucket", Key="k", Body=b"ours", IfNoneMatch="*")
            sequence = answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"]
            ours.delete_object(Bucket="bucket", Key="other")
            wait_until(lambda: pending() == (1, 1))
            assert ours.get_object(Bucket="bucket", Key="k")["Body"].read() == b"ours"
            ran = subprocess.run(
                [PROGRAM, "parked", "drop", sequence, "--yes", "--admin", edge.admin], capture_output=True, check=False
            )
            assert ran.returncode == 0, ran.stderr
            assert pending() == (0, 0)
            assert ours.get_object(Bucket="bucket", Key="k")["Body"].read() == b"theirs"
            with pytest.raises(ClientError, match="PreconditionFailed"):
                ours.put_object(Bucket="bucket", Key="k", Body=b"again", IfNoneMatch="*")
            edge.stop()
            edge.start()
            assert ours_again(s3_of, edge) == b"theirs"


def ours_again(s3_of: Any, edge: Any) -> bytes:
    """After a restart the same is so."""
    return bytes(s3_of(edge).get_object(Bucket="bucket", Key="k")["Body"].read())
