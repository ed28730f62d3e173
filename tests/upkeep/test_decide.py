"""Decisions 6, 7 and 20 as a table: what becomes of a file, and why."""

from dataclasses import replace

import pytest

from journal import FileInfo
from s3d.upkeep.decide import (
    BASE_RECORDS,
    DAY_MS,
    Carry,
    Drop,
    Keep,
    Limits,
    MakeBase,
    Moment,
    Relocate,
    Seal,
    asks_for,
    clock_is_verified,
    decide,
    next_action,
)
from s3d.view.needs import FileNeeds

NOW_MS = 1_800_000_000_000
MOMENT = Moment(NOW_MS, disk_is_low=False, may_drop_by_age=True)
LIMITS = Limits(keep_unsealed_bytes=0, retain_files=0, retain_bytes=0, retain_days=0, has_remote=True)
NOTHING = FileNeeds()


def file(number, state="closed", size_bytes=1000, age_ms=0):
    """Each file has a hundred records."""
    last = number * 100
    return FileInfo(number, f"{number}", state, last - 99, last, size_bytes, NOW_MS - age_ms, NOW_MS - age_ms)


def files(*states, **how):
    """One file for each state, numbered from 1, and an active one behind them."""
    older = [file(number, state, **how) for number, state in enumerate(states, 1)]
    return [*older, file(len(states) + 1, "active")]


def actions(found, needs=None, base=0, limits=LIMITS, moment=MOMENT, held=None):
    known = {one.number: NOTHING for one in found} if needs is None else needs
    return decide(found, known, base, limits, moment, held or {})


def kinds(*arguments, **named):
    return [type(one) for one in actions(*arguments, **named)]


def test_the_active_file_is_left_alone():
    """Whatever the limits say."""
    assert kinds(files()) == [Keep]


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (FileNeeds(), Seal),
        (FileNeeds(bodies=1, body_bytes=100, records=1), Relocate),
        (FileNeeds(bodies=1, body_bytes=101, records=1), Keep),
        (FileNeeds(bodies=9, body_bytes=900, staying_bytes=800), Relocate),  # what stays local has nothing to wait for
        (FileNeeds(bodies=9, body_bytes=901, staying_bytes=800), Keep),
        (FileNeeds(records=100), Seal),  # deletes that wait have no bodies
        (None, Keep),
    ],
)
def test_decision_7_a_closed_file_loses_its_bodies_once_little_is_needed(needs, expected):
    """A tenth of the file may be moved; more stays; what is not known yet is left alone."""
    assert kinds(files("closed"), {} if needs is None else {1: needs})[0] is expected


def test_decision_7_a_file_that_holds_up_newer_ones_is_emptied_however_much_is_needed():
    """An upload that nobody goes on with pinned everything behind it, for as long as nobody ended it."""
    much = {1: FileNeeds(bodies=1, body_bytes=900), 2: NOTHING, 3: NOTHING, 4: FileNeeds(bodies=9, body_bytes=900)}
    limits = replace(LIMITS, retain_files=1)
    found = files("closed", "sealed", "sealed", "closed")
    assert kinds(found, much, limits=limits) == [Relocate, Keep, Keep, Keep, Keep]
    assert kinds(found, much, limits=replace(LIMITS, retain_files=2))[0] is Keep  # those behind it are retained anyway


def test_a_link_that_is_gone_for_longer_than_files_are_retained_moves_nothing():
    """Nothing behind such a file waits to be dropped."""
    all_pending = {number: FileNeeds(bodies=9, body_bytes=900, records=100) for number in (1, 2)}
    found = files("closed", "closed", age_ms=9 * DAY_MS)
    assert kinds(found, all_pending, limits=replace(LIMITS, retain_days=7)) == [Keep, Keep, Keep]


def test_recent_bodies_stay_for_reads_without_the_link():
    """So much of the newest files as the setting says, the active one included."""
    limits = replace(LIMITS, keep_unsealed_bytes=2000)
    assert kinds(files("closed", "closed", "closed"), limits=limits) == [Seal, Seal, Keep, Keep]
    assert asks_for(files("closed", "closed", "closed"), limits, MOMENT) == [1, 2]


def test_a_disk_that_is_nearly_full_takes_recent_bodies_too():
    """Reads without the link are a comfort, acknowledgements are not."""
    limits = replace(LIMITS, keep_unsealed_bytes=10**9)
    low = replace(MOMENT, disk_is_low=True)
    assert kinds(files("closed"), limits=limits, moment=low)[0] is Seal


def test_without_a_remote_nothing_is_sealed():
    """The bodies are nowhere else, confirmed long ago or not."""
    limits = replace(LIMITS, has_remote=False)
    assert kinds(files("closed"), limits=limits)[0] is Keep
    assert asks_for(files("closed"), limits, MOMENT) == []


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, retain_files=1),
        replace(LIMITS, retain_bytes=1000),
        replace(LIMITS, retain_days=1),
    ],
)
def test_decision_6_files_beyond_what_is_retained_go_oldest_first_and_under_a_base(limits):
    """By number, size or age, whichever comes first."""
    found = [file(1, "sealed", age_ms=3 * DAY_MS), file(2, "sealed"), file(3, "active")]
    assert kinds(found, limits=limits, base=99) == [MakeBase, Keep, Keep]
    assert kinds(found, limits=limits, base=100) == [Drop, Keep, Keep]


