"""What is said of the time to come: from rates that are measured, and nothing where nothing can be said."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.capacity.forecast import Flow, Measured, Rate, Sample, foresee, measure
from s3d.capacity.pending import Backlog, Cap
from s3d.operations.foreseeing import Foreseeing

CAP, FREE = Cap(10_000), 10**9


class Clock:
    at = 0.0

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


def watched(seconds: int, arriving: int, leaving: int, *, at_first: int = 0, sends: bool = True) -> Measured:
    """What was measured every five seconds; rates in records of 10 bytes a second."""
    measured = None
    for at in range(0, seconds + 1, 5):
        added, gone = Backlog(arriving * at, arriving * at * 10), Backlog(leaving * at, leaving * at * 10)
        records = at_first + added.records - gone.records
        measured = measure(measured, Sample(float(at), Flow(added, gone), Backlog(records, records * 10), sends))
    assert measured is not None
    return measured


def test_a_site_without_a_link_fills_at_the_rate_of_its_writes() -> None:
    """500 records are there, 500 more have room, two come each second: in 250 s less what has passed."""
    told = foresee(watched(60, 2, 0, sends=False), CAP, FREE)
    assert (told.fills, told.drains) == ("filling", "stopped")
    assert told.full_seconds == pytest.approx((10_000 - 60 * 20) / 20)
    assert told.silence_seconds == pytest.approx(told.full_seconds)
    assert told.room_bytes == 10_000 - 60 * 20


def test_a_backlog_that_is_sent_faster_than_it_grows_drains() -> None:
    """Ten leave and four arrive: six less in a second. It is not filling; a silence would fill it with four."""
    told = foresee(watched(60, 4, 10, at_first=900), CAP, FREE)
    assert (told.fills, told.full_seconds, told.drains) == ("not-filling", None, "draining")
    assert told.drained_seconds == pytest.approx((900 - 60 * 6) / 6)
    assert told.leaving_bytes_per_second == pytest.approx(100)
    assert told.silence_seconds == pytest.approx(told.room_bytes / 40)


def test_a_link_that_is_too_slow_is_said_to_be() -> None:
    """Three leave and four arrive: it fills, and it does not drain."""
    told = foresee(watched(60, 4, 3, at_first=100), CAP, FREE)
    assert (told.fills, told.drains) == ("filling", "not-shrinking")
    assert told.full_seconds == pytest.approx(told.room_bytes / 10)


def test_nothing_is_said_before_it_was_measured() -> None:
    """Not in the first seconds, and not of a link that has only just come back."""
    assert foresee(None, CAP, FREE).fills == "unknown"
    assert foresee(watched(10, 2, 0, at_first=5, sends=False), CAP, FREE).fills == "unknown"
    before = watched(60, 2, 0, sends=False)
    back = measure(before, Sample(65.0, before.last.flow, before.last.backlog, sends=True))
    told = foresee(back, CAP, FREE)
    assert (told.fills, told.drains, told.leaving_bytes_per_second) == ("unknown", "unknown", None)


def test_a_site_that_keeps_up_is_not_filling_and_one_at_rest_neither() -> None:
    """What arrives is sent at once; or nothing arrives, and then no silence is too long."""
    told = foresee(watched(60, 5, 5), CAP, FREE)
    assert (told.fills, told.drains, told.drained_seconds) == ("not-filling", "empty", 0.0)
    told = foresee(watched(60, 0, 0, at_first=5, sends=False), CAP, FREE)
    assert (told.fills, told.silence_seconds) == ("not-filling", None)


def test_what_is_reached_first_counts() -> None:
    """The cap on bytes, the one on records, or a volume that others have filled."""
    measured = watched(60, 2, 0, sends=False)
    assert foresee(measured, Cap(10_000, 200), FREE).full_seconds == pytest.approx((200 - 120) / 2)
    assert foresee(measured, CAP, 100).full_seconds == pytest.approx(100 / 20)
    assert foresee(measured, CAP, 0).fills == foresee(measured, Cap(10_000, 120), FREE).fills == "full"


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 10**6), st.floats(0.1, 600)), min_size=1, max_size=50))
def test_a_mean_lies_between_the_least_and_the_greatest(steps: list[tuple[int, int, float]]) -> None:
    """From the first measurement on: a young mean is not pulled towards zero."""
    rate = Rate()
    for records, size_bytes, seconds in steps:
        rate = rate.after(records, size_bytes, seconds)
    each = [size_bytes / seconds for _, size_bytes, seconds in steps]
    assert min(each) * 0.999 <= rate.mean()[1] <= max(each) * 1.001


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 5000), st.booleans(), st.integers(0, 20_000))
def test_a_time_is_given_exactly_where_the_state_says_so(
    arriving: int, leaving: int, at_first: int, sends: bool, free: int
) -> None:
    """And it is never negative."""
    told = foresee(watched(30, arriving, min(leaving, at_first // 30), at_first=at_first, sends=sends), CAP, free)
    assert (told.full_seconds is not None) == (told.fills in {"full", "filling"})
    assert (told.drained_seconds is not None) == (told.drains in {"empty", "draining"})
    assert all(one is None or one >= 0 for one in (told.full_seconds, told.drained_seconds, told.silence_seconds))


async def test_a_rebuilt_view_is_no_arrival() -> None:
    """While nobody knows what is pending nothing is measured, and it begins anew afterwards."""
    found: list[tuple[Backlog, Flow] | None] = [(Backlog(5, 50), Flow())]
    clock = Clock()
    foreseeing = Foreseeing(clock, CAP, lambda: found[0], lambda: False, lambda _: FREE)  # type: ignore[arg-type]
    running = asyncio.ensure_future(foreseeing.run_for_ever())
    while clock.at < 60:
        await asyncio.sleep(0)
    assert foreseeing.forecast(0).fills == "not-filling"
    found[0] = None
    at = clock.at
    while clock.at < at + 20:
        await asyncio.sleep(0)
    found[0] = (Backlog(900, 9000), Flow(Backlog(900, 9000)))
    while foreseeing.forecast(0).fills == "unknown":
        await asyncio.sleep(0)
    running.cancel()
    assert foreseeing.forecast(0).fills == "not-filling"


def test_the_room_is_that_of_now() -> None:
    """What `s3d status` says of the room fits what it says beside it of what is pending, between two samples too."""
    clock, found = Clock(), [(Backlog(), Flow())]
    foreseeing = Foreseeing(clock, CAP, lambda: found[0], lambda: False, lambda _: FREE)  # type: ignore[arg-type]
    foreseeing.sample()
    empty = foreseeing.forecast(0).room_bytes
    clock.at += 0.5
    found[0] = Backlog(1, 700), Flow(Backlog(1, 700))
    assert foreseeing.forecast(0).room_bytes == empty - 700
