"""What a report of completeness says of records: nothing that is missing at the remote is called complete."""

from collections import Counter

import pytest
from audit_records import HOUR_MS, Records
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import JournalDamaged
from journal.record import LOST, Lost
from s3d.audit.completeness import report
from s3d.audit.period import parse_period
from s3d.audit.report import Completeness
from s3d.events import (
    CARRIED,
    CONFIRMED,
    CONFLICTED,
    DISCARDED,
    GAPS_LOOKED,
    PARKED,
    RESUMED,
    SHARED,
    SUPERSEDED,
    Carried,
    Confirmation,
    Confirmed,
    Conflicted,
    Discarded,
    GapsLooked,
    Parked,
    Resumed,
    Shared,
    Superseded,
)
from s3d.telemetry.report import GapReport

WEEK = parse_period("2026-W47")
NOW_MS = WEEK.until_ms + 10 * HOUR_MS


@pytest.fixture
def trail():
    return Records(WEEK.since_ms)


def told(trail: Records, bucket: str = "", gaps: tuple[GapReport, ...] | None = ()) -> Completeness:
    return report(trail, WEEK, bucket, gaps, NOW_MS)


def confirm(trail: Records, *sequences: int, bundle: str = "", remote: str = "") -> int:
    confirmations = tuple(map(Confirmation, sequences))
    return trail.tell(CONFIRMED, Confirmed(confirmations=confirmations, bundle=bundle, remote=remote))


def test_all_that_is_confirmed_is_complete_and_counted_by_operation_and_identity(trail):
    """Bytes of bodies once, times from record to confirmation, and writes of other times or buckets not at all."""
    trail.at_ms = WEEK.since_ms - 1
    before = trail.write("b/before")
    trail.at_ms = WEEK.since_ms
    first = trail.write("b/k", caller="A", size=10)
    other = trail.write("c/k", caller="B", size=10)
    trail.at_ms += 5000
    confirm(trail, before, first)
    confirm(trail, other, bundle="disk")
    again = trail.write("b/k2", caller="A", size=20)
    whole = trail.write("b/k3", kind="CompleteMultipartUpload", caller="A", size=99)
    trail.at_ms += 100_000
    confirm(trail, again, whole, remote="city")
    trail.at_ms = WEEK.until_ms
    trail.write("b/after")

    found = told(trail)
    assert (found.verdict, found.why, found.is_over) == ("complete", (), True)
    assert [(one.operation, one.identity, one.records, one.bytes, one.confirmed) for one in found.counted] == [
        ("CompleteMultipartUpload", "A", 1, 0, 1),
        ("PutObject", "A", 2, 30, 2),
        ("PutObject", "B", 1, 10, 1),
    ]
    assert (found.total.records, found.total.confirmed_bytes, found.by_bundle) == (4, 40, 1)
    assert found.by_remote == {"city": 2, "default": 2}
    assert (found.first, found.last) == ("1-2", "1-7")
    assert found.delays.count == 4
    assert found.delays.median == pytest.approx(5, rel=0.01)
    assert found.delays.worst == 100
    assert (found.read_first, found.read_last) == ("1-1", "1-9")
    assert told(trail, "c").total.records == 1


def test_what_waits_is_named_with_the_reason(trail):
    """Pending, parked with the remote's words, and what is not sent because a later one is: until that is confirmed."""
    trail.write("b/pending", caller="A")
    parked = trail.write("b/parked", size=7)
    resumed = trail.write("b/resumed")
    early, late = trail.write("b/k"), trail.write("b/k")
    trail.tell(PARKED, Parked(sequence=parked, code="AccessDenied", message="no"))
    trail.tell(PARKED, Parked(sequence=resumed, code="AccessDenied", message="no"))
    trail.tell(RESUMED, Resumed(sequences=(resumed,)))
    trail.tell(SUPERSEDED, Superseded(sequences=(early,), by=late))

    found = told(trail)
    assert found.verdict == "parked"
    assert (found.total.parked, found.total.pending) == (1, 4)
    (one,) = found.parked
    assert (one.seq, one.key, one.bytes, one.why) == ("1-2", "parked", 7, "AccessDenied no")
    assert [(one.key, one.why) for one in found.pending] == [
        ("pending", ""),
        ("resumed", ""),
        ("k", "1-5 is to go in its place"),
        ("k", ""),
    ]

    confirm(trail, 1, resumed, late, parked)
    found = told(trail)
    assert (found.verdict, found.total.confirmed, found.total.superseded) == ("complete", 4, 1)
    assert found.parked == found.pending == ()


def test_a_superseded_write_is_open_again_when_the_later_one_is_given_up(trail):
    """Dropping B sends A after all."""
    first, second, third = (trail.write("b/k") for _ in range(3))
    trail.tell(SUPERSEDED, Superseded(sequences=(first,), by=second))
    trail.tell(SUPERSEDED, Superseded(sequences=(second,), by=third))
    trail.tell(DISCARDED, Discarded(sequences=(third,), caller="admin"))
    found = told(trail)
    assert (found.verdict, found.total.dropped, found.total.pending) == ("lacking", 1, 2)
    assert [(one.seq, one.by) for one in found.dropped] == [("1-3", "admin")]
    assert [one.why for one in found.pending] == ["1-2 is to go in its place", ""]
    confirm(trail, second)
    found = told(trail)
    assert (found.verdict, found.total.confirmed, found.total.superseded) == ("lacking", 1, 1)
    assert found.why == ("1 write is given up by a person",)


