"""Listings of buckets that others write to, against a dictionary: online, without the link, and changing meanwhile.

The remote gives short pages. What is listed online is remembered; the model remembers it too, key by key, and knows
what an offline listing has to say, and where it has to say that it cannot know.
"""

import itertools
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from edge_state import Edge, confirm, delete, park, put
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3d.auth.caller import Caller
from s3d.commands.outcomes import DiscardRecords
from s3d.errors import S3Error
from s3d.operations.calls import Call
from s3d.operations.listings import Listings
from s3d.queries.asking import Asking
from s3d.queries.merging import Memory
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.view.facts import BucketFact

UNIVERSE = ["".join(key) for size in (1, 2, 3) for key in itertools.product("a/\U0010ffff", repeat=size)] + ["b"]
# Every border that a stretch can have: where all of these are known, nothing between them is not.
PROBES = sorted({*UNIVERSE, *(f"{key}\0" for key in UNIVERSE), "\0", "0", "a0", "aa0", "b", "c"})
NUMBERS = itertools.count()
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
keys = st.sampled_from(UNIVERSE)
prefixes = st.sampled_from(["", "", "", "a", "a", "a/", "/", "\U0010ffff", "aa/", "b"])
delimiters = st.sampled_from(["", "", "", "/", "a", "\U0010ffff"])
sizes = st.integers(1, 5)
theirs = st.sets(keys, max_size=20)
steps = st.one_of(
    st.tuples(st.sampled_from(["their put", "their delete", "put", "delete", "give up"]), keys),
    st.tuples(st.just("confirm"), st.just("")),
    st.tuples(st.sampled_from(["list", "first page"]), prefixes),
)


class ShortPages:
    """A remote that may be away."""

    def __init__(self) -> None:
        self.is_up = True
        self.keys: dict[str, str] = {}
        self.page_keys = 3
        self.asked = 0
        self.told: dict[str, str | None] = {}  # of every probe that an answer covered, what it said

    def reaches(self, bucket: str) -> bool:
        return self.is_up

    async def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        assert operation == "ListObjectsV2"
        self.asked += 1
        if not self.is_up:
            raise RemoteFailure(FailureKind.UNREACHABLE)
        prefix, after = parameters["Prefix"], parameters.get("StartAfter", "")
        found = [key for key in sorted(self.keys) if key.startswith(prefix) and key > after]
        page = found[: min(self.page_keys, parameters["MaxKeys"])]
        last = page[-1] if len(found) > len(page) else "\U0010ffff" * 4
        covered = [one for one in PROBES if one.startswith(prefix) and after < one <= last]
        self.told |= {one: self.keys.get(one) for one in covered}
        contents = [{"Key": key, "Size": 1, "ETag": f'"{self.keys[key]}"', "LastModified": MOMENT} for key in page]
        return {"Contents": contents, "IsTruncated": len(found) > len(page)}


