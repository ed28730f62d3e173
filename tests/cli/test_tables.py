"""Tables on a terminal that is too narrow for them: short values stay whole, long ones lose nothing."""

import pytest

from s3d.cli.tables import column_widths, stacked

PENDING = ("SEQ", "OPERATION", "KEY", "SIZE", "AGE", "STATE")
EVENTS = ("SEQ", "AT", "EVENT", "OPERATION", "OBJECT", "SIZE", "SAYS")
KEY = "photos/" + "long-name-" * 12 + "001.jpg"
EVENT = ("1-52", "2026-11-23T23:54:06.875Z", "acknowledged", "PutObject", KEY, "39.1 KiB", "4e0a293a5b638f0a" * 2)


def test_what_fits_is_as_wide_as_it_is():
    """No column is given a width of its own."""
    rows = [("1-1", "PutObject", "photos/a", "1 B", "3 s", "pending")]
    assert column_widths(PENDING, rows, 80) == [None] * 6


def test_only_long_values_are_folded():
    """A number, a name of an operation, an age: never in two lines; the key gets what is left."""
    rows = [("1-30", "PutObject", KEY, "39.1 KiB", "2 h 5 min", "pending")]
    assert column_widths(PENDING, rows, 80) == [4, 9, None, 8, 9, 7]


@pytest.mark.parametrize(
    ("columns", "row"), [(EVENTS, EVENT), (("PutObject",) * 12, ("1,234,567",) * 12)], ids=["long", "many"]
)
def test_what_does_not_fit_side_by_side_is_told_row_by_row(columns, row):
    """Rather than broken into syllables."""
    assert column_widths(columns, [row], 80) is None


def test_a_row_in_lines_says_what_is_what_and_leaves_nothing_out():
    """No value is broken; one that is longer than any line stands alone, as it is; an empty one is left out."""
    row = (*EVENT[:3], "", *EVENT[4:])
    lines = list(stacked(EVENTS, [row], 80))
    assert lines == [
        "1-52  at 2026-11-23T23:54:06.875Z  event acknowledged",
        f"      object {KEY}",
        f"      size 39.1 KiB  says {EVENT[6]}",
    ]
    assert all(len(line) <= 80 for line in lines if KEY not in line)


def test_wide_characters_count_as_wide():
    """A terminal shows a Chinese character in two columns."""
    assert column_widths(("KEY", "SIZE"), [("日本" * 12, "1 B")], 40) == [None, 4]
    assert column_widths(("KEY", "SIZE"), [("ab" * 12, "1 B")], 40) == [None, None]
