"""What stays local outlives its journal files, and pins none of them."""

import asyncio
import tempfile
from contextlib import ExitStack
from unittest import mock

import pytest
from edge_state import confirm, copy, create, delete, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d.capacity.local import Staying
from s3d.view import local_projection

from .site import KIB, Site
from .test_upkeep import fill, live, states, steps

LEFT = frozenset({"left"})


@pytest.fixture
async def site(tmp_path):
    found = await Site(tmp_path, local=LEFT).open()
    yield found
    await found.close()


async def test_bodies_leave_their_files_however_many_there_are(site):
    """Nobody will ever confirm them: a file full of them would stay for ever, and every later one behind it."""
    await site.run(create("left"))
    await fill(site, 4)
    done = await site.tend()
    assert {"Relocate", "Seal", "MakeBase", "Drop"} <= set(done)
    assert states(site) == ["sealed", "active"]
    assert "Carry" not in done, "nothing is pending of it"
    await site.check()
    await site.reopen()
    await site.check()
    assert await site.rows.read(2) == b"1" * KIB, "from the blob: record and file are gone"


async def test_what_is_replaced_or_deleted_goes_at_once(site):
    """The blob that a body had moved to, as well as one that it always had; a copy that goes out is asked first."""
    await site.run(create("left"))
    await site.run(create("right"))
    await site.run(put("left", "k", b"k" * KIB))
    await fill(site, 2)
    await site.tend()
    (out,) = await site.run(copy(site, ("left", "k"), ("right", "k")))
    moved, other = site.ask.relocated(3), site.ask.relocated(4)
    assert moved is not None
    assert other is not None
    await site.run(delete("left", "k"))
    await site.run(put("left", "filler-1", b"new"))
    await site.collect()
    assert moved in site.pool.files.ids(), "the copy has not been sent"
    assert other not in site.pool.files.ids()
    await site.check()
    await site.run(confirm(out.sequence, etag="e"))
    await site.collect()
    assert moved not in site.pool.files.ids()
    await site.check()


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=40))
def test_whatever_happens_nothing_that_stays_is_lost(story):
    """Random commands, upkeep and restarts in a bucket that stays: all that was acknowledged is here."""
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(live(name, story, LEFT))


TELLING = [
    *[
        ("put", "a", 200),
        ("upload", "u"),
        ("part", "u", 1, 100),
        ("put", "b", 200),
        ("copy", "b", "c"),
        ("delete", "b"),
    ],
    *[("fill",), ("tend", 12), ("reopen", False), ("put", "a", 3), ("complete", "u"), ("fill",), ("tend", 12)],
    *[("collect",), ("reopen", False)],
]


def test_the_telling_story_is_lived_by_the_real_thing(tmp_path):
    """Otherwise it would say nothing about the mutants."""
    asyncio.run(live(tmp_path, TELLING, LEFT))


def _forgets_rows(connection, record, bucket, key, mutation):
    connection.execute(local_projection._OBJECT_STAYS, (bucket, key, record.sequence, local_projection._LOCAL))
    return local_projection._counted(connection, record, mutation)


@pytest.mark.parametrize(
    ("kind", "settle"),
    [
        ("PutObject", _forgets_rows),
        ("DeleteObject", lambda *_: Staying()),
        ("CompleteMultipartUpload", lambda *_: Staying()),
    ],
    ids=["an object does not hold its row", "a deletion leaves a trace", "a completed upload keeps its parts"],
)
def test_a_mutant_is_seen(tmp_path, kind, settle):
    """Each turns the check red."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(local_projection._SETTLES, {kind: settle}))
        with pytest.raises(AssertionError, match=r"gone|neither here|for ever|nobody"):
            asyncio.run(live(tmp_path, TELLING, LEFT))
