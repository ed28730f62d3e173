"""Textual filters: what they match, what they refuse, and how they say it."""

import contextlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.policy.filter_language import FILTER_CHARACTERS_MAX, FilterError, parse_filter
from s3d.policy.filters import Pattern


@dataclass
class Object:
    bucket: str = "photos"
    key: str = "raw/a.jpg"
    tags: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


VIDEO = Object(
    key="2026/clip.mp4",
    tags={"class": "alert", "k": ""},
    headers={"content-type": "video/mp4", "content-length": "2000000"},
    metadata={"camera": "7", "note": "it's"},
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("photos", True),
        ("photo", False),
        ("photos*", True),
        ("*", True),
        ("ph*s", True),
        ("photos/", True),
        ("photos/2026/*", True),
        ("photos/2025/*", False),
        ("photos/*.mp4", True),
        ("photos/*/*", True),
        ("photos/2026/clip.mp4", True),
        ("photos/2026/clip.mp", False),
        ("photos/2026/clip.mp4*", True),
        ("photos[tag:class]", True),
        ("photos[tag:Class]", False),
        ("photos[tag:k]", True),
        ("photos[tag:other]", False),
        ("photos[tag:class=alert]", True),
        ("photos[tag:class=al*]", True),
        ("photos[tag:class=bulk]", False),
        ("photos[tag:class!=bulk]", True),
        ("photos[tag:class!=alert]", False),
        ("photos[tag:other!=x]", True),
        ("photos[tag:class=alert][tag:k=x]", False),
        ("photos[tag:class=alert]/2026/*[hdr:Content-Type='video/*']", True),
        ("photos/2026/*[hdr:content-type='image/*']", False),
        ("photos/*[hdr:content-length<100]", False),
        ("photos/*[hdr:content-length>=2000000]", True),
        ("photos/*[hdr:content-length<=1999999]", False),
        ("photos/*[hdr:content-length>1999999]", True),
        ("photos/*[hdr:content-type<5]", False),
        ("photos/*[md:Camera=7]", True),
        ("photos/*[md:note='it''s']", True),
        ("photos/*[md:note=it*]", True),
        (r"photos/2026/clip\.mp4", True),
        (r"photos/2026/\*", False),
    ],
)
def test_what_a_filter_matches(text, matches):
    """The object is a video of 2 MB by camera 7 with the tag class=alert."""
    assert parse_filter(text).matches(VIDEO) is matches


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("", "at its end", "a bucket's name"),
        ("/key", "at column 1", "a bucket's name"),
        ("[tag:a]", "at column 1", "a bucket's name"),
        ("b[", "at its end", "tag:, hdr: or md:"),
        ("b[tag]", "at column 6", "a colon"),
        ("b[tag:]", "at column 7", "a name"),
        ("b[what:x]", "at column 3", "tag:, hdr: or md:"),
        ("b[tag:x", "at its end", "]"),
        ("b[tag:x=]", "at column 9", "a value"),
        ("b[tag:x='y]", "at column 9", "a value"),
        ("b]", "at column 2", ""),
        ("b/k[tag:x]more", "at column 11", "["),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, where, hint):
    """The column, and what could stand there."""
    with pytest.raises(FilterError) as refused:
        parse_filter(text)
    assert where in refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize("value", ["many", "1.5", "-1", "١٢"])
def test_only_numbers_are_compared(value):
    """An order of words would surprise whoever wrote it."""
    with pytest.raises(FilterError, match="no number"):
        parse_filter(f"b/*[hdr:content-length<{value}]")


def test_a_filter_has_a_length():
    """It is read at every start and shown in every error."""
    with pytest.raises(FilterError, match="at most"):
        parse_filter("b/" + "x" * FILTER_CHARACTERS_MAX)


def escaped(text):
    return "".join(f"\\{one}" if one in "\\*[]/" else one for one in text)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=60))
def test_every_name_can_be_written(bucket, key):
    """With backslashes before what has a meaning, a filter matches this name and no longer one."""
    found = parse_filter(f"{escaped(bucket)}/{escaped(key)}")
    assert found.matches_name(bucket, key)
    assert not found.matches_name(bucket, key + "x")
    assert (found.bucket.literal, found.key.literal) == (bucket, key)


@given(st.text(max_size=40).map(lambda text: text.replace("'", "''")))
def test_every_value_can_be_quoted(value):
    """Except that a star in it stands for anything."""
    plain = value.replace("''", "'")
    found = parse_filter(f"b[md:k='{value}']")
    assert found.matches(Object(bucket="b", metadata={"k": plain}))


@given(st.text(max_size=80))
def test_any_text_is_a_filter_or_an_error(text):
    """Never a traceback."""
    with contextlib.suppress(FilterError):
        assert parse_filter(text).text == text


def slowly(pattern, text):
    """The definition: a star is any run."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slowly(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and slowly(pattern[1:], text[1:])


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_stars_mean_what_they_are_defined_to(pattern, text):
    """The quick way and the definition agree."""
    assert Pattern(tuple(pattern.split("*"))).matches(text) is slowly(pattern, text)


def test_no_pattern_takes_long():
    """A regular expression made of this one would not be done with this key today."""
    pattern = Pattern(tuple(("a*" * 500 + "b").split("*")))
    assert not pattern.matches("a" * 1024)
