"""What stays here: prefixes that an operator has pinned, and objects that carry a tag."""

import apsw
import pytest
from edge_state import ORIGIN, Edge, confirm, create, delete, park, put
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.commands.outcomes import DiscardRecords
from s3d.commands.pinning import PINS_MAX, PinPrefix, UnpinPrefix
from s3d.commands.tagging import SetTags
from s3d.errors import S3Error
from s3d.view.cached import CachedQuestions
from s3d.view.facts import CachedFact, EvictedFact
from s3d.view.pins import has_pin

TAGGED = "a=b&s3d.cache=pin"
PIN = (("s3d.cache", "pin"),)


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path, has_remote=True)
    found.run(create("b", remote_has_it=False))
    yield found
    found.close()


def cached(key, size=10, *, etag="e"):
    return CachedFact("b", key, etag, size, 0, size, f"{key.encode().hex()}{etag}".ljust(32, "0")[:32], 1)


def pin(prefix, bucket="b"):
    return PinPrefix(bucket, prefix, "admin")


def unpin(prefix, bucket="b"):
    return UnpinPrefix(bucket, prefix, "admin")


def pinned(edge, *keys):
    return [key for key in keys if edge.ask.is_pinned("b", key)]


def test_a_pin_is_of_a_prefix_and_of_one_bucket(edge):
    """Whatever its keys are; an empty prefix is the whole bucket."""
    edge.run(pin("maps/"), pin("é"))
    assert pinned(edge, "maps/a", "maps/", "maps", "mapsa", "é", "è", "éa") == ["maps/a", "maps/", "é", "éa"]
    assert not edge.ask.is_pinned("c", "maps/a")
    edge.run(pin("", "c"))
    assert edge.ask.is_pinned("c", "\U0010ffff")


def test_a_pin_is_a_record_once(edge):
    """The same again is none; another reason is. Who and why is kept."""
    first, again = edge.run(pin("a"), pin("a"))
    assert ([one.kind for one in first.records], first.answer) == (["CachePinned"], True)
    assert (again.records, again.answer) == ([], False)
    changed = edge.do(PinPrefix("b", "a", "admin", "for the trip"))
    assert (len(changed.records), changed.answer) == (1, False)
    row = edge.ask.pin("b", "a")
    assert (row.sequence, row.caller, row.reason) == (changed.records[0].sequence, "admin", "for the trip")
    assert [one.answer for one in edge.run(unpin("a"), unpin("a"))] == [True, False]
    assert edge.ask.pin("b", "a") is None


def test_there_are_not_endlessly_many(edge):
    """Each is looked at for each object that is cached; one that there is already may be pinned again."""
    edge.run(*(pin(f"{number}/") for number in range(PINS_MAX)))
    with pytest.raises(S3Error):
        edge.do(pin("one more"))
    assert not edge.do(pin("7/")).answer
    edge.run(unpin("7/"))
    assert edge.do(pin("one more")).answer


def test_eviction_spares_what_is_pinned_and_a_changed_version_does_not_stay(edge):
    """The least recently used is one that may go; what the remote has changed is gone whatever holds it."""
    edge.run(cached("a"), cached("b", 20), cached("c", 30), pin("a"))
    assert [one[1] for one in edge.ask.least_recently_used(9)] == ["b", "c"]
    assert [one[1] for one in edge.ask.least_recently_used(9, pinned=True)] == ["a"]
    edge.run(*(EvictedFact("b", key, "e", spares_pins=True) for key in "abc"))
    assert (edge.ask.cached().size_bytes, edge.ask.cached().recyclable_bytes) == (10, 0)
    edge.run(EvictedFact("b", "a", "e"))
    assert edge.ask.cached().size_bytes == 0


@pytest.mark.parametrize("tagging", [TAGGED, "s3d.cache=pin", "s3d%2Ecache=p%69n", "x=&s3d.cache=pin"])
def test_tags_pin_their_object(edge, tagging):
    """As a client may write them."""
    edge.run(put("b", "k", Tagging=tagging))
    assert pinned(edge, "k", "kk") == ["k"]


@pytest.mark.parametrize(
    "tagging", ["", "s3d.cache=Pin", "s3d.cache=", "S3D.cache=pin", "s3d.cache=pinned", "a=s3d.cache%3Dpin"]
)
def test_other_tags_do_not(tagging):
    """Tags are compared letter by letter."""
    assert not has_pin(tagging)


