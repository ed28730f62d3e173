"""The scan of pending records, while things happen around it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import msgspec
import pytest

from journal import JournalDamaged, Record
from journal.record import LOST
from s3d.commands.outcomes import ParkRecord
from s3d.policy.rules import Rule
from s3d.replicator.lanes import Lanes
from s3d.replicator.ready import ByPriority
from s3d.replicator.window import Priorities, Window

from .doubles import FakeRemote
from .replicating import Site


@pytest.fixture
async def quiet(tmp_path: Path, remote: FakeRemote) -> AsyncIterator[Site]:
    """A site whose replicator is not running."""
    site = Site(tmp_path, remote)
    await site.open(replicate=False)
    site.model["b"] = {}
    yield site
    await site.close()


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


@pytest.fixture
def window(quiet: Site, lanes: Lanes) -> Window:
    return Window(quiet.journal, quiet.questions, lanes, ThreadPoolExecutor(1), 10)


def taken(lanes: Lanes) -> list[int]:
    found = []
    while (sequence := lanes.take()) is not None:
        found.append(sequence)
    return found


async def test_pages_are_loaded_up_to_the_bound(quiet: Site, lanes: Lanes, window: Window) -> None:
    """However long the backlog, the window holds no more than it may."""
    for number in range(30):
        await quiet.put(f"k{number}", b"x")
    while await window.load():
        pass
    assert (len(lanes), window.is_full, window.is_done) == (10, True, False)
    for sequence in taken(lanes):
        window.finish(sequence)
    assert await window.load()
    assert taken(lanes) == [11, 12, 13, 14, 15]


async def test_what_was_written_just_now_is_not_read_from_the_disk(
    quiet: Site, lanes: Lanes, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the link keeps up, a thread and a question to the disk would cost more than sending."""
    sequences = [await quiet.put(f"k{number}", b"x") for number in range(4)]
    monkeypatch.setattr(quiet.journal, "pick", None)
    while await window.load():
        pass
    assert taken(lanes) == sequences


async def test_a_rewind_during_a_load_starts_it_over(quiet: Site, lanes: Lanes, window: Window) -> None:
    """What was read before is not admitted with what is known after: a record would be left behind the cursor."""
    parked = await quiet.put("k", b"1")
    behind = await quiet.put("k", b"2")
    await quiet.journal.submit(ParkRecord(parked, "AccessDenied", ""))
    while await window.load():
        pass
    assert (taken(lanes), lanes.blocking) == ([], True)
    other = await quiet.put("other", b"1")
    await quiet.resume(parked)
    quiet.journal.keep_recent(0)
    loading = asyncio.create_task(window.load())
    await asyncio.sleep(0)  # it has read its page, and now waits for the journal
    window.rewind()
    assert await loading, "call again"
    while await window.load():
        pass
    assert taken(lanes) == [parked, other]
    window.finish(parked)
    assert taken(lanes) == [behind]


async def test_what_waits_for_a_parked_record_is_not_even_read(
    quiet: Site, lanes: Lanes, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million records behind one parked key cost a scan of the view, not of the journal."""
    parked = await quiet.put("k", b"1")
    for number in range(20):
        await quiet.put("k", b"%d" % number)
    await quiet.journal.submit(ParkRecord(parked, "AccessDenied", ""))
    quiet.journal.keep_recent(0)
    assert await window.load(), "the first page is read before it is known what is blocked"
    monkeypatch.setattr(quiet.journal, "pick", None)
    while await window.load():
        pass
    assert window.is_done


async def test_a_record_that_the_disk_has_changed_is_told_of_and_the_others_go_on(
    quiet: Site, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what comes after it on the same key; nothing is sent of what cannot be believed."""
    sequences = [await quiet.put(key, b"x") for key in ("a", "damaged", "lost", "b", "damaged")]
    pick = quiet.journal.pick

    def pick_on_a_bad_disk(wanted: Sequence[int]) -> list[Record]:
        if sequences[1] in wanted:
            raise JournalDamaged(f"record {sequences[1]} does not follow the one before it", sequence=sequences[1])
        return pick([sequence for sequence in wanted if sequence != sequences[2]])

    monkeypatch.setattr(quiet.journal, "pick", pick_on_a_bad_disk)
    told: dict[int, str] = {}
    window = Window(quiet.journal, quiet.questions, lanes, ThreadPoolExecutor(1), 100, told.__setitem__)
    quiet.journal.keep_recent(0)
    while await window.load():
        pass
    assert taken(lanes) == [sequences[0], sequences[3]]
    assert list(told) == sequences[1:3]
    assert "does not follow" in told[sequences[1]]
    assert "not in the journal" in told[sequences[2]]


async def test_a_record_that_damage_took_is_told_of_and_stops_no_other(
    quiet: Site, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovered journal has the place of it, and the view may still know that it is pending."""
    sequences = [await quiet.put(f"k{number}", b"x") for number in range(3)]
    pick = quiet.journal.pick

    def pick_with_a_place(wanted: Sequence[int]) -> list[Record]:
        lost = {"kind": LOST, "payload": b'{"v":1,"first":1,"last":1,"hash":""}', "stream": ""}
        return [msgspec.structs.replace(one, **lost) if one.sequence == sequences[1] else one for one in pick(wanted)]

    monkeypatch.setattr(quiet.journal, "pick", pick_with_a_place)
    told: dict[int, str] = {}
    window = Window(quiet.journal, quiet.questions, lanes, ThreadPoolExecutor(1), 100, told.__setitem__)
    quiet.journal.keep_recent(0)
    while await window.load():
        pass
    assert (taken(lanes), list(told)) == ([sequences[0], sequences[2]], [sequences[1]])


async def test_what_the_scan_has_come_to_takes_no_room_from_what_is_newer(tmp_path: Path, remote: FakeRemote) -> None:
    """Records that overtook when they were the newest, and lie in the window by now, may wait there for long."""
    site = Site(tmp_path, remote, rules=[Rule(match="b/*", order="newest")])
    await site.open(replicate=False)
    site.model["b"] = {}
    priorities = Priorities(site.rules.urgency, site.rules.lowest_priority, lambda: 0)
    lanes, executor = Lanes(ready=ByPriority()), ThreadPoolExecutor(1)
    window = Window(site.journal, site.questions, lanes, executor, 20, priorities=priorities)
    site.journal.keep_recent(0)
    for number in range(2):  # as many as may be out of their order
        await site.put(f"in order {number}", b"x")
        may_read = Event()
        executor.submit(may_read.wait)
        loading = asyncio.create_task(window.load())
        await asyncio.sleep(0)  # it has read its page, and now waits for the journal
        early = await site.put(f"early {number}", b"x")
        may_read.set()
        await loading
        assert early in lanes
    later = [await site.put(f"later {number}", b"x") for number in range(30)]
    while await window.load():
        pass
    assert window.is_full
    assert taken(lanes)[:2] == [later[-1], later[-2]]
    executor.shutdown()
    await site.close()