def test_a_chain_of_superseded_writes_is_settled_by_its_last_link(trail):
    """A by B and B by C: all three have ended when C is confirmed."""
    first, second, third = (trail.write("b/k") for _ in range(3))
    trail.tell(SUPERSEDED, Superseded(sequences=(first,), by=second))
    trail.tell(SUPERSEDED, Superseded(sequences=(second,), by=third))
    confirm(trail, third)
    found = told(trail)
    assert (found.verdict, found.total.confirmed, found.total.superseded) == ("complete", 1, 2)


def test_a_later_write_outside_of_the_period_settles_those_inside(trail):
    """Superseded on Sunday by a write of Monday: complete when that one is confirmed, and not before."""
    early = trail.write("b/k")
    trail.at_ms = WEEK.until_ms + 1
    late = trail.write("b/k")
    trail.tell(SUPERSEDED, Superseded(sequences=(early,), by=late))
    assert told(trail).verdict == "pending"
    confirm(trail, late)
    found = told(trail)
    assert (found.verdict, found.total.records, found.total.superseded) == ("complete", 1, 1)


def test_what_gave_way_or_went_elsewhere_is_lacking_and_says_where(trail):
    """A sibling's and a new key's records are writes of their own."""
    gave, held, moved = trail.write("b/gave"), trail.write("b/held"), trail.write("b/moved")
    trail.tell(CONFLICTED, Conflicted(sequence=gave, decided="keep-both", sibling="gave (conflict)"))
    trail.tell(CONFLICTED, Conflicted(sequence=held, decided="local"))
    elsewhere = trail.write("b/elsewhere", rekeyed=moved)
    trail.tell(DISCARDED, Discarded(sequences=(moved,), caller="admin"))
    confirm(trail, held, elsewhere)
    found = told(trail)
    assert found.verdict == "lacking"
    assert found.conflicts == {"keep-both": 1, "local": 1}
    assert [(one.key, one.why) for one in found.gave_way] == [("gave", "ours is at gave (conflict)")]
    assert [(one.key, one.why) for one in found.dropped] == [("moved", "its object went out under another key, as 1-6")]


def test_a_known_gap_or_an_open_look_is_lacking(trail):
    """Confirmed once is not there now. Without a daemon the journal's last look has to do."""
    confirm(trail, trail.write("b/k"), trail.write("c/k"))
    gap = GapReport(
        bucket="b",
        key="k",
        seq="1-1",
        kind="missing",
        claimed_bytes=1,
        claimed_etag="",
        confirmed="",
        bytes=0,
        etag="",
        seen="",
    )
    assert told(trail, gaps=(gap,)).verdict == "lacking"
    assert told(trail, bucket="c", gaps=(gap,)).verdict == "complete"
    trail.tell(GAPS_LOOKED, GapsLooked(began_ms=WEEK.since_ms, keys=5, gaps=3, mended=2))
    found = told(trail, gaps=None)
    assert found.verdict == "lacking"
    assert [(one.keys, one.gaps, one.mended) for one in found.looks] == [(5, 3, 2)]
    mend = trail.write("b/k", kind="CopyObject", caller="gap-audit")
    trail.tell(GAPS_LOOKED, GapsLooked(began_ms=WEEK.since_ms, keys=5, gaps=0))
    confirm(trail, mend)
    found = told(trail, gaps=None)
    assert (found.verdict, found.sent_again, found.healed, found.looks_count) == ("complete", 1, 1, 2)


def test_what_the_journal_has_forgotten_is_unknown_but_what_it_carried_over_is_not(trail):
    """Dropped records had ended; a pending one was carried over, and is named from there."""
    trail.write("b/gone")
    carried = trail.write("b/carried", caller="A")
    trail.tell(CARRIED, Carried(records=(trail.written[carried - 1],)))
    trail.kept_from = 3
    found = told(trail)
    assert found.verdict == "unknown"
    assert found.why[0].startswith("records up to 1-2 are not retained")
    assert [(one.seq, one.key, one.identity) for one in found.pending] == [("1-2", "carried", "A")]

    later = report(trail, parse_period("2026-W48"), "", (), NOW_MS)
    assert (later.verdict, later.total.records) == ("complete", 0), "what was dropped was written before it"


def test_what_a_restored_backup_lacks_is_unknown(trail):
    """Between the backup's last record and the first one after there were others."""
    confirm(trail, trail.write("b/k"))
    trail.at_ms += HOUR_MS
    trail.tell(SHARED, Shared(buckets=("b",)))
    found = told(trail)
    assert found.verdict == "unknown"
    assert found.restored[0].after == "2026-11-16T00:00:00.000Z"
    assert report(trail, parse_period("2026-W48"), "", (), NOW_MS).verdict == "complete"