def test_a_tag_comes_and_goes_with_its_object(edge):
    """By PutObjectTagging, by another PUT, with the object, and with a PUT that is given up."""
    edge.run(put("b", "k"))
    edge.run(SetTags("b", "k", PIN, ORIGIN), cached("k"))
    assert (pinned(edge, "k"), edge.ask.cached().recyclable_bytes) == (["k"], 0)
    edge.run(SetTags("b", "k", (("other", "pin"),), ORIGIN))
    assert (pinned(edge, "k"), edge.ask.cached().recyclable_bytes) == ([], 10)
    edge.run(put("b", "k", Tagging=TAGGED), put("b", "k"))
    assert pinned(edge, "k") == [], "in one batch"
    edge.run(put("b", "k", Tagging=TAGGED), delete("b", "k"), put("b", "k"))
    assert pinned(edge, "k") == []
    given_up = edge.do(put("b", "l", Tagging=TAGGED)).records[0].sequence
    edge.run(park(given_up))
    edge.do(DiscardRecords((given_up,), "a person"))
    assert pinned(edge, "l") == []


def test_what_is_written_over_is_not_cached_any_more(edge):
    """Nobody reads the old bytes again: a pin must not hold them."""
    edge.run(pin(""), cached("k"), cached("l"))
    edge.run(put("b", "k"), delete("b", "l"))
    assert edge.ask.cached().size_bytes == 0


def test_confirmed_files_count_as_pinned_and_are_let_go_first_of_all_others(edge):
    """What is pending is neither; small ones in the journal's rows are not let go of one by one."""
    blob = "0" * 31
    edge.run(*(put("b", key, b"12345", blob=f"{blob}{number}") for number, key in enumerate("klm")), put("b", "row"))
    ask = CachedQuestions(edge.view.reader())
    edge.run(confirm(2, 3, 5), pin("k"), pin("m"), pin("row"))
    assert (ask.pinned_bytes(), [one[1] for one in ask.let_go_first(9)]) == (5, ["l"])
    assert [one[1] for one in ask.let_go_first(9, pinned=True)] == ["k"]
    held = ask.under("b", "")
    assert (held.written_objects, held.written_bytes, held.pinned_bytes, held.cached_objects) == (2, 10, 5, 0)


KEYS = ["a", "a/", "a/b", "ab", "b"]
keys, prefixes = st.sampled_from(KEYS), st.sampled_from(["", "a", "a/", "b"])
steps = st.one_of(
    st.builds(pin, prefixes),
    st.builds(unpin, prefixes),
    st.builds(
        lambda key, tags: put("b", key, **({"Tagging": tags} if tags else {})), keys, st.sampled_from(["", TAGGED])
    ),
    st.builds(lambda key: delete("b", key), keys),
    st.builds(lambda key, tags: SetTags("b", key, tags, ORIGIN), keys, st.sampled_from([(), PIN])),
    st.builds(lambda key, etag: cached(key, 10, etag=etag), keys, st.sampled_from(["e", "f"])),
    st.builds(lambda key: EvictedFact("b", key, "e"), keys),
)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=8))
def test_whatever_happens_the_cache_knows_what_is_pinned_and_a_rebuild_knows_the_pins(tmp_path_factory, batches):
    """What is kept along is what the pins say; the pins are what the records say."""
    edge = Edge(tmp_path_factory.mktemp("pins"), has_remote=True)
    edge.run(create("b", remote_has_it=False))
    for batch in batches:
        edge.run(*batch)
        connection = apsw.Connection(edge.path, flags=apsw.SQLITE_OPEN_READONLY)
        rows = connection.execute(
            "SELECT key, pinned, length FROM cached JOIN cached_piece USING (bucket, key)"
        ).fetchall()
        connection.close()
        assert all(edge.ask.is_pinned("b", key) == bool(flag) for key, flag, _ in rows)
        assert edge.ask.cached().pinned_bytes == sum(length for _, flag, length in rows if flag)
        assert edge.ask.cached().size_bytes == sum(length for _, _, length in rows)
    again = edge.rebuilt(tmp_path_factory.mktemp("again"))
    assert again.folded() == edge.folded()
    again.close()
    edge.close()
