"""`s3d pause` and `s3d resume`, and what the other commands say in between."""

import json

import pytest
from admin_edge import open_edge, s3d


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        yield edge


async def test_while_it_is_paused_everybody_says_so(daemon):
    """status, pending, wait and the barrier; a wait ends at once, with an exit code of its own."""
    await daemon.write("b/k", size=3)
    ran = await s3d("pause", "--reason", "satellite", admin=daemon.url)
    assert (ran.code, ran.out) == (0, "Paused: nothing more goes to the remote.\n")
    waited = await s3d("wait", "--all", admin=daemon.url)
    assert waited.code == 7
    assert "1 record (3 B) will stay pending: replication is paused since" in waited.err
    assert waited.err.count("satellite") == 1
    barrier = await s3d("status", "--safe-to-power-off", admin=daemon.url)
    assert barrier.code == 3
    assert "paused since" in barrier.out
    assert "satellite" in (await s3d("status", admin=daemon.url)).out
    listed = await s3d("pending", admin=daemon.url)
    assert "b/k" in listed.out
    assert "`s3d resume`" in listed.err
    assert json.loads((await s3d("pending", "--json", admin=daemon.url)).out)["paused"]["reason"] == "satellite"


async def test_resume_goes_on_and_says_when_there_was_nothing_to_resume(daemon):
    """Repeating either is harmless."""
    await s3d("pause", admin=daemon.url)
    assert "already" in (await s3d("pause", admin=daemon.url)).out
    assert (await s3d("resume", admin=daemon.url)).out == "Replication goes on.\n"
    assert (await s3d("resume", admin=daemon.url)).out == "It was not paused.\n"


async def test_a_reason_is_a_text_of_bounded_length(daemon):
    """A journal is no diary."""
    ran = await s3d("pause", "--reason", "x" * 501, admin=daemon.url)
    assert ran.code == 1
    assert "not understood" in ran.err
