"""Files go, and nothing that was acknowledged goes with them: decisions 6 to 10, against a real journal."""

import asyncio
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

import apsw
import pytest
from edge_state import ORIGIN, confirm, copy, create, delete, park, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_body

from journal import DiskFull, JournalDamaged
from journal.errors import JournalError
from s3d.commands.uploads import UploadPart
from s3d.errors import S3Error
from s3d.upkeep.upkeep import TROUBLE_SECONDS
from s3d.values import BlobBytes, RowBytes

from .mutants import MUTANTS
from .site import KIB, LIMITS, Site, abort, complete, create_upload, received, upload_part


@pytest.fixture
async def site(tmp_path):
    found = await Site(tmp_path).open()
    yield found
    await found.close()


async def fill(site, files, *, key="filler", confirmed=True):
    """Write until there are so many files more; what was written is confirmed at once, unless it is to wait."""
    wanted, number = site.journal.files()[-1].number + files, 0
    while site.journal.files()[-1].number < wanted:
        number += 1
        (record,) = await site.run(put("left", f"{key}-{number}", b"%d" % number * KIB))
        if confirmed:
            await site.run(confirm(record.sequence, etag="remote"))
        await asyncio.sleep(0)


def states(site):
    return [file.state for file in site.journal.files()]


async def test_confirmed_files_are_sealed_and_dropped_under_a_base(site):
    """What is retained, and the active file, is all that stays; the view stays whole, also from nothing."""
    await site.run(create("left"))
    await fill(site, 6)
    await site.run(confirm(1))
    done = await site.tend()
    assert {"Seal", "MakeBase", "Drop"} <= set(done)
    assert states(site) == ["sealed", "active"]
    row = site.ask.object("left", "filler-1")
    assert row.confirmed
    assert not site.rows.are_here(row.extents)
    await site.check()
    await site.reopen()
    assert site.ask.object("left", "filler-1") == row
    assert not site.rows.are_here(row.extents)
    await site.check()


async def test_decision_7_a_parked_key_pins_nothing(site):
    """Its body moves to a blob, its record into the view; the files that held them go. Then it is confirmed."""
    await site.run(
        create("left"),
    )
    await site.run(confirm(1))
    (waiting,) = await site.run(put("left", "waits", b"w" * KIB))
    await site.run(park(waiting.sequence))
    await fill(site, 6)
    done = await site.tend()
    assert {"Relocate", "Carry", "Drop"} <= set(done)
    assert states(site) == ["sealed", "active"]
    assert site.journal.pick([waiting.sequence]) == []
    await site.reopen()
    await site.check()
    assert site.ask.carried(waiting.sequence) == waiting
    assert await site.rows.read(waiting.sequence) == b"w" * KIB
    blob = site.ask.relocated(waiting.sequence)
    await site.run(confirm(waiting.sequence))
    assert not site.ask.blob_in_use(blob)
    assert site.ask.carried(waiting.sequence) is None
    await site.collect()
    assert blob not in site.pool.files.ids()
    await site.check()


async def test_what_waits_for_the_remote_stays_where_it_is(site):
    """Offline: every file holds bodies that are nowhere else, and says so."""
    await site.run(create("left"))
    await fill(site, 3, confirmed=False)
    assert await site.tend() == []
    assert states(site) == ["closed", "closed", "closed", "active"]
    why = [file.why for file in site.upkeep.standing()]
    assert all("wait for the remote" in one for one in why[:-1])
    assert why[-1] == "being written"


async def test_decision_9_superseded_is_not_final(site):
    """A is replaced by B, neither is confirmed: A's body is kept through sealing. It goes when A is confirmed."""
    await site.run(create("left"))
    (first,) = await site.run(put("left", "k", b"A" * KIB))
    (second,) = await site.run(put("left", "k", b"B" * KIB))
    await site.run(confirm(1))
    await fill(site, 3)
    await site.tend()
    assert await site.rows.read(first.sequence) == b"A" * KIB
    assert await site.rows.read(second.sequence) == b"B" * KIB
    await site.run(confirm(first.sequence))
    assert await site.rows.read(first.sequence) is None
    assert await site.rows.read(second.sequence) == b"B" * KIB
    await site.check()


async def test_decision_10_a_part_stays_until_its_upload_is_closed_at_the_remote(site):
    """Confirmed long ago: the remote may forget the upload, and then the part is sent once more."""
    await site.run(create("left"))
    await site.run(create_upload("k", "u"))
    (part,) = await site.run(upload_part("k", "u", 1, b"p" * KIB))
    await site.run(confirm(1, 2, part.sequence, etag="remote"))
    await fill(site, 3)
    await site.tend()
    assert await site.rows.read(part.sequence) == b"p" * KIB
    (completed,) = await site.run(complete("k", "u", 1, received(b"p" * KIB).etag))
    await site.check()
    assert await site.rows.read(part.sequence) == b"p" * KIB
    await site.run(confirm(completed.sequence, etag="remote"))
    assert await site.rows.read(part.sequence) is None
    await site.check()