def test_nothing_is_dropped_without_a_limit():
    """0 is no limit."""
    assert kinds(files("sealed", "sealed", age_ms=9999 * DAY_MS), base=200) == [Keep, Keep, Keep]


def test_decision_6_a_file_never_goes_before_an_older_one():
    """An older one that is closed, or that holds records which wait, holds the newer ones."""
    limits = replace(LIMITS, retain_bytes=1)
    waiting = {1: FileNeeds(bodies=9, body_bytes=900, records=9)}
    assert kinds(files("closed", "sealed"), waiting, base=200, limits=limits) == [Relocate, Keep, Keep]
    many = {1: FileNeeds(records=11), 2: NOTHING}
    found = actions(files("sealed", "sealed"), many, base=200, limits=limits)
    assert [type(one) for one in found] == [Keep, Keep, Keep]
    assert "wait for the remote" in found[0].reason
    assert "1 is still kept" in found[1].reason


def test_decision_7_a_few_records_that_wait_are_carried_out_first():
    """A key that waits for a person pins no file."""
    limits = replace(LIMITS, retain_bytes=1)
    assert kinds(files("sealed"), {1: FileNeeds(records=10)}, limits=limits, base=100)[0] is Carry


def test_decision_20_age_counts_only_by_a_clock_that_can_be_believed():
    """Ten years ahead: the other limits still hold, age does not."""
    doubtful = replace(MOMENT, may_drop_by_age=False)
    old = files("sealed", "sealed", age_ms=3650 * DAY_MS)
    assert kinds(old, limits=replace(LIMITS, retain_days=1), base=200, moment=doubtful) == [Keep, Keep, Keep]
    assert kinds(old, limits=replace(LIMITS, retain_files=1), base=200, moment=doubtful) == [Drop, Keep, Keep]
    assert actions(old, limits=replace(LIMITS, retain_days=1), base=200)[0] == Drop(
        1, "1 days of sealed files are retained", by_age=True
    )


@pytest.mark.parametrize(
    ("now_ms", "wall_ms", "steady_ms", "verified"),
    [
        (NOW_MS, 1000, 1000, True),
        (NOW_MS - 1, 1000, 1000, False),  # before the last record
        (NOW_MS + 3650 * DAY_MS, 3650 * DAY_MS, 1000, False),  # it jumped while this process ran
        (NOW_MS, -7_200_000, 1000, False),
    ],
)
def test_decision_20_a_clock_is_verified(now_ms, wall_ms, steady_ms, verified):
    """Against the records' own times, and against the steady clock since the start."""
    assert clock_is_verified(now_ms, NOW_MS, wall_ms, steady_ms) is verified


def test_a_base_is_made_for_its_own_sake():
    """So that a rebuild after a power cut is bounded; not on a disk that is nearly full."""
    active = FileInfo(1, "1", "active", 1, BASE_RECORDS, 1000, 0, NOW_MS)
    assert kinds([active]) == [Keep, MakeBase]
    assert kinds([active], base=1) == [Keep]
    assert kinds([active], moment=replace(MOMENT, disk_is_low=True)) == [Keep]


def test_a_file_that_is_held_is_left_alone():
    """A damaged one, for instance: its bytes are evidence."""
    assert kinds(files("closed"), held={1: "damaged"})[0] is Keep
    limits = replace(LIMITS, retain_bytes=1)
    assert kinds(files("sealed"), held={1: "damaged"}, limits=limits, base=100)[0] is Keep


def test_what_frees_space_comes_first():
    """Drop, then the base that bounds a rebuild, then seal; of equals the oldest."""
    todo = [MakeBase(0, ""), Relocate(3, ""), Keep(9, ""), Seal(5, ""), Seal(4, ""), Carry(2, ""), Drop(1, "")]
    order = []
    while (action := next_action(todo)) is not None:
        order.append(action)
        todo.remove(action)
    assert [type(one) for one in order] == [Drop, MakeBase, Seal, Seal, Carry, Relocate]
    assert order[2].number == 4


def test_a_disk_without_room_for_a_base_keeps_nothing_else_from_being_done():
    """Sealing goes on, and may make room; the file that waits for the base says why."""
    moment = replace(MOMENT, may_make_base=False)
    found = actions(files("sealed", "closed"), limits=replace(LIMITS, retain_bytes=1), moment=moment)
    assert [type(one) for one in found] == [Keep, Seal, Keep]
    assert "no room for a base" in found[0].reason
    active = FileInfo(1, "1", "active", 1, BASE_RECORDS, 1000, 0, NOW_MS)
    assert kinds([active], moment=moment) == [Keep]
