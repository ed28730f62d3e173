"""`s3d ls`, `get` and `put` against real daemons: files there and back, listings, and every way to get it wrong."""

import asyncio
import json
import os
import pty
import subprocess
import sys

import pytest
from admin_edge import s3d
from conftest import new_bucket_name
from live import ACCESS_KEY, SECRET_KEY

from s3d.cli import objects

MIB = 1024 * 1024


@pytest.fixture
def daemon(signed_daemon):
    """The one that verifies: every request of these commands is signed; the terminal's go to the other one."""
    return signed_daemon


@pytest.fixture
def run(daemon):
    """The command against the daemon, with its keys."""

    async def ran(*arguments, **environment):
        keys = {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY}
        return await s3d(*arguments, **({"S3D_ENDPOINT": daemon.url} | keys | environment))

    return ran


@pytest.mark.parametrize("size", [0, 1, 100_000, objects.PART_BYTES, objects.PART_BYTES + 1, 40 * MIB])
async def test_a_file_there_and_back(run, s3, bucket, tmp_path, size):
    """Small ones in one request, large ones in parts; what comes back is what was sent, under the umask's mode."""
    content = os.urandom(1 << 16) * (size // (1 << 16)) + os.urandom(size % (1 << 16))
    (tmp_path / "up").write_bytes(content)
    assert await run("put", str(tmp_path / "up"), f"{bucket}/a b/ü+%2F&=") == objects_said()
    assert await run("get", f"{bucket}/a b/ü+%2F&=", str(tmp_path / "down")) == objects_said()
    assert (tmp_path / "down").read_bytes() == content
    assert s3.head_object(Bucket=bucket, Key="a b/ü+%2F&=")["ETag"].count("-") == (size >= objects.PART_BYTES)
    assert (tmp_path / "down").stat().st_mode & 0o777 == 0o666 & ~umask()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert sorted(os.listdir(tmp_path)) == ["down", "up"]


def objects_said(out=""):
    """What a command without a terminal says when all is well."""
    from admin_edge import Ran

    return Ran(0, out, "")


def umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


async def test_names_that_need_not_be_typed(run, bucket, tmp_path):
    """put adds the file's name to a prefix; get takes the key's last part, also into a directory."""
    (tmp_path / "name").write_bytes(b"x")
    await run("put", str(tmp_path / "name"), f"{bucket}/deep/")
    await run("put", str(tmp_path / "name"), bucket)
    (tmp_path / "into").mkdir()
    assert (await run("get", f"{bucket}/deep/name", str(tmp_path / "into"))).code == 0
    assert (tmp_path / "into/name").read_bytes() == b"x"
    listed = json.loads((await run("ls", "-r", bucket, "--json")).out)
    assert [one["key"] for one in listed] == ["deep/name", "name"]


async def test_standard_input_and_output(daemon, run, bucket):
    """`-` is a pipe, of any length, and the object is all that comes out of it."""
    keys = {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY}
    environment = os.environ | keys | {"S3D_ENDPOINT": daemon.url}
    command = [sys.executable, "-m", "s3d.cli.main"]
    content = os.urandom(17 * MIB)
    put = [*command, "put", "-", f"{bucket}/piped"]
    await asyncio.to_thread(subprocess.run, put, input=content, env=environment, check=True)
    got = await asyncio.to_thread(subprocess.check_output, [*command, "get", f"{bucket}/piped", "-"], env=environment)
    assert got == content


async def test_listings(run, s3, bucket):
    """Buckets; one level of a bucket; a prefix; everything; each also as JSON. No terminal sees a control character."""
    for key in ("a/1", "a/2", "b", "ü \x1b[31m", "c&d"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 1536)
    assert bucket in (await run("ls")).out
    assert bucket in [one["bucket"] for one in json.loads((await run("ls", "--json")).out)]
    level = await run("ls", bucket)
    assert [line.split()[-1] for line in level.out.splitlines()[1:4]] == ["a/", "b", "c&d"]
    assert "1.5 KiB" in level.out
    assert "\x1b" not in level.out
    listed = json.loads((await run("ls", bucket, "--json")).out)
    assert [one["key"] for one in listed] == ["a/", "b", "c&d", "ü \x1b[31m"]
    assert listed[0] == {"key": "a/"}
    assert (listed[1]["size"], listed[1]["modified"][-1]) == (1536, "Z")
    below = json.loads((await run("ls", f"{bucket}/a/", "--json")).out)
    assert [one["key"] for one in below] == ["a/1", "a/2"]
    assert json.loads((await run("ls", f"{bucket}/none", "--json")).out) == []


async def test_a_listing_of_many_pages(run, s3, bucket):
    """Pages are followed to the end."""
    for number in range(1005):
        s3.put_object(Bucket=bucket, Key=f"{number:04}", Body=b"")
    listed = json.loads((await run("ls", bucket, "--json")).out)
    assert [one["key"] for one in listed] == [f"{number:04}" for number in range(1005)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["get", "{}"], 2, "is not BUCKET/KEY"),
        (["get", "/k"], 2, "is not BUCKET/KEY"),
        (["get", "{}/a/.."], 2, "gives no file name"),
        (["get", "{}/none"], 1, "(NoSuchKey)"),
        (["get", "no-such-bucket-x/k"], 1, "(NoSuchBucket)"),
        (["get", "{}/k", "/nonexistent/file"], 1, "No such file or directory"),
        (["put", "/nonexistent", "{}/k"], 1, "/nonexistent: No such file or directory"),
        (["put", "/tmp", "{}/k"], 1, "Is a directory"),
        (["put", "/etc/hostname", "no-such-bucket-x/k"], 1, "(NoSuchBucket)"),
        (["put", "-", "{}/"], 2, "standard input has no name"),
        (["put", "/etc/hostname"], 2, "Missing argument"),
        (["put", "/etc/hostname", "{}/" + "k" * 1025], 1, "(KeyTooLongError)"),
        (["ls", "no-such-bucket-x"], 1, "(NoSuchBucket)"),
        (["ls", "/prefix"], 2, "no bucket"),
        (["ls", "--endpoint", "http://127.0.0.1:1"], 1, "no daemon answers"),
        (["ls", "--endpoint", "localhost"], 2, "not the URL of an endpoint"),
    ],
)
async def test_what_goes_wrong_is_a_line(run, s3, bucket, tmp_path, arguments, code, said):
    """What is wrong, then perhaps a hint; never a traceback, and no file is left."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    ran = await run(*(one.replace("{}", bucket) for one in arguments))
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert ran.err.startswith("s3d: ")
    assert said in ran.err.splitlines()[0]
    assert len(ran.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"S3D_ACCESS_KEY": "", "S3D_SECRET_KEY": ""}, "hint: set S3D_ACCESS_KEY and S3D_SECRET_KEY"),
        ({"S3D_ACCESS_KEY": "SOMEBODYELSE"}, "hint: S3D_ACCESS_KEY is not the daemon's"),
        ({"S3D_SECRET_KEY": "something else"}, "hint: S3D_SECRET_KEY is not the daemon's"),
    ],
)
async def test_wrong_keys_are_hinted_at(signed_daemon, environment, said):
    """And not repeated."""
    keys = {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY} | environment
    ran = await s3d("ls", S3D_ENDPOINT=signed_daemon.url, **keys)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert "something else" not in ran.err


async def test_an_answer_that_breaks_off_leaves_no_file(tmp_path):
    """Half an object is never found under the name, and a target that was there before stays as it was."""

    async def half(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "x"\r\n\r\nhalf')
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        (tmp_path / "there").write_bytes(b"before")
        for name in ("there", "new"):
            ran = await s3d("get", "bucket/k", str(tmp_path / name), S3D_ENDPOINT=url)
            assert (ran.code, ran.err.count("\n")) == (1, 2)
    assert os.listdir(tmp_path) == ["there"]
    assert (tmp_path / "there").read_bytes() == b"before"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\nhello", b"SSH-2.0\r\n", b"HTTP/1.1 500 No\r\n\r\n"])
async def test_what_answers_is_no_s3_service(answer):
    """A line, whatever it says."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        ran = await s3d("ls", S3D_ENDPOINT=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("s3d: ")


