"""status, pending, wait and parked as processes, against a real admin listener."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys

import pytest
from admin_edge import open_edge, s3d


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        yield edge


async def test_status_says_where_the_daemon_stands(daemon):
    """In a few lines for a person, without colours in a pipe."""
    await daemon.write("b/k", size=3000)
    ran = await s3d("status", admin=daemon.url)
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert "1 record, 2.9 KiB, oldest 1 min 15 s" in ran.out
    assert "link down: refused" in ran.out
    assert "at 1-1" in ran.out


async def test_status_as_json_is_what_the_listener_says(daemon):
    """For programs: complete and parseable."""
    await daemon.write("b/k", size=3)
    ran = await s3d("status", "--json", "--admin", daemon.url)
    found = json.loads(ran.out)
    assert found["pending"] == {"count": 1, "bytes": 3, "oldest_seconds": 75.0, "parked": 0, "paused": None}


async def test_pending_lists_records_oldest_first(daemon):
    """With columns that a person and awk can read."""
    await daemon.write("b", "CreateBucket")
    await daemon.write("b/a key", size=5)
    ran = await s3d("pending", admin=daemon.url)
    rows = ran.out.splitlines()
    assert rows[0].split() == ["SEQ", "OPERATION", "KEY", "SIZE", "AGE", "STATE"]
    assert rows[1].startswith("1-1  CreateBucket  b ")
    assert re.match(r"1-2  PutObject     b/a key  5 B   \d s  pending", rows[2])


async def test_pending_shows_a_part_and_says_that_there_is_more(daemon):
    """Unless all of them are asked for, page after page."""
    for number in range(12):
        await daemon.write(f"b/{number}")
    ran = await s3d("pending", "--limit", "5", admin=daemon.url)
    assert len(ran.out.splitlines()) == 6
    assert "--all" in ran.err
    few = json.loads((await s3d("pending", "--limit", "5", "--json", admin=daemon.url)).out)
    everything = json.loads((await s3d("pending", "--all", "--json", admin=daemon.url)).out)
    assert (len(few["records"]), few["more"]) == (5, True)
    assert (len(everything["records"]), everything["more"]) == (12, False)


async def test_nothing_pending_is_said_in_words(daemon):
    """An empty table would look like a fault."""
    assert (await s3d("pending", admin=daemon.url)).out == "Nothing is pending.\n"
    listed = json.loads((await s3d("pending", "--json", admin=daemon.url)).out)
    assert listed == {"records": [], "more": False, "paused": None, "uploads": []}


async def test_a_key_cannot_write_to_the_terminal(daemon):
    """Escape sequences and line ends in keys are shown, not obeyed."""
    await daemon.write("b/\x1b[31mred\nx")
    ran = await s3d("pending", admin=daemon.url)
    assert "\x1b" not in ran.out
    assert len(ran.out.splitlines()) == 2
    assert json.loads((await s3d("pending", "--json", admin=daemon.url)).out)["records"][0]["key"] == "\x1b[31mred\nx"


async def test_wait_returns_0_when_the_remote_has_it(daemon):
    """The record, not everything."""
    first = await daemon.write("b/k")
    await daemon.write("b/l")
    waiting = asyncio.create_task(s3d("wait", "--seq", f"1-{first}", admin=daemon.url))
    await daemon.confirm(first)
    ran = await asyncio.wait_for(waiting, 60)
    assert (ran.code, ran.err) == (0, "")


async def test_wait_for_everything_ignores_what_comes_later(daemon):
    """What is written during the wait does not prolong it."""
    first = await daemon.write("b/k")
    look = daemon.remaining

    async def remaining(prefix, through, since):
        found = await look(prefix, through, since)
        if daemon.asked == 1:  # between the command's first question and its second
            await daemon.write("b/later")
            await daemon.confirm(first)
        return found

    daemon.remaining = remaining
    ran = await s3d("wait", "--all", "--timeout", "5", "--json", admin=daemon.url)
    assert ran.code == 0
    assert json.loads(ran.out)["through"] == "1-1"


async def test_wait_gives_up_when_the_time_is_over(daemon):
    """Exit code 5, and how much is left."""
    await daemon.write("b/k", size=4)
    ran = await s3d("wait", "--prefix", "b/", "--timeout", "0.1", admin=daemon.url)
    assert ran.code == 5
    assert "1 record (4 B) still pending after 0.1 s" in ran.err


async def test_wait_names_the_parked_records_that_are_in_the_way(daemon):
    """Exit code 4: a person has to act, and is told how."""
    await daemon.park(await daemon.write("b/k"))
    ran = await s3d("wait", "--all", admin=daemon.url)
    assert ran.code == 4
    assert "1-1" in ran.err
    assert "s3d parked" in ran.err


async def test_wait_without_a_remote_does_not_wait(daemon):
    """Exit code 6; with nothing pending all is well."""
    daemon.replicates = False
    assert (await s3d("wait", "--all", admin=daemon.url)).code == 0
    await daemon.write("b/k")
    ran = await s3d("wait", "--all", admin=daemon.url)
    assert ran.code == 6
    assert "no remote" in ran.err


async def test_wait_for_a_record_that_is_not_there_is_an_error(daemon):
    """Exit code 1 and no wait."""
    ran = await s3d("wait", "--seq", "1-7", admin=daemon.url)
    assert ran.code == 1
    assert "no record 1-7" in ran.err


async def test_a_prefix_travels_as_it_is(daemon):
    """Spaces, ampersands, percent signs and other alphabets."""
    await daemon.write("b/a b&c=%2F+ü/x")
    ran = await s3d("pending", "--json", "--prefix", "b/a b&c=%2F+ü/", admin=daemon.url)
    assert len(json.loads(ran.out)["records"]) == 1


async def test_parked_records_are_listed_with_the_reason_and_retried(daemon):
    """After the retry nothing is parked any more."""
    await daemon.park(await daemon.write("b/k"), "AccessDenied", "not yours")
    await daemon.park(await daemon.write("b/l"))
    ran = await s3d("parked", "list", admin=daemon.url)
    assert "parked: AccessDenied not yours" in ran.out
    ran = await s3d("parked", "retry", "1-1", admin=daemon.url)
    assert (ran.code, ran.out) == (0, "1 record will be tried again.\n")
    ran = await s3d("parked", "retry", "--all", "--json", admin=daemon.url)
    assert json.loads(ran.out) == {"seqs": ["1-3"]}
    assert (await s3d("parked", "list", admin=daemon.url)).out == "Nothing is parked.\n"


async def test_retrying_what_is_not_parked_is_an_error(daemon):
    """Exit code 1 and a line that says so."""
    await daemon.write("b/k")
    ran = await s3d("parked", "retry", "1-1", admin=daemon.url)
    assert ran.code == 1
    assert ran.err.startswith("s3d: None of these records is parked.")


@pytest.mark.parametrize("arguments", [("pending",), ("parked", "list"), ("status",)])
async def test_on_a_terminal_there_are_colours(daemon, arguments):
    """And the same content."""
    await daemon.park(await daemon.write("b/[red]k"))
    shown = await asyncio.to_thread(_on_a_terminal, [*arguments, "--admin", daemon.url])
    assert "\x1b[" in shown
    assert "Traceback" not in shown
    if arguments != ("status",):
        assert "b/[red]k" in re.sub(r"\x1b\[[0-9;]*m", "", shown)


async def test_on_a_terminal_a_wait_shows_how_it_goes(daemon):
    """The bar counts what is left; the end is the same as in a pipe."""
    sequences = [await daemon.write(f"b/{number}") for number in range(4)]
    watching = asyncio.create_task(asyncio.to_thread(_on_a_terminal, ["wait", "--all", "--admin", daemon.url]))
    while daemon.asked == 0:
        await asyncio.sleep(0.01)
    await daemon.confirm(*sequences[:2])
    while daemon.asked < 4:
        await asyncio.sleep(0.01)
    await daemon.confirm(*sequences[2:])
    shown = await asyncio.wait_for(watching, 60)
    assert "to the remote" in shown
    assert "2/4" in shown
    assert "Nothing waits for the remote, up to record 1-4." in shown


def _on_a_terminal(arguments):
    """Everything that the command writes to a pseudo-terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "s3d.cli.main", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # Linux reports the end of the other side as EIO
    finally:
        os.close(ours)
        process.wait()
    return shown.decode()