class Site:
    """An edge, its remote, and the model of both."""

    def __init__(self, edge: Edge, there: Collection[str] = ()) -> None:
        self.edge = edge
        self.remote = ShortPages()
        self.remote.keys = dict.fromkeys(there, "before")
        self.asking = Asking(self.remote, edge.ask, self._submit, self)
        self.bucket = f"bucket-{next(NUMBERS)}"
        edge.run(BucketFact(self.bucket, present=True, seen_ms=edge.now_ms))
        self.local: dict[str, str | None] = {}  # pending
        self.sequences: dict[str, int] = {}
        self.memory = Memory(rows_max=10_000)

    def now(self) -> float:
        return (self.edge.now_ms + 0.5) / 1000

    async def _submit(self, command: Any, *, essential: bool = False) -> Any:
        return self.edge.do(command)

    async def step(self, act: str, about: str) -> None:
        self.edge.now_ms += 1
        match act:
            case "their put":
                self.remote.keys[about] = f"theirs {next(NUMBERS)}"
            case "their delete":
                self.remote.keys.pop(about, None)
            case "put":
                done = self.edge.do(put(self.bucket, about, b"%d" % next(NUMBERS)))
                self._written(about, self.edge.ask.object(self.bucket, about).etag, done)
            case "delete":
                self._written(about, None, self.edge.do(delete(self.bucket, about)))
            case "give up" if about in self.local:
                self.edge.do(park(self.sequences[about]))
                self.edge.do(DiscardRecords((self.sequences[about],), "a person"))
                del self.local[about]
                self.remote.told.pop(about, None)
            case "confirm":
                self._confirm()
            case "list":
                await self.listing(about, "", 2)
            case "first page":
                await anext(self.pages(about, "", 2))

    def _written(self, key: str, etag: str | None, done: Any) -> None:
        self.local[key], self.sequences[key] = etag, done.records[0].sequence

    def _confirm(self) -> None:
        for key, etag in self.local.items():
            self.edge.do(confirm(self.sequences[key], etag=etag or ""))
            if etag is None:
                self.remote.keys.pop(key, None)
            else:
                self.remote.keys[key] = etag
            if key in self.remote.told:
                self.remote.told[key] = etag
        self.local.clear()

    def now_online(self) -> dict[str, str | None]:
        return {key: self.local.get(key, self.remote.keys.get(key)) for key in UNIVERSE} | self.local

    def now_offline(self, prefix: str) -> dict[str, str | None] | None:
        """None: nobody knows, because something in between was not listed, or was forgotten."""
        asked = [one for one in PROBES if one.startswith(prefix)]
        if not all(one in self.remote.told for one in asked):
            return None
        return {one: self.local[one] if one in self.local else self.remote.told[one] for one in asked}

    async def pages(self, prefix: str, delimiter: str, size: int) -> AsyncIterator[tuple[list[Any], Any]]:
        given_ = {"Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
        listings = Listings(self.edge.ask, self.asking, lambda _bucket, _prefix: self.memory)
        for _ in range(2 * len(UNIVERSE) + 500):
            reply = await listings.list_objects_v2(
                Call("-", Caller("AKID", "127.0.0.1"), self.bucket, "", given_, None, "REQUEST", self.edge.now_ms)
            )
            output = reply.output
            entries = [(one.key, one.etag) for one in output["Contents"].lines]
            entries += [(one["Prefix"], "") for one in output["CommonPrefixes"]]
            assert len(entries) == output["KeyCount"] <= size
            yield sorted(entries), reply
            if not output["IsTruncated"]:
                return
            given_["ContinuationToken"] = output["NextContinuationToken"]
        raise AssertionError("the listing does not come to its end")

    async def listing(self, prefix: str, delimiter: str, size: int) -> tuple[list[tuple[str, str]], list[Any]]:
        entries: list[tuple[str, str]] = []
        replies = []
        async for page, reply in self.pages(prefix, delimiter, size):
            entries += page
            replies.append(reply)
        return entries, replies

    async def listing_or_nothing(self, prefix: str, delimiter: str, size: int) -> list[tuple[str, str]] | None:
        """None: the 503."""
        try:
            return (await self.listing(prefix, delimiter, size))[0]
        except S3Error as error:
            if error.code != "RemoteUnreachable":
                raise
            return None


def wanted(state: dict[str, str | None], prefix: str, delimiter: str) -> list[tuple[str, str]]:
    """S3's rules in a few lines."""
    entries: dict[str, str] = {}
    for key in sorted(state):
        etag = state[key]
        if etag is not None and key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            entries[key if at < 0 else key[: at + len(delimiter)]] = etag if at < 0 else ""
    return sorted(entries.items())


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    it = Edge(tmp_path_factory.mktemp("merged"), has_remote=True)
    yield it
    it.close()


@settings(deadline=None, max_examples=60)
@given(theirs, st.lists(steps, max_size=15), prefixes, delimiters, sizes, st.integers(1, 4))
@example({"a", "a\U0010ffff/", "a\U0010ffffa", "b"}, [], "", "a", 1, 1)
async def test_all_pages_together_are_what_there_is(edge, there, history, prefix, delimiter, size, page_keys):
    """Online: the remote's keys under what was not confirmed. Offline: the same as it was known, or a 503."""
    site = Site(edge, there)
    site.remote.page_keys = page_keys
    for act, about in history:
        await site.step(act, about)
    site.edge.now_ms += 1
    entries, replies = await site.listing(prefix, delimiter, size)
    assert entries == wanted(site.now_online(), prefix, delimiter)
    assert all(one.age_seconds is None and not one.incomplete for one in replies)

    site.remote.is_up = False
    entries, replies = await site.listing(prefix, delimiter, size)
    assert entries == wanted(site.now_online(), prefix, delimiter), "offline equals online"
    assert all(one.age_seconds is not None for one in replies)


@settings(deadline=None, max_examples=60)
@given(theirs, st.lists(steps, max_size=15), prefixes, delimiters, sizes)
async def test_without_the_link_the_answer_is_what_was_known_or_a_503(edge, there, history, prefix, delimiter, size):
    """What strangers did since the last listing is not seen, what was done here is; a gap is never an absence."""
    site = Site(edge, there)
    for act, about in history:
        await site.step(act, about)
    site.remote.is_up = False
    expected = site.now_offline(prefix)
    entries = await site.listing_or_nothing(prefix, delimiter, size)
    if entries is None:
        assert expected is None
        site.memory = Memory(rows_max=10_000, is_partial_allowed=True)
        entries, replies = await site.listing(prefix, "", size)
        assert any(one.incomplete for one in replies)
        shown = dict(entries)
        for key, etag in (site.remote.told | site.local).items():
            assert not key.startswith(prefix) or shown.get(key) == etag, "what is known is shown"
        return
    if expected is not None:
        assert entries == wanted(expected, prefix, delimiter)
    else:
        assert delimiter, "only rolled-up keys may be unknown"


@settings(deadline=None, max_examples=60)
@given(theirs, st.lists(steps, max_size=8), st.lists(steps, min_size=1, max_size=12), prefixes, sizes, st.data())
async def test_changes_meanwhile_make_neither_holes_nor_repetitions(
    edge, there, history, meanwhile, prefix, size, data
):
    """Between any two pages anything may happen, the link included: untouched keys are listed once, in order."""
    site = Site(edge, there)
    for act, about in [*history, ("list", ""), ("confirm", ""), ("list", "")]:
        await site.step(act, about)
    before = site.now_online()
    touched: set[str] = set()
    seen: list[str] = []
    changes = iter(meanwhile)
    async for page, _ in site.pages(prefix, "", size):
        seen += [key for key, _ in page]
        act, about = next(changes, ("", ""))
        if act not in {"list", "give up"}:
            await site.step(act, about)
            touched.add(about)
        site.remote.is_up = data.draw(st.booleans())
    site.remote.is_up = True
    assert seen == sorted(set(seen))
    untouched = {key for key, etag in before.items() if etag is not None and key.startswith(prefix)} - touched
    assert untouched <= set(seen)
    assert set(seen) - touched <= untouched


async def test_what_is_fresh_is_given_without_asking(edge):
    """Within the time of the rule, and with its age; afterwards the remote is asked again."""
    site = Site(edge)
    site.remote.keys = {"a": "1", "aa": "2"}
    site.memory = Memory(rows_max=10_000, fresh_ms=5_000)
    await site.listing("", "", 1000)
    asked = site.remote.asked
    site.edge.now_ms += 3_000
    site.remote.keys["aaa"] = "3"
    entries, replies = await site.listing("", "", 1000)
    assert ([key for key, _ in entries], replies[0].age_seconds, site.remote.asked) == (["a", "aa"], 3, asked)
    site.edge.now_ms += 3_000
    entries, replies = await site.listing("", "", 1000)
    assert ([key for key, _ in entries], replies[0].age_seconds) == (["a", "aa", "aaa"], None)


async def test_a_million_pending_keys_are_read_a_page_at_a_time(edge):
    """However many wait to be sent: one page looks at about as many as it gives."""
    site = Site(edge)
    edge.run(*(put(site.bucket, f"{number:04}") for number in range(500)))
    read: list[int] = []
    ask = edge.ask.unconfirmed_from
    edge.ask.unconfirmed_from = lambda *given_, **how: read.append(len(found := ask(*given_, **how))) or found
    try:
        entries, replies = await site.listing("", "/", 200)
    finally:
        edge.ask.unconfirmed_from = ask
    assert [key for key, _ in entries] == [f"{number:04}" for number in range(500)]
    assert (len(replies), max(read)) == (3, 201)