async def test_a_put_that_fails_in_the_middle_aborts_its_upload(daemon, s3, bucket):
    """Nothing is left to be paid for; the error is the one that happened."""
    pieces = [b"x" * objects.PART_BYTES, b"y" * objects.PART_BYTES]

    class Breaks:
        def read(self, size):
            if not pieces:
                raise OSError(5, "Input/output error")
            return pieces.pop(0)

    store = objects.Store(daemon.url, ACCESS_KEY, SECRET_KEY)
    with store, pytest.raises(OSError, match="Input/output"):
        await asyncio.to_thread(objects._send, store, bucket, "k", Breaks(), None, lambda count: None)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


async def test_a_terminal_sees_how_far_it_is(open_daemon, s3_of, tmp_path):
    """Bytes, rate and time on standard error; standard output stays the object's."""
    bucket = new_bucket_name()
    s3_of(open_daemon).create_bucket(Bucket=bucket)
    (tmp_path / "file").write_bytes(b"x" * 20 * MIB)
    for arguments in (["put", str(tmp_path / "file"), f"{bucket}/k"], ["get", f"{bucket}/k", "-"]):
        screen, out = await asyncio.to_thread(on_terminal, arguments, open_daemon.url)
        assert "20.0/20.0 MiB" in screen
        assert "MB/s" in screen
        assert len(out) == (20 * MIB if arguments[0] == "get" else 0)


def on_terminal(arguments, url):
    """What a terminal shows on standard error, and what came out of standard output."""
    controller, terminal = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("S3")}
    environment |= {"S3D_ENDPOINT": url, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "s3d.cli.main", *arguments], stdout=subprocess.PIPE, stderr=terminal, env=environment
    )
    os.close(terminal)
    out = process.communicate(timeout=60)[0]
    shown = b""
    try:
        while piece := os.read(controller, 65536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(controller)
    assert process.returncode == 0, shown
    return shown.decode(), out
