"""Conditions and ranges as tables and properties: pure, so every corner is cheap."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3d import ranges
from s3d.errors import S3Error
from s3d.preconditions import check_copy_source, check_read, check_write

MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)
MS = int(MODIFIED.timestamp()) * 1000 + 999  # dates have whole seconds
EARLIER, LATER = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({}, None),
        ({"if_match": '"e"'}, None),
        ({"if_match": "e"}, None),
        ({"if_match": "*"}, None),
        ({"if_match": '"x", "e"'}, None),
        ({"if_match": '"x"'}, "PreconditionFailed"),
        ({"if_match": '""'}, "PreconditionFailed"),
        ({"if_unmodified_since": MODIFIED}, None),
        ({"if_unmodified_since": EARLIER}, "PreconditionFailed"),
        ({"if_match": '"e"', "if_unmodified_since": EARLIER}, None),
        ({"if_match": '"x"', "if_unmodified_since": LATER}, "PreconditionFailed"),
        ({"if_none_match": '"e"'}, "NotModified"),
        ({"if_none_match": 'W/"e"'}, "NotModified"),
        ({"if_none_match": "*"}, "NotModified"),
        ({"if_none_match": '"x"'}, None),
        ({"if_modified_since": MODIFIED}, "NotModified"),
        ({"if_modified_since": EARLIER}, None),
        ({"if_none_match": '"x"', "if_modified_since": LATER}, None),
        ({"if_none_match": '"e"', "if_modified_since": EARLIER}, "NotModified"),
        ({"if_match": '"x"', "if_none_match": '"e"'}, "PreconditionFailed"),
    ],
)
def test_reads(given_, code):
    """RFC 9110, section 13.2.2, as GetObject documents it."""
    if code is None:
        check_read("e", MS, **given_)
        return
    with pytest.raises(S3Error) as error:
        check_read("e", MS, **given_)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("given_", "condition"),
    [
        ({}, None),
        ({"if_match": '"x"', "if_none_match": '"e"'}, "If-Match"),
        ({"if_unmodified_since": EARLIER, "if_none_match": '"e"'}, "If-Unmodified-Since"),
        ({"if_none_match": '"e"', "if_modified_since": MODIFIED}, "If-None-Match"),
        ({"if_modified_since": MODIFIED}, "If-Modified-Since"),
        ({"if_modified_since": NOW}, "If-Modified-Since"),
        ({"if_modified_since": LATER}, None),
        ({"if_modified_since": EARLIER}, None),
        ({"if_match": '"e"', "if_unmodified_since": EARLIER}, None),
        ({"if_none_match": '"x"', "if_unmodified_since": EARLIER}, "If-Unmodified-Since"),
        ({"if_none_match": '"x"', "if_modified_since": MODIFIED}, None),
    ],
)
def test_sources_of_copies(given_, condition):
    """Each condition that fails is a 412 that names it, in S3's order; a time that is still to come is none."""
    now_ms = int(NOW.timestamp() * 1000)
    if condition is None:
        check_copy_source("e", MS, now_ms, **given_)
        return
    with pytest.raises(S3Error) as error:
        check_copy_source("e", MS, now_ms, **given_)
    assert (error.value.code, error.value.details) == (
        "PreconditionFailed",
        {"Condition": f"x-amz-copy-source-{condition}"},
    )


@pytest.mark.parametrize(
    ("current", "if_match", "if_none_match", "code"),
    [
        (None, None, "*", None),
        ("e", None, "*", "PreconditionFailed"),
        (None, None, '"e"', "NotImplemented"),
        ("e", None, '"x"', "NotImplemented"),
        ("e", '"e"', None, None),
        ("e", "*", None, None),
        ("e", '"x"', None, "PreconditionFailed"),
        (None, '"e"', None, "NoSuchKey"),
        (None, "*", None, "NoSuchKey"),
        ("e", '"e"', "*", "PreconditionFailed"),
        (None, '"e"', "*", "NoSuchKey"),
    ],
)
def test_writes(current, if_match, if_none_match, code):
    """`Conditional writes` in the S3 User Guide."""
    if code is None:
        check_write(current, if_match=if_match, if_none_match=if_none_match)
        return
    with pytest.raises(S3Error) as error:
        check_write(current, if_match=if_match, if_none_match=if_none_match)
    assert error.value.code == code


@given(st.integers(0, 20), st.integers(0, 25), st.one_of(st.none(), st.integers(0, 25)))
def test_ranges_are_slices(size, first, last):
    """`bytes=a-b` is [a:b+1], or nothing to be had, or not a range at all."""
    text = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert ranges.resolve(text, size) is None
    elif first >= size:
        with pytest.raises(S3Error, match="not satisfiable"):
            ranges.resolve(text, size)
    else:
        start, length = ranges.resolve(text, size)
        whole = list(range(size))
        assert whole[start : start + length] == whole[first : None if last is None else last + 1]


@pytest.mark.parametrize("largest", [2**63 - 1, 2**64 - 1, 2**128 - 1, "9" * 5000, "0" * 30 + "9"])
def test_numbers_that_are_larger_than_any_size_mean_the_end(largest):
    """Clients say so with the largest number they know: they get the rest, not the whole with another status."""
    assert ranges.resolve(f"bytes=3-{largest}", 8) == (3, 5)
    assert ranges.resolve(f"bytes=-{largest}", 8) == (0, 8)
    with pytest.raises(S3Error, match="not satisfiable"):
        ranges.resolve(f"bytes={largest}-", 8)


@given(st.integers(0, 20), st.integers(0, 25))
def test_suffixes_are_slices(size, length):
    """`bytes=-n` is the last n bytes."""
    if size == 0 or length == 0:
        with pytest.raises(S3Error, match="not satisfiable"):
            ranges.resolve(f"bytes=-{length}", size)
    else:
        start, taken = ranges.resolve(f"bytes=-{length}", size)
        assert list(range(size))[start : start + taken] == list(range(size))[-length:]


LONG = "9" * 5000  # Python refuses to read integers of more than 4,300 digits; a client does not get to see that
ranges_or_not = st.one_of(st.text(max_size=30), st.from_regex(r"bytes=\d*-\d*", fullmatch=True))


@given(ranges_or_not)
@example(f"bytes={LONG}-")
@example(f"bytes=-{LONG}")
@example(f"bytes=0-{LONG}")
@example("bytes=\u0661-\u0662")
def test_any_text_is_a_range_or_is_none(text):
    """Nothing but InvalidRange comes out, and never more than there is."""
    code, found = "InvalidRange", None
    try:
        found = ranges.resolve(text, 10)
    except S3Error as error:
        code = error.code
    assert code == "InvalidRange"
    assert found is None or (0 <= found[0] < 10 and 0 < found[1] <= 10 - found[0])
