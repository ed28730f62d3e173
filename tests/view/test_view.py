"""The view's database: continued, thrown away, rebuilt under its readers, and on a full disk."""

import os

import apsw
import pytest
from edge_state import ORIGIN, Edge, create, delete, put
from live import dump_view

from journal import DiskFull
from s3d.commands.tagging import SetTags
from s3d.values import RowBytes, slice_extents
from s3d.view.damage import RowDamaged
from s3d.view.facts import BucketFact, CachedFact, EvictedFact, ObjectFact, UsedFact
from s3d.view.questions import Questions
from s3d.view.view import View


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path)
    found.run(create("bucket"), *[put("bucket", f"k{number}") for number in range(20)])
    yield found
    found.close()


def position_after(path, *, token="new", trusted):
    view = View(path, token=token, trusted=trusted)
    try:
        return view.position
    finally:
        view.close(sync=False)


def test_a_trusted_view_goes_on_where_it_was(edge):
    """Position, rows and all."""
    edge.view.close(sync=False)
    assert position_after(edge.path, trusted="first") == 21
    edge.view = View(edge.path, token="x", trusted="new")


@pytest.mark.parametrize("trusted", [None, "another"])
def test_a_view_that_nobody_vouches_for_is_thrown_away(edge, trusted):
    """It starts again from nothing, and the journal is folded again."""
    edge.view.close(sync=False)
    assert position_after(edge.path, trusted=trusted) == 0
    edge.view = View(edge.path, token="x", trusted="new")


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but long enough to be looked at" * 100, b"SQLite format 3\0"]
)
def test_what_is_no_view_is_thrown_away(edge, tmp_path, content):
    """A foreign or broken file does not keep the daemon from starting."""
    path = tmp_path / "other.db"
    path.write_bytes(content)
    assert position_after(str(path), trusted="first") == 0


@pytest.mark.parametrize("missing", [1, 600, 4096, 3 * 4096])
def test_a_view_whose_end_is_missing_is_thrown_away(edge, missing):
    """SQLite would take half a page for one that ends in zeros, and the keys on it for absent."""
    edge.view.close(sync=True)
    with open(edge.path, "r+b") as file:
        file.truncate(os.path.getsize(edge.path) - missing)
    assert position_after(edge.path, trusted="first") == 0
    edge.view = View(edge.path, token="x", trusted="new")


@pytest.mark.parametrize(
    ("column", "ask"),
    [
        ("attributes", lambda row: row.attributes),
        ("extents", lambda row: row.extents),
        ("parts", lambda row: row.parts),
    ],
)
@pytest.mark.parametrize("content", [b"{", b"\0", b'{"a": "\xad"}', b"7"])
def test_a_column_that_cannot_be_decoded_is_damage(edge, column, ask, content):
    """Not a bug of whoever asked."""
    edge.view._connection.execute(f"UPDATE object SET {column} = ?", (content,))
    with pytest.raises(RowDamaged):
        ask(edge.ask.object("bucket", "k1"))


def test_another_schema_is_thrown_away(edge):
    """After an upgrade that changed the tables."""
    edge.view.close(sync=False)
    connection = apsw.Connection(edge.path)
    connection.pragma("user_version", 99)
    connection.close()
    assert position_after(edge.path, trusted="first") == 0
    edge.view = View(edge.path, token="x", trusted="new")


def test_decision_2_a_discarded_view_is_folded_again_under_its_readers(edge):
    """A reader keeps its connection: it sees nothing, then everything again."""
    before, reader = dump_view(edge.path), Questions(edge.view.reader())
    assert reader.object("bucket", "k1") is not None
    edge.view.discard()
    assert (edge.view.position, reader.object("bucket", "k1"), reader.position) == (0, None, 0)
    edge.committer.catch_up()
    assert reader.position == 21
    assert reader.object("bucket", "k1") is not None
    assert dump_view(edge.path) == before


def test_decision_2_a_discard_waits_for_no_reader(edge):
    """A reader in the middle of a page holds its own picture; the view is rebuilt all the same."""
    reading = edge.view.reader()
    rows = iter(reading.execute("SELECT key FROM object ORDER BY key"))
    first = next(rows)
    edge.view.discard()
    edge.committer.catch_up()
    assert [first, *rows] == [(key,) for key in sorted(f"k{number}" for number in range(20))]
    assert Questions(edge.view.reader()).position == 21


def test_a_batch_is_visible_to_its_writer_only_until_it_is_published(edge):
    """Read-your-writes needs the publish; a decision needs no publish."""
    reader = Questions(edge.view.reader())
    edge.view.begin()
    record = edge.backend.read(1, 1)[0]
    edge.view.fold(
        type(record)(
            22,
            *[getattr(record, name) for name in record.__struct_fields__[1:3]],
            "PutObject",
            record.payload,
            record.body_digest,
            record.body_size,
            record.hash,
        )
    )
    assert edge.ask.pending(22) is not None
    assert reader.pending(22) is None
    edge.view.revert()
    assert edge.ask.pending(22) is None
    assert edge.view.position == 21


