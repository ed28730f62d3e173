"""`s3d drop status`, and the line of `s3d status` about each folder."""

import json

import msgspec
import pytest
from admin_edge import open_edge, s3d

from s3d.telemetry.drops import DropReport, RefusedFile

FOLDER = DropReport(
    name="camera",
    directory="/srv/camera",
    bucket="photos",
    prefix="raw/",
    after="delete",
    waiting=2,
    oldest_seconds=75.0,
    taken=1200,
    taken_bytes=5 * 1024**2,
    failed=0,
)


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        edge.folders = ()
        plain = edge.status

        async def status():
            return msgspec.structs.replace(await plain(), drops=edge.folders)

        edge.status = status
        yield edge


async def test_without_folders_there_is_nothing_to_say(daemon):
    """And nothing is wrong; `s3d status` is silent."""
    ran = await s3d("drop", "status", admin=daemon.url)
    assert (ran.code, ran.out) == (0, "No drop folder is configured.\n")
    assert "drop" not in (await s3d("status", admin=daemon.url)).out


async def test_a_folder_says_what_it_took_and_what_it_waits_for(daemon):
    """In `s3d status` too, and as JSON."""
    daemon.folders = (FOLDER,)
    ran = await s3d("drop", "status", admin=daemon.url)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "camera  /srv/camera to photos/raw/; files are deleted",
        "        1,200 files taken (5.0 MiB), 2 waiting, the oldest for 1 min 15 s",
    ]
    assert "camera: 1,200 files taken" in (await s3d("status", admin=daemon.url)).out
    shown = json.loads((await s3d("drop", "status", "--json", admin=daemon.url)).out)
    assert shown == json.loads(msgspec.json.encode([FOLDER]))


async def test_what_is_wrong_is_named_and_has_an_exit_code(daemon):
    """Whatever characters are in a name."""
    refused = RefusedFile("a\x1b[2Jb", "it is a pipe")
    daemon.folders = (
        msgspec.structs.replace(FOLDER, failed=1, failures=(refused,), trouble="SlowDown: full", watched=False),
    )
    ran = await s3d("drop", "status", admin=daemon.url)
    assert ran.code == 1
    assert "; changes are only seen when it is looked through" in ran.out
    assert "1 cannot be taken" in ran.out
    assert "it waits: SlowDown: full" in ran.out
    assert "a\\x1b[2Jb" in ran.out
    assert "\x1b" not in ran.out
