"""`s3d status --safe-to-power-off`: its exit code is 0 only when nothing on this disk is nowhere else."""

import asyncio
import json

import msgspec
import pytest
from admin_edge import open_edge, s3d

from s3d.cli.status import _safe_to_power_off
from s3d.clock import SystemClock
from s3d.http.waits import Waits, _Target


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        yield edge


async def asked(daemon, *more):
    return await s3d("status", "--safe-to-power-off", *more, admin=daemon.url)


async def test_it_is_safe_when_the_remote_has_everything(daemon):
    """Exit code 0 and a line; before, 3."""
    first = await daemon.write("b/k", size=3)
    ran = await asked(daemon)
    assert ran.code == 3
    assert (
        ran.out
        == "Not safe: 1 record (3 B) are on this disk only; the link is down: refused. `s3d wait --all` waits.\n"
    )
    await daemon.confirm(first)
    ran = await asked(daemon)
    assert (ran.code, ran.out) == (0, "Safe: the remote has everything up to record 1-2.\n")


async def test_parked_records_are_not_safe(daemon):
    """Exit code 4: a person has to act."""
    await daemon.park(await daemon.write("b/k", size=3))
    ran = await asked(daemon)
    assert ran.code == 4
    assert "1 record of them parked" in ran.out


async def test_without_a_remote_nothing_acknowledged_is_safe(daemon):
    """Exit code 6; an edge that holds nothing is safe."""
    daemon.replicates = False
    assert (await asked(daemon)).code == 0
    await daemon.write("b/k")
    assert (await asked(daemon)).code == 6


async def test_a_view_that_is_being_rebuilt_says_neither(daemon):
    """Nothing pending in it may mean that it has not come so far: exit code 1."""
    daemon.not_ready = "the view is being rebuilt"
    ran = await asked(daemon)
    assert ran.code == 1
    assert "cannot be said" in ran.out


async def test_nobody_answers(daemon):
    """A daemon that is not there is no reason to believe that all is well."""
    ran = await s3d("status", "--safe-to-power-off", admin="http://127.0.0.1:9")
    assert ran.code == 1


async def test_json_goes_with_the_exit_code(daemon):
    """Programs read the whole status; the line is for the log."""
    await daemon.write("b/k", size=3)
    ran = await asked(daemon, "--json")
    assert ran.code == 3
    assert json.loads(ran.out)["pending"]["count"] == 1
    assert ran.err.startswith("Not safe")


async def test_a_wait_does_not_believe_a_view_that_has_not_come_so_far(daemon):
    """Between two of its COMMITs a rebuild shows no pending record; the position beside the count tells."""
    sequence = await daemon.write("b/k")
    await daemon.confirm(sequence)
    look = daemon.remaining

    async def remaining(prefix, through, since):
        return msgspec.structs.replace(await look(prefix, through, since), position=through - 1)

    daemon.remaining = remaining
    waits = Waits(daemon, SystemClock(), asyncio.Event(), daemon.changed)
    for target in (_Target(sequence, "", sequence), _Target(None, "", sequence)):
        assert (await waits._standing(target)).state == "pending"
    daemon.remaining = look
    assert (await waits._standing(_Target(sequence, "", sequence))).state == "confirmed"


async def test_ready_is_asked_first(daemon):
    """Every state but ready is an exit code 1, whatever the counts say."""
    found = msgspec.structs.replace(await daemon.status(), ready=False, reason="the daemon is stopping")
    assert _safe_to_power_off(found) == (1, "It cannot be said: the daemon is stopping.")