def test_a_full_disk_is_disk_full_and_nothing_else(tmp_path):
    """The fold fails as a whole, deletes pass again once there is room, and no row is half there."""
    edge = Edge(tmp_path)
    edge.run(create("bucket"))
    connection = edge.view._connection
    connection.pragma("max_page_count", connection.pragma("page_count") + 4)
    outcomes = [
        edge.run(put("bucket", f"key {number} " * 50, b"x" * 10, CacheControl="x" * 900))[0] for number in range(60)
    ]
    failed = [outcome for outcome in outcomes if isinstance(outcome, DiskFull)]
    assert failed, "it never got full"
    assert all(isinstance(outcome, DiskFull) or outcome.records for outcome in outcomes)
    connection.pragma("max_page_count", 1_000_000)
    edge.run(delete("bucket", "another"))
    second = tmp_path / "second"
    second.mkdir()
    other = edge.rebuilt(second)
    assert other.folded() == edge.folded()
    other.close()
    edge.close()


def test_facts_are_beside_what_was_folded(edge):
    """What the remote said never hides what was written here, and goes with the next write."""
    edge.run(
        ObjectFact("bucket", "k1", present=False, seen_ms=5), ObjectFact("far", "k", present=True, seen_ms=5, size=3)
    )
    assert edge.ask.object("bucket", "k1").present
    assert edge.ask.remote_object("far", "k").size == 3
    edge.run(put("bucket", "k1", b"again"))
    assert edge.ask.remote_object("bucket", "k1") is None
    edge.run(BucketFact("far", present=True, seen_ms=7))
    assert (edge.ask.bucket("far").seen_ms, edge.ask.bucket("far").sole) == (7, False)
    assert edge.ask.bucket("bucket").seen_ms == 0


def test_a_fact_in_the_middle_of_a_batch_goes_with_the_write_behind_it(edge):
    """A batch that began with nothing from the remote in the view does not go on believing so."""
    edge.run(
        put("bucket", "k1"), ObjectFact("bucket", "k2", present=False, seen_ms=5, incarnation=1), put("bucket", "k2")
    )
    assert edge.ask.remote_object("bucket", "k2") is None


def test_tags_given_in_the_middle_of_a_batch_go_with_the_write_behind_them(edge):
    """Tags belong to the object that they were given to, also when its successor comes in the same batch."""
    edge.run(put("bucket", "k1"), SetTags("bucket", "k1", (("name", "value"),), ORIGIN), put("bucket", "k1"))
    assert edge.ask.changed_tags("bucket", "k1") is None


def test_cached_blobs_are_in_use_until_they_are_evicted(edge):
    """Eviction names the version: one that was cached anew meanwhile stays. Pieces of two versions never meet."""
    edge.run(
        CachedFact("far", "k", "etag", 30, 0, 10, "a" * 32, 1),
        CachedFact("far", "k", "etag", 30, 20, 10, "c" * 32, 1),
        CachedFact("far", "k", "etag", 30, 5, 10, "d" * 32, 1),
    )
    assert edge.ask.blob_in_use("a" * 32)
    assert not edge.ask.blob_in_use("d" * 32), "it overlaps the first piece"
    assert edge.ask.cached_pieces("far", "k", "other etag") == []
    assert [(one.start, one.end) for one in edge.ask.cached_pieces("far", "k", "etag")] == [(0, 10), (20, 30)]
    assert edge.ask.cached().size_bytes == 20
    edge.run(CachedFact("far", "k", "etag2", 20, 0, 20, "b" * 32, 2), EvictedFact("far", "k", "etag"))
    assert [one.blob for one in edge.ask.cached_pieces("far", "k", "etag2")] == ["b" * 32]
    assert (edge.ask.blob_in_use("a" * 32), edge.ask.cached().size_bytes) == (False, 20)
    edge.run(UsedFact((("far", "k", 9), ("far", "not cached", 9))), CachedFact("far", "l", "e", 1, 0, 1, "e" * 32, 5))
    assert [one[1:] for one in edge.ask.least_recently_used(9)] == [("l", "e", 1), ("k", "etag2", 20)]
    edge.run(EvictedFact("far", "k", "etag2"), EvictedFact("far", "l", "e"))
    assert (edge.ask.blob_in_use("b" * 32), edge.ask.cached().size_bytes) == (False, 0)


def test_slices_of_extents():
    """Any part of an object is the extents that cover it."""
    extents = (RowBytes(1, 0, 3), RowBytes(2, 10, 4), RowBytes(3, 0, 1))
    whole = [(e.sequence, e.offset + n) for e in extents for n in range(e.length)]
    for start in range(9):
        for length in range(9 - start):
            parts = slice_extents(extents, start, length)
            assert [(e.sequence, e.offset + n) for e in parts for n in range(e.length)] == whole[start : start + length]
