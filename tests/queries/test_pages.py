"""Pages of a listing against S3's rules in a few lines of Python, over a source in memory."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.operations.listings import decode_token, encode_token
from s3d.queries.listing import ListRequest, Run, Start, first_start, make_page
from s3d.values import behind_prefix
from s3d.view.rows import ListedObject

ALPHABET = "\0a/b-\ud7ff\ue000\U0001f600\U0010ffff"
words = st.text(st.sampled_from(ALPHABET), max_size=5)
keys_of = st.sets(st.text(st.sampled_from(ALPHABET), min_size=1, max_size=6), max_size=25)
delimiters = st.sampled_from(["", "/", "//", "a/", "/-a", "\0", "\ud7ff", "\U0010ffff", "\U0010ffff\U0010ffff"])


class Memory:
    """A source that gives as few entries as it may, and remembers where it was asked."""

    fewest = 2

    def __init__(self, keys, prefix, run_length):
        self.keys = [key for key in sorted(keys) if key.startswith(prefix)]
        self.run_length = run_length
        self.asked = []
        self.read = 0

    async def run(self, start, limit):
        self.asked.append(start)
        left = [key for key in self.keys if key > start.key or (start.inclusive and key == start.key)]
        given_ = left[: min(limit, self.run_length)]
        self.read += len(given_)
        objects = [ListedObject(key, 0, "", 0) for key in given_]
        return Run(objects, Start(given_[-1], inclusive=False) if len(left) > len(given_) else None)


def wanted(keys, prefix, delimiter, after):
    entries = {}
    for key in sorted(keys):
        if key.startswith(prefix) and key > after:
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            rolled = key[: at + len(delimiter)] if at >= 0 else None
            if rolled is None or not after.startswith(rolled):
                entries[rolled or key] = rolled is not None
    return list(entries.items())


@given(keys_of, words, delimiters, words, st.integers(1, 4), st.integers(1, 5))
@example({"\U0010ffffa"}, "", "\U0010ffff", "\U0010ffff", 1, 1)
async def test_all_pages_together_are_the_listing(keys, prefix, delimiter, after, size, run_length):
    """Each entry once, in order, none too many on a page, whatever pieces the source gives."""
    found, start = [], Start(after, inclusive=False)
    for _ in range(len(keys) + 2):
        source = Memory(keys, prefix, run_length)
        page = await make_page(source, ListRequest("b", prefix, delimiter, start, size))
        entries = [(one.key, False) for one in page.objects] + [(one, True) for one in page.prefixes]
        assert len(entries) <= size
        assert page.last == (max(entries)[0] if entries else "")
        found += sorted(entries)
        if page.next is None:
            break
        start = decode_token(encode_token(page.next))
    assert page.next is None
    assert found == wanted(keys, prefix, delimiter, after)


@given(keys_of, words, delimiters, st.integers(1, 4))
async def test_pages_linked_by_their_last_entry_are_the_listing_too(keys, prefix, delimiter, size):
    """ListObjects' NextMarker is the last key or prefix, nothing more."""
    found, marker = [], ""
    for _ in range(len(keys) + 2):
        request = ListRequest("b", prefix, delimiter, Start(marker, inclusive=False), size)
        page = await make_page(Memory(keys, prefix, 3), request)
        found += sorted([one.key for one in page.objects] + page.prefixes)
        if page.next is None:
            break
        marker = page.last
    assert found == [entry for entry, _ in wanted(keys, prefix, delimiter, "")]


async def test_a_rolled_up_prefix_is_skipped_and_not_read():
    """A million keys under one prefix cost one look."""
    source = Memory({f"a/{number}" for number in range(1000)} | {"b"}, "", 10_000)
    page = await make_page(source, ListRequest("b", "", "/", Start("", inclusive=False), 10))
    assert (page.prefixes, [one.key for one in page.objects], len(source.asked)) == (["a/"], ["b"], 2)


