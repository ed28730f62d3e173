"""The parts of an audit's reports: periods, durations, records that are open, and the page."""

from html.parser import HTMLParser

import pytest
from audit_records import Records
from hypothesis import given
from hypothesis import strategies as st

from journal import FileInfo
from s3d.audit.completeness import report
from s3d.audit.durations import Durations
from s3d.audit.fates import DAY_MS
from s3d.audit.open_records import PAGE_RECORDS, OpenRecord, OpenRecords
from s3d.audit.page import page
from s3d.audit.period import parse_moment, parse_period
from s3d.audit.trail import start_of
from s3d.errors import S3dError
from s3d.events import DISCARDED, PARKED, PAUSED, Discarded, Parked, ReplicationPaused
from s3d.telemetry.report import iso_time


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-W47", "2026-11-16", "2026-11-23"),
        ("2026-W53", "2026-12-28", "2027-01-04"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2028-02-29", "2028-02-29", "2028-03-01"),
        ("2026", "2026-01-01", "2027-01-01"),
    ],
)
def test_a_period_begins_and_ends_at_midnight_utc(text, since, until):
    """Weeks are those of ISO 8601, from Monday to Sunday."""
    period = parse_period(text)
    assert iso_time(period.since_ms / 1000) == f"{since}T00:00:00.000Z"
    assert iso_time(period.until_ms / 1000) == f"{until}T00:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "2026-W54", "2026-13", "2026-02-30", "W47", "2026-w47", "9999", "0000", "20261", "٢٠٢٦"]
)
def test_what_is_no_period_is_refused(text):
    """With the forms that are."""
    with pytest.raises(S3dError, match="2026-W47"):
        parse_period(text)


def test_a_moment_without_a_zone_is_utc():
    """A date is its midnight."""
    assert parse_moment("2026-11-16") == parse_moment("2026-11-16T01:00+01:00") == parse_period("2026-W47").since_ms
    for text in ("now", "2026-11", "2026-11-16T8:00", "2026-W47", "9999-12-31T23:00-23:00:00"):
        with pytest.raises(S3dError):
            parse_moment(text)


def test_reading_begins_at_the_first_file_that_may_have_something_of_the_period():
    """A day earlier, for clocks that were set back; what was never written does not count as old."""
    files = [
        FileInfo(3, "a", "sealed", 11, 20, 0, 0, 1 * DAY_MS),
        FileInfo(4, "b", "sealed", 21, 30, 0, 0, 2 * DAY_MS),
        FileInfo(5, "c", "closed", 31, 40, 0, 0, 5 * DAY_MS),
        FileInfo(6, "d", "active", 41, 40, 0, 0, 0),
    ]
    assert start_of(files, 0) == 10
    assert start_of(files, 3 * DAY_MS) == 20
    assert start_of(files, 3 * DAY_MS + 1) == 30
    assert start_of(files, 9 * DAY_MS) == 40


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([0.5, 0.99, 1.0]))
def test_a_quantile_is_right_to_within_one_percent(values, share):
    """Never less than it is, and never more than the worst."""
    durations = Durations()
    for value in values:
        durations.add(value)
    exact = sorted(values)[max(0, -(-len(values) * int(share * 100) // 100) - 1)]
    assert exact <= durations.quantile(share) <= min(max(values), exact * 1.01)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * PAGE_RECORDS))))
def test_open_records_are_what_was_added_and_not_taken(steps):
    """Like a dictionary, in order, and empty pages are given up."""
    kept, model = OpenRecords(), {}
    for adds, sequence in steps:
        one = OpenRecord(sequence * 7, sequence * 3, sequence % 5)
        if adds and sequence not in model:
            kept.add(sequence, one)
            model[sequence] = one
        elif not adds:
            assert kept.take(sequence) == model.pop(sequence, None)
    assert [(sequence, kept.get(sequence)) for sequence in kept] == sorted(model.items())
    assert len(kept) == len(model)
    assert len(kept._pages) == len({sequence // PAGE_RECORDS for sequence in model})


class Tags(HTMLParser):
    """Which elements and attributes a page has, and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def test_the_page_has_no_script_and_shows_what_clients_and_remotes_said_as_text():
    """A key that is HTML stays a key, and nothing on the page asks for anything elsewhere."""
    week = parse_period("2026-W47")
    trail, evil = Records(week.since_ms), "<script>alert(1)</script>\"'&<img src=http://x/>"
    parked = trail.write(f"b/{evil}", caller=evil)
    trail.tell(PARKED, Parked(sequence=parked, code="Denied", message=evil))
    text = page(report(trail, week, "", None, week.until_ms))
    read = Tags()
    read.feed(text)
    assert read.text.count(evil) == 4, "as identity of the counts, and as key, identity and reason of what is parked"
    assert not read.tags & {"script", "img", "link", "iframe", "a"}
    assert read.attributes <= {"lang", "charset", "http-equiv", "content", "class"}
    assert "No daemon was asked" in read.text
    assert "1 write is parked" in read.text


def test_the_page_says_where_it_is_from_and_who_decided_something():
    """One line for each decision of the period, with what is certain of who it was, and what was said."""
    week = parse_period("2026-W47")
    trail = Records(week.since_ms - 1)
    trail.tell(PAUSED, ReplicationPaused(caller="admin", reason="before the period"))
    trail.at_ms = week.since_ms
    one, two = trail.write("b/1"), trail.write("b/2")
    trail.tell(DISCARDED, Discarded(sequences=(one, two), caller="operator:alice", claimed="bob@edge"))
    found = report(trail, week, "", None, week.since_ms + 1, told_by="w47.jsonl, signed")
    assert [(each.event, each.who, each.claimed, each.about) for each in found.decided] == [
        ("dropped", "operator:alice", "bob@edge", "2 records, 1-2 first")
    ]
    assert found.dropped[0].by == "operator:alice (bob@edge)"
    read = Tags()
    read.feed(page(found))
    for said in ("w47.jsonl, signed", "operator:alice", "bob@edge", "Not complete so far:", "was not over as of"):
        assert said in read.text, said
    assert "before the period" not in read.text