def test_a_loss_in_the_period_leaves_it_unknown_and_one_before_or_behind_it_does_not(trail):
    """A lost record was written between the one before it and the one behind it; what it was nobody knows."""
    lost = Lost(1, 2, 2, "")
    trail.at_ms = WEEK.since_ms - 2
    trail.write("b/before")
    trail.tell(LOST, lost)
    trail.at_ms = WEEK.since_ms - 1
    trail.write("b/before")
    trail.at_ms = WEEK.since_ms
    confirm(trail, trail.write("b/k"))
    assert told(trail).verdict == "complete"
    trail.tell(LOST, lost)
    trail.at_ms = WEEK.until_ms
    trail.write("b/after")
    found = told(trail)
    assert (found.verdict, found.why[0]) == (
        "unknown",
        "damage took a record of the journal that may be of this period",
    )
    trail.tell(LOST, lost)
    assert told(trail).why == found.why, "that one is of later"


def test_a_clock_that_was_wrong_for_a_while_is_told(trail):
    """Writes in between that carry another time are not counted, and not kept quiet about."""
    first = trail.write("b/k")
    trail.at_ms = 0
    wrong = trail.write("b/k")
    trail.at_ms = WEEK.since_ms + 1
    confirm(trail, first, wrong, trail.write("b/k"))
    found = told(trail)
    assert (found.total.records, found.strays) == (2, 1)


def test_a_record_that_was_changed_is_found(trail):
    """The chain is followed on the way: a report is not made of what somebody has edited."""
    from msgspec.structs import replace

    confirm(trail, trail.write("b/k"), trail.write("b/k"))
    trail.written[1] = replace(trail.written[1], payload=trail.written[1].payload.replace(b"1", b"2"))
    with pytest.raises(JournalDamaged):
        told(trail)
    del trail.written[1]
    with pytest.raises(JournalDamaged):
        told(trail)


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "confirm", "park", "resume", "drop", "supersede", "give way"]), st.integers(0, 9)
    )
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_every_write_is_counted_once_whatever_happens(given_steps):
    """Against a dictionary of states: each write is in exactly one of them, and only settled ones are complete."""
    trail, states = Records(WEEK.since_ms), {}
    for what, number in given_steps:
        sequences = sorted(states)
        one = sequences[number % len(sequences)] if sequences else 0
        if what == "write":
            states[trail.write(f"b/{number}")] = "pending"
        elif not one:
            continue
        elif what == "confirm":
            confirm(trail, one)
            if states[one] in {"pending", "parked"} or isinstance(states[one], int):
                states[one] = "confirmed"
                settle(states, one)
        elif what == "park" and states[one] == "pending":
            trail.tell(PARKED, Parked(sequence=one))
            states[one] = "parked"
        elif what == "resume" and states[one] == "parked":
            trail.tell(RESUMED, Resumed(sequences=(one,)))
            states[one] = "pending"
        elif what == "drop" and states[one] == "parked":
            trail.tell(DISCARDED, Discarded(sequences=(one,)))
            states |= {sequence: "pending" for sequence, state in states.items() if state == one}
            states[one] = "dropped"
        elif what == "supersede" and states[one] == "pending" and states[sequences[-1]] == "pending" != one:
            if one != sequences[-1]:
                trail.tell(SUPERSEDED, Superseded(sequences=(one,), by=sequences[-1]))
                states[one] = sequences[-1]
        elif what == "give way" and states[one] == "pending" and one not in states.values():
            trail.tell(CONFLICTED, Conflicted(sequence=one, decided="remote"))
            states[one] = "gave_way"
    total = told(trail).total
    wanted = Counter("pending" if isinstance(state, int) else state for state in states.values())
    names = ("confirmed", "superseded", "pending", "parked", "dropped", "gave_way")
    assert {name: getattr(total, name) for name in names} == {name: wanted[name] for name in names}
    assert total.records == len(states)
    settled = set(wanted) <= {"confirmed", "superseded"}
    assert (told(trail).verdict == "complete") is settled


def settle(states, by):
    for sequence, state in list(states.items()):
        if state == by:
            states[sequence] = "superseded"
            settle(states, sequence)


def test_what_stays_local_is_counted_apart(trail):
    """Nobody will ever confirm it, and it speaks against nothing; nor is it called arrived."""
    trail.write("scratch/k", size=7, stays_local=True)
    trail.write("scratch/k", kind="DeleteObject", size=0, stays_local=True)
    found = told(trail)
    assert (found.verdict, found.total.records, found.local, found.local_bytes) == ("complete", 0, 2, 7)
    confirm(trail, trail.write("b/k", size=3))
    found = told(trail)
    assert (found.verdict, found.total.records, found.total.confirmed, found.local) == ("complete", 1, 1, 2)
    assert told(trail, bucket="scratch").local == 2
    assert told(trail, bucket="b").local == 0