@pytest.mark.parametrize("keys_each", [1, 2, 3, 7, 30, 200])
async def test_a_page_of_prefixes_costs_what_is_on_it(keys_each):
    """Neither a look for each prefix where they have few keys, nor a read of all keys where they have many."""
    keys = {f"{prefix:03}/{number:03}" for prefix in range(300) for number in range(keys_each)}
    source = Memory(keys, "", 10_000)
    page = await make_page(source, ListRequest("b", "", "/", Start("", inclusive=False), 200))
    assert (len(page.prefixes), page.prefixes[-1]) == (200, "199/")
    cost = source.read + 12 * len(source.asked)  # a look costs as much as a dozen keys
    assert cost < 200 * min(5 * keys_each, 25) + 400


async def test_a_long_page_lets_others_have_their_turn():
    """Its thousand looks would stop the event loop for ten milliseconds."""
    source = Memory({f"{prefix:03}/{number:03}" for prefix in range(400) for number in range(100)}, "", 10_000)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    await make_page(source, ListRequest("b", "", "/", Start("", inclusive=False), 400))
    running.cancel()
    assert turns >= 3


async def test_a_page_of_nothing_reads_nothing():
    """max-keys=0."""
    source = Memory({"a"}, "", 10)
    page = await make_page(source, ListRequest("b", "", "", Start("", inclusive=False), 0))
    assert (page.objects, page.next, source.asked) == ([], None, [])


@given(words, words)
def test_behind_a_prefix_is_the_first_string_without_it(prefix, text):
    """Everything with the prefix is below it; everything else above the prefix is not."""
    behind = behind_prefix(prefix)
    if behind is not None:
        assert not behind.startswith(prefix)
        assert behind.encode()  # a real string: no surrogate
        assert (prefix + text) < behind
        if text > prefix and not text.startswith(prefix):
            assert text >= behind
    else:
        assert set(prefix) <= {"\U0010ffff"}


@pytest.mark.parametrize(
    ("prefix", "behind"),
    [("a", "b"), ("a/", "a0"), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000"), ("\U0010ffff", None), ("", None)],
)
def test_behind_at_the_edges_of_unicode(prefix, behind):
    """Surrogates are no characters, and behind the last one there is nothing."""
    assert behind_prefix(prefix) == behind


@pytest.mark.parametrize(
    ("start", "prefix", "first"),
    [
        (Start("", inclusive=False), "p", Start("p", inclusive=True)),
        (Start("z", inclusive=False), "p", Start("z", inclusive=False)),
        (Start("p/a/", inclusive=False), "p/", Start("p/a0", inclusive=True)),
        (Start("p/a/b", inclusive=False), "p/", Start("p/a0", inclusive=True)),
        (Start("p/a/b", inclusive=True), "p/", Start("p/a/b", inclusive=True)),
        (Start("p/a", inclusive=False), "p/", Start("p/a", inclusive=False)),
        (Start("\U0010ffff", inclusive=False), "", Start("\U0010ffff", inclusive=False)),
    ],
)
def test_where_a_page_begins(start, prefix, first):
    """Not before the prefix, and behind a common prefix that was given already."""
    assert first_start(ListRequest("b", prefix, "/", start, 1)) == first


@given(words, st.booleans())
def test_tokens_are_opaque_and_exact(key, inclusive):
    """A token is its own inverse, fit for a URL."""
    token = encode_token(Start(key, inclusive=inclusive))
    assert decode_token(token) == Start(key, inclusive=inclusive)
    assert token.isascii()


@pytest.mark.parametrize("token", ["", "x", "MT0", "!!!!", "Mj1h", "ä", "MT3/", "MT7_"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(S3Error) as error:
        decode_token(token)
    assert error.value.code == "InvalidArgument"


def test_order_is_that_of_utf8():
    """Python compares code points, which is the order of UTF-8's bytes (and not of UTF-16's)."""
    characters = sorted(ALPHABET)
    assert all(a.encode() < b.encode() for a, b in pairwise(characters))
