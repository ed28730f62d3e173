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


async def test_list_says_what_waits_and_pending_says_for_what(daemon):
    """So that the record to look at first is the one that most wait for."""
    first = await daemon.write("b/k")
    await daemon.write("b/k")
    await daemon.write("b/k")
    free = await daemon.write("b/l")
    await daemon.park(first, "AccessDenied", "not you")
    assert "parked: AccessDenied not you; 2 records behind it" in (await s3d("parked", "list", admin=daemon.url)).out
    shown = (await s3d("pending", admin=daemon.url)).out.splitlines()
    assert [line.endswith("held behind 1-1") for line in shown] == [False, False, True, True, False]
    assert shown[-1].endswith("pending")
    assert "2 records behind it" in (await s3d("parked", "show", "1", admin=daemon.url)).out
    assert "behind 1-1, which is parked" in (await s3d("parked", "show", "3", admin=daemon.url)).out
    assert "behind" not in (await s3d("parked", "show", str(free), admin=daemon.url)).out


async def test_export_takes_the_bytes_away_and_overwrites_nothing(daemon, tmp_path):
    """Files are named by the record's number, whatever its key is."""
    sequence = await daemon.write("b/../../etc/passwd", size=5)
    await daemon.park(sequence)
    target = tmp_path / "a" / "b"
    ran = await s3d("parked", "export", str(sequence), str(target), admin=daemon.url)
    assert (ran.code, ran.err) == (0, "")
    assert {path.name: path.stat().st_mode & 0o777 for path in target.iterdir()} == {
        "1-1.json": 0o600,
        "1-1.body": 0o600,
    }
    assert (target / "1-1.body").read_bytes() == b"xxxxx"
    assert json.loads((target / "1-1.json").read_bytes())["stream"] == "b/../../etc/passwd"
    ran = await s3d("parked", "export", str(sequence), str(target), admin=daemon.url)
    assert ran.code == 1
    assert "1-1.body: File exists\nhint: nothing is overwritten" in ran.err
    ran = await s3d("parked", "export", "99", str(tmp_path / "c"), admin=daemon.url)
    assert ran.code == 1
    assert not (tmp_path / "c").exists()


async def test_rekey_says_what_it_did(daemon):
    """And refuses what is no parked object."""
    sequence = await daemon.write("b/k", size=3)
    ran = await s3d("parked", "rekey", str(sequence), "new", admin=daemon.url)
    assert ran.code == 1
    assert "not parked" in ran.err


def test_what_is_dropped_gives_way_to_what_the_remote_has(tmp_path: Any, s3_of: Any) -> None:
    """A guarded write that lost against a stranger: parked, fetched, dropped; what waited behind it then goes on."""
    with running_daemon(tmp_path / "remote", auth=False) as remote:
        to = f'[remote]\nsender = "inside"\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\n'
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
            exported = parked(edge, "export", sequence, str(tmp_path / "out"))
            assert "bucket/k, 4 B" in exported
            assert (tmp_path / "out" / f"{sequence}.body").read_bytes() == b"ours"
            theirs.put_object(Bucket="bucket", Key="renamed", Body=b"theirs")
            answer = ours.put_object(Bucket="bucket", Key="renamed", Body=b"wanted", IfNoneMatch="*", ContentType="a/b")
            other = answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"]
            ours.put_object(Bucket="bucket", Key="taken", Body=b"taken")
            wait_until(lambda: pending() == (2, 2))
            refused = subprocess.run(
                [PROGRAM, "parked", "rekey", other, "taken", "--admin", edge.admin], capture_output=True, check=False
            )
            assert (refused.returncode, b"already" in refused.stderr) == (1, True)
            assert "goes out as bucket/renamed (ours)" in parked(edge, "rekey", other, "renamed (ours)")
            wait_until(lambda: pending() == (1, 1))
            rekeyed = theirs.get_object(Bucket="bucket", Key="renamed (ours)")
            assert (rekeyed["Body"].read(), rekeyed["ContentType"]) == (b"wanted", "a/b")
            assert ours.get_object(Bucket="bucket", Key="renamed (ours)")["Body"].read() == b"wanted"
            assert ours.get_object(Bucket="bucket", Key="renamed")["Body"].read() == b"theirs"
            assert "1 record" in parked(edge, "drop", sequence, "--yes")
            assert pending() == (0, 0)
            assert ours.get_object(Bucket="bucket", Key="k")["Body"].read() == b"theirs"
            with pytest.raises(ClientError, match="PreconditionFailed"):
                ours.put_object(Bucket="bucket", Key="k", Body=b"again", IfNoneMatch="*")
            edge.stop()
            edge.start()
            assert ours_again(s3_of, edge) == b"theirs"


def parked(edge: Any, *arguments: str) -> str:
    """A command of `s3d parked` that succeeds; what it says."""
    ran = subprocess.run([PROGRAM, "parked", *arguments, "--admin", edge.admin], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode()


def ours_again(s3_of: Any, edge: Any) -> bytes:
    """After a restart the same is so."""
    return bytes(s3_of(edge).get_object(Bucket="bucket", Key="k")["Body"].read())