async def test_an_object_whose_blobs_are_here_stays_whole(site):
    """Its small last part was in a row: without it the rest would be worth nothing to a reader without the link."""
    await site.run(create("left"))
    await site.run(create_upload("k", "u"))
    blob, large = "a" * 32, b"l" * 5 * KIB * KIB
    (site.directory / "blobs" / "aa" / blob).write_bytes(large)
    body = replace_body(received(large), extents=(BlobBytes(blob, 0, len(large)),), data=None)
    await site.run(UploadPart("left", "k", "u", 1, body, ORIGIN))
    (last,) = await site.run(upload_part("k", "u", 2, b"t" * KIB))
    await site.run(complete("k", "u", 1, body.etag, received(b"t" * KIB).etag))
    await site.run(confirm(*(row.sequence for row in site.ask.pending_after(0, 10)), etag="remote"))
    await fill(site, 3)
    await site.tend()
    await site.check()
    assert site.rows.are_here(site.ask.object("left", "k").extents)
    assert await site.rows.read(last.sequence) == b"t" * KIB
    (deleted,) = await site.run(delete("left", "k"))
    assert not site.ask.blob_in_use(blob)
    assert await site.rows.read(last.sequence) is None
    await site.run(confirm(deleted.sequence))
    await site.check()


async def test_decision_21_a_copy_keeps_its_sources_row(site):
    """The source is confirmed and gone; the copy waits for the remote. When it is confirmed, nobody needs the row."""
    await site.run(create("left"))
    (source,) = await site.run(put("left", "source", b"s" * KIB))
    (copied,) = await site.run(copy(site, ("left", "source"), ("left", "copy")))
    await site.run(delete("left", "source"))
    await site.run(confirm(1, source.sequence, copied.sequence + 1))
    await fill(site, 3)
    await site.tend()
    assert await site.rows.read(source.sequence) == b"s" * KIB
    await site.check()
    await site.run(confirm(copied.sequence))
    assert await site.rows.read(source.sequence) is None
    await site.check()


async def test_a_row_that_is_being_copied_is_not_sealed_away(site):
    """The copy has named the row, and its record is not there yet: sealing waits for it, and then finds it needed."""
    await site.run(create("left"))
    (source,) = await site.run(put("left", "source", b"s" * KIB))
    await site.run(confirm(1, source.sequence))
    await fill(site, 1)
    extents = (RowBytes(source.sequence, 0, KIB),)
    with site.rows.pinned(extents):
        assert await site.upkeep.step() is None
        assert states(site)[0] == "closed"
        assert site.rows.are_here(extents)
        (copied,) = await site.run(copy(site, ("left", "source"), ("left", "copy")))
    assert "Relocate" in await site.tend()
    assert await site.rows.read(source.sequence) == b"s" * KIB
    assert site.ask.pending(copied.sequence) is not None
    await site.check()


async def test_nobody_begins_to_rely_on_a_file_that_is_being_sealed(site):
    """From the moment on that sealing waits for readers, new ones are sent to the remote."""
    await site.run(create("left"))
    (record,) = await site.run(put("left", "k", b"x" * KIB))
    await site.run(confirm(1, record.sequence))
    await fill(site, 1)
    extents, seen = (RowBytes(record.sequence, 0, KIB),), []
    sleep = site.clock.sleep

    async def look(seconds):
        seen.append(site.rows.are_here(extents))
        await sleep(seconds)

    with mock.patch.object(site.clock, "sleep", look), site.rows.pinned(extents):
        await site.upkeep.step()
    assert seen
    assert not any(seen)
    assert site.rows.are_here(extents)


async def test_an_earlier_body_than_its_records_confirmation_is_not_moved_twice(site):
    """A body that is confirmed before its move is recorded is not moved, and its blob is collected."""
    await site.run(create("left"))
    (record,) = await site.run(put("left", "k", b"x" * KIB))
    submit = site.journal.submit

    async def late(command, *, essential=False):
        await submit(confirm(record.sequence))
        return await submit(command, essential=essential)

    from s3d.upkeep.moving import move_bodies

    with mock.patch.object(site.journal, "submit", late):
        assert await move_bodies(site.journal, site.pool, [record.sequence]) == 0
    assert site.ask.relocated(record.sequence) is None
    await site.collect()
    assert site.pool.files.ids() == []


