"""Hours in which replication may send, by the clock on the wall, also in the nights when the clocks change."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.config import load
from s3d.errors import ConfigurationError
from s3d.policy.windows import DAYS, Window, WindowError, Windows

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window(start="22:00", end="06:00", days=("fri",))
LUNCH = Window(start="12:00", end="13:30")


def stamp(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def test_a_window_belongs_to_the_day_on_which_it_begins():
    """A night that begins on Friday ends on Saturday; its end is not in it."""
    windows = Windows([NIGHT], BERLIN)
    assert windows.at(stamp("2026-11-20T21:59:59")) is None  # a Friday
    assert windows.at(stamp("2026-11-20T22:00:00")) is NIGHT
    assert windows.at(stamp("2026-11-21T05:59:59")) is NIGHT
    assert windows.at(stamp("2026-11-21T06:00:00")) is None
    assert windows.at(stamp("2026-11-21T22:00:00")) is None


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-20", 8)])
def test_it_keeps_its_hours_when_the_clocks_change(night, hours):
    """From 22:00 to 06:00 on the wall: an hour shorter in spring, an hour longer in autumn."""
    windows = Windows([Window(start="22:00", end="06:00")], BERLIN)
    begins = stamp(f"{night}T22:00:00")
    assert windows.changes_at(begins - 1) == begins
    assert windows.changes_at(begins) - begins == hours * 3600


def test_an_hour_that_is_left_out_or_repeated():
    """02:15 to 02:45 does not occur in the night of spring, and occurs twice in that of autumn."""
    windows = Windows([Window(start="02:15", end="02:45")], BERLIN)
    spring = stamp("2026-03-29T00:00:00")
    assert windows.changes_at(spring) == stamp("2026-03-30T02:15:00")
    autumn, seen = stamp("2026-10-25T00:00:00"), []
    while autumn < stamp("2026-10-25T12:00:00"):
        autumn = windows.changes_at(autumn)
        seen.append(autumn)
    assert seen[:4] == [stamp(f"2026-10-25T{hour}", fold) for fold in (0, 1) for hour in ("02:15:00", "02:45:00")]


times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
windows_of = st.builds(
    lambda start, end, days: Window(start=start, end=end, days=tuple(days)),
    times,
    times,
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
).filter(lambda one: one.start != one.end)


@given(st.lists(windows_of, min_size=1, max_size=3), st.integers(0, 400 * 24 * 60), st.integers(0, 3 * 24 * 60))
def test_nothing_changes_before_it_is_said_to(given_windows, minutes, later):
    """At every minute of a year, changes of the clocks included: until the time that was told all stays as it is."""
    windows = Windows(given_windows, BERLIN)
    now = stamp("2026-01-01T00:00:00") + minutes * 60
    changes = windows.changes_at(now)
    then = now + later * 60
    if then < changes:
        assert windows.at(then) is windows.at(now)
    if changes != float("inf"):
        assert windows.at(changes) is not windows.at(now)
        assert changes - now <= timedelta(days=9).total_seconds()


def test_the_first_window_that_is_open_counts():
    """Where two overlap."""
    first, second = Window(start="10:00", end="14:00"), LUNCH
    assert Windows([first, second], BERLIN).at(stamp("2026-11-20T12:30:00")) is first
    assert Windows([second, first], BERLIN).at(stamp("2026-11-20T12:30:00")) is second


def test_a_whole_day_has_no_end():
    """24:00 is the end of a day; the window never closes."""
    windows = Windows([Window(start="00:00", end="24:00")], BERLIN)
    assert windows.at(stamp("2026-11-20T23:59:59")) is not None
    assert windows.changes_at(stamp("2026-11-20T12:00:00")) == float("inf")


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("22:00", "22:00", "end"),
        ("00:00", "00:00", "end"),
        ("24:00", "06:00", "start"),
        ("6:00", "07:00", "start"),
        ("06:60", "07:00", "start"),
        ("06:00", "noon", "end"),
    ],
)
def test_times_that_cannot_be(start, end, field):
    """Refused, with the setting that is wrong."""
    with pytest.raises(WindowError) as caught:
        Windows([Window(start=start, end=end)])
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('start = "22:00"\nend = "22:00"', "window 1: end: a window from 22:00 to 22:00 is empty", "whole day"),
        (
            'start = "22:00"\nend = "06:00"\ndays = ["monday"]',
            "window 1: invalid enum value 'monday'",
            "choose one of mon, tue",
        ),
        ('start = "22:00"\nend = "06:00"\nrate = 5', "window 1: unknown setting rate", "has start, end"),
        ('start = "22:00"', "window 1: object missing required field `end`", "for instance"),
    ],
)
def test_a_window_that_cannot_be_stops_the_start(tmp_path, text, says, hint):
    """With the file, the number of the window, and what to do."""
    path = tmp_path / "s3d.toml"
    path.write_text(f"[[window]]\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        load({}, {"HOME": "/h"}, str(path))
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert hint in caught.value.hint
