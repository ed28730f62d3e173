"""S3's dates from milliseconds, against the standard library's."""

from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from s3d.dates import iso_date

LAST_MS = 253_402_300_799_999  # of the year 9999


@given(st.integers(-62_135_596_800_000, LAST_MS))
@example(0)
@example(-1)
@example(951_782_399_999)  # the last millisecond before 29 February 2000
@example(LAST_MS)
def test_a_document_s_date_is_iso_8601_in_whole_seconds(at_ms):
    """Whatever the day; part of a second is dropped, as in the headers."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    assert iso_date(at_ms) == moment.strftime("%Y-%m-%dT%H:%M:%S.000Z").rjust(24, "0")