async def test_without_room_for_a_base_nothing_is_dropped(site):
    """The full disk is reported; what is there stays whole."""
    await site.run(create("left"))
    await fill(site, 4)
    await site.run(confirm(1))
    with mock.patch("s3d.upkeep.upkeep.take_snapshot", side_effect=DiskFull("no space for a base")):
        pauses = [await site.upkeep._attempt() for _ in range(12)]
    assert max(pauses) == TROUBLE_SECONDS
    assert site.journal.files()[0].number == 1
    await site.check()
    assert "MakeBase" not in await site.tend()
    site.clock.steady += 600
    assert "Drop" in await site.tend()
    await site.check()


async def test_a_damaged_body_is_not_sealed_away(site):
    """The file is left as it is, as evidence, and status says why."""
    await site.run(create("left"))
    (record,) = await site.run(put("left", "k", b"x" * KIB))
    await fill(site, 2)
    await site.run(confirm(1))
    damaged = JournalDamaged("the body is not what was written")
    with mock.patch.object(site.journal, "body", side_effect=damaged), pytest.raises(JournalDamaged):
        await site.tend()
    await site.tend()
    standing = site.upkeep.standing()[0]
    assert (standing.number, standing.state) == (1, "closed")
    assert standing.why.startswith("damaged")
    assert site.ask.pending(record.sequence) is not None


async def test_decision_18_damage_in_an_older_file_is_found_behind_and_kept(site):
    """The start checks the active file only; what is found later is said, and stays as evidence."""
    await site.run(create("left"))
    await fill(site, 3)
    await site.run(confirm(1))
    path = site.directory / "journal" / site.journal.files()[1].name
    await site.close()
    damaged = apsw.Connection(str(path))
    damaged.execute("UPDATE record SET payload = X'00' WHERE sequence = (SELECT min(sequence) FROM record)")
    damaged.close()
    await site.open(trusted=True)
    await site.upkeep.verify_older_files()
    try:
        await site.tend()
    except JournalError:
        pass
    standing = {file.number: file.why for file in site.upkeep.standing()}
    assert standing[2].startswith("damaged")
    assert path.exists()


async def test_older_files_that_are_sound_are_left_alone(site):
    """Nothing is held."""
    await site.run(create("left"))
    await fill(site, 3)
    await site.run(confirm(1))
    await site.upkeep.verify_older_files()
    await site.tend()
    assert states(site) == ["sealed", "active"]


async def test_decision_20_one_file_by_age_in_an_hour(tmp_path):
    """The clock is ten years ahead after a restart: a person has time to notice."""
    site = await Site(tmp_path, limits=replace(LIMITS, retain_files=0, retain_days=400)).open()
    await site.run(create("left"))
    await fill(site, 6)
    await site.run(confirm(1))
    await site.tend()
    count = len(site.journal.files())
    site.clock.seconds += 3650 * 86400
    assert await site.tend() == []  # it jumped under a running process: not believed at all
    await site.reopen()
    assert (await site.tend(50)).count("Drop") == 1
    assert len(site.journal.files()) == count - 1
    site.clock.steady += 3600
    site.clock.seconds += 3600
    assert (await site.tend(50)).count("Drop") == 1
    await site.check()
    await site.close()


async def test_a_nearly_full_disk_gives_up_recent_bodies(tmp_path):
    """They are kept for reads without the link, as long as there is room."""
    site = await Site(tmp_path, limits=replace(LIMITS, keep_unsealed_bytes=1 << 30, retain_files=0)).open()
    await site.run(create("left"))
    await fill(site, 3)
    await site.run(confirm(1))
    assert await site.tend() == []
    site.is_low = True
    assert set(await site.tend()) == {"Seal"}
    await site.check()
    await site.close()


CRASHES = ["seal", "record_base", "drop", "submit"]


