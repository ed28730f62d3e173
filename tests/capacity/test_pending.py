"""The cap on what may be pending: never passed, and once reached not opened again by every record that leaves."""

from hypothesis import given
from hypothesis import strategies as st

from s3d.capacity.pending import OPEN, Backlog, Cap, judge, opens_at

sizes = st.integers(0, 60)
steps = st.lists(st.tuples(st.booleans(), sizes), max_size=200)


@given(st.integers(1, 200), st.none() | st.integers(1, 20), steps)
def test_the_cap_is_never_passed_and_opens_only_below_its_mark(bytes_max: int, records_max: int | None, steps) -> None:
    """Whatever arrives and leaves; what was closed stays closed until enough has gone, and then it opens."""
    cap, held, verdict = Cap(bytes_max, records_max), [], OPEN
    for arrives, size in steps:
        if not arrives:
            held[:1] = []
            continue
        before, verdict = verdict, judge(cap, Backlog(len(held), sum(held)), size, verdict)
        fits = sum(held) + size <= bytes_max and (records_max is None or len(held) < records_max)
        if before.bytes_closed and sum(held) > opens_at(bytes_max):
            assert verdict.refused == "pending-bytes"
        if before == OPEN:
            assert (verdict.refused is None) == fits
        if verdict.refused is None:
            held.append(size)
        assert sum(held) <= bytes_max
        assert records_max is None or len(held) <= records_max


def test_a_body_that_does_not_fit_is_refused_alone() -> None:
    """Far from the limit, a large one must not shut out the small ones."""
    verdict = judge(Cap(100), Backlog(1, 50), 51, OPEN)
    assert (verdict.refused, verdict.bytes_closed) == ("pending-bytes", False)
    assert judge(Cap(100), Backlog(1, 50), 1, verdict) == OPEN


def test_a_cap_that_was_reached_opens_at_its_mark_and_not_before() -> None:
    """At 100 of 100 it closes; at 95 it is still closed, at 94 it is open for all that fits."""
    closed = judge(Cap(100), Backlog(1, 100), 1, OPEN)
    assert closed.bytes_closed
    assert judge(Cap(100), Backlog(1, 95), 1, closed).refused == "pending-bytes"
    assert opens_at(100) == 94
    assert judge(Cap(100), Backlog(1, 94), 1, closed).refused is None


@given(st.floats(0.01, 1), st.integers(0, 10**15))
def test_a_share_of_a_cap_is_never_more_than_the_cap(share: float, limit: int) -> None:
    """And a share of 1 is all of it."""
    assert Cap(limit, limit).at(share).bytes_max <= limit
    assert Cap(limit, limit).at(1.0) == Cap(limit, limit)