class Crash(Exception):
    """The process ends here."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("where", CRASHES)
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_crash_around_any_step_loses_nothing(tmp_path, where, before, nth):
    """Before or after each durable step, whether the view is believed afterwards or not: all is there, and goes on."""
    site = await Site(tmp_path).open()
    await site.run(create("left"))
    for number in range(3):
        await site.run(put("left", f"waits-{number}", b"w%d" % number * KIB))
        await fill(site, 3, key=f"filler-{number}")
    await site.run(confirm(1))
    calls, real = 0, getattr(site.journal, where)

    async def dying(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == nth and before:
            raise Crash
        result = await real(*arguments, **named)
        if calls == nth:
            raise Crash
        return result

    with mock.patch.object(site.journal, where, dying):
        try:
            await site.tend()
        except Crash:
            pass
    await site.reopen(trusted=nth == 2)
    await site.check()
    await site.collect()
    await site.check()
    await site.tend()
    assert states(site) == ["sealed", "active"]
    await site.check()
    await site.close()


steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(1, 9000)),
    st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(1, 9000)),
    st.tuples(st.just("delete"), st.sampled_from("abc")),
    st.tuples(st.just("copy"), st.sampled_from("abc"), st.sampled_from("abc")),
    st.tuples(st.just("upload"), st.sampled_from("uv")),
    st.tuples(st.just("part"), st.sampled_from("uv"), st.integers(1, 2), st.integers(1, 9000)),
    st.tuples(st.just("complete"), st.sampled_from("uv")),
    st.tuples(st.just("abort"), st.sampled_from("uv")),
    st.tuples(st.just("confirm"), st.lists(st.integers(0, 30), min_size=1, max_size=12)),
    st.tuples(st.just("confirm all")),
    st.tuples(st.just("park"), st.integers(0, 30)),
    st.tuples(st.just("fill")),
    st.tuples(st.just("tend"), st.integers(1, 12)),
    st.tuples(st.just("collect")),
    st.tuples(st.just("reopen"), st.booleans()),
)


async def live(directory, story, local=frozenset()):
    """A site's life; the checks are in between, and at the end."""
    site = await Site(Path(directory), file_bytes_max=32 * KIB, local=local).open()
    uploads: dict[str, str] = {}
    try:
        await site.run(create("left"))
        for number, step in enumerate(story):
            try:
                await take(site, step, number, uploads)
            except (S3Error, JournalError):
                pass  # refused: an upload that is not open, for instance
            if step[0] in {"tend", "collect", "reopen"}:
                await site.check()
        await site.tend()
        await site.check()
    finally:
        await site.close()


async def take(site, step, number, uploads):
    head = site.journal.head.sequence
    match step:
        case ("put", key, size):
            await site.run(put("left", key, number.to_bytes(4, "big") * size))
        case ("delete", key):
            await site.run(delete("left", key))
        case ("copy", source, target):
            row = site.ask.object("left", source)
            if row is not None and row.present and site.rows.are_here(row.extents):
                await site.run(copy(site, ("left", source), ("left", target)))
        case ("upload", name):
            uploads[name] = f"{name}{number}"
            await site.run(create_upload("multi", uploads[name]))
        case ("part", name, part, size):
            await site.run(upload_part("multi", uploads.get(name, ""), part, number.to_bytes(4, "big") * size))
        case ("complete", name):
            part = site.ask.part(uploads.get(name, ""), 1)
            if part is not None:
                await site.run(complete("multi", uploads[name], 1, part.etag))
        case ("abort", name):
            await site.run(abort("multi", uploads.get(name, "")))
        case ("confirm", numbers):
            await site.run(confirm(*(max(1, head - one) for one in numbers), etag="remote"))
        case ("confirm all",):
            await site.run(confirm(*(row.sequence for row in site.ask.pending_after(0, 10_000)), etag="remote"))
        case ("park", one):
            await site.run(park(max(1, head - one)))
        case ("fill",):
            await fill(site, 1, key=f"filler{number}")
        case ("tend", count):
            for _ in range(count):
                site.clock.steady += 60
                await site.upkeep.step()
        case ("collect",):
            await site.collect()
        case ("reopen", trusted):
            await site.reopen(trusted=trusted)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=40))
def test_decision_6_whatever_happens_the_view_is_the_fold_and_nothing_is_lost(story):
    """Random commands, confirmations, upkeep and restarts: all that was acknowledged is here or at the remote."""
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(live(name, story))


TELLING = [
    # A story in which each mutant must be seen: superseded and unconfirmed, parts confirmed before and after they were
    # moved and before Complete, a copy.
    *[("put", "a", 200), ("put", "a", 201), ("upload", "u"), ("part", "u", 1, 100), ("put", "b", 200)],
    *[("confirm", [0, 1, 2]), ("copy", "b", "c"), ("delete", "b"), ("confirm", [0])],
    *[("upload", "v"), ("part", "v", 1, 100), ("fill",), ("fill",), ("fill",), ("tend", 12), ("reopen", False)],
    *[("confirm all",), ("tend", 12), ("complete", "u"), ("tend", 12), ("collect",), ("confirm all",), ("tend", 12)],
]


def test_the_telling_story_is_lived_by_the_real_thing(tmp_path):
    """Otherwise it would say nothing about the mutants."""
    asyncio.run(live(tmp_path, TELLING))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_a_mutant_is_seen(mutant, tmp_path):
    """Each way to lose a body turns the check red."""
    with ExitStack() as stack:
        for target, attribute, value in mutant.patches:
            stack.enter_context(mock.patch.object(target, attribute, value))
        with pytest.raises(AssertionError, match=r"gone|neither here|for ever|nobody"):
            asyncio.run(live(tmp_path, TELLING))
