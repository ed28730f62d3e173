"""Stretches of keys that the remote has listed: replaced, cut, forgotten, and never more than they may be."""

from pathlib import Path

import pytest
from edge_state import Edge, confirm, create, delete, delete_bucket, park, put
from live import dump_view

from s3d.commands.outcomes import DiscardRecords
from s3d.view.facts import BucketFact, BucketListFact, ListedFact
from s3d.view.rows import ListedObject

BUCKET = "shared"


class Listed:
    """An edge that is told what was listed."""

    def __init__(self, directory: Path) -> None:
        self.edge = Edge(directory, has_remote=True)
        self.edge.run(BucketFact(BUCKET, present=True, seen_ms=self.edge.now_ms))

    def learn(self, first: str, end: str | None, *keys: str, at: int = 0, rows_max: int = 100, etag: str = "e") -> None:
        objects = [ListedObject(key, 1, etag, 0) for key in keys]
        self.edge.run(ListedFact(BUCKET, first, end, objects, at or self.edge.now_ms, 0, rows_max))

    @property
    def ranges(self) -> list[tuple[str, str | None, int]]:
        return [row[1:4] for row in self._rows("listed_range")]

    @property
    def keys(self) -> list[str]:
        return [row[1] for row in self._rows("listed")]

    @property
    def total(self) -> int:
        return int(self._rows("listed_total")[0][1])

    def _rows(self, table: str) -> list[tuple]:
        return sorted(dump_view(self.edge.path)[table])


@pytest.fixture
def listed(tmp_path: Path):
    it = Listed(tmp_path)
    yield it
    assert it.total == len(it.keys) + len(it.ranges)
    it.edge.close()


def test_pages_side_by_side_make_a_whole(listed: Listed):
    """Each key lies in the stretch that it was listed with; behind the last one nothing is known."""
    listed.learn("", "b\0", "a", "b")
    listed.learn("b\0", "m", "c", "d")
    assert [listed.edge.ask.listed_range(BUCKET, key).first for key in ("a", "b", "b\0", "c", "lz")] == [
        "",
        "",
        "b\0",
        "b\0",
        "b\0",
    ]
    assert listed.edge.ask.listed_range(BUCKET, "m") is None
    assert listed.edge.ask.listed_behind(BUCKET, "a") == "b\0"
    assert [one.key for one in listed.edge.ask.listed_from(BUCKET, "b", None, 2)] == ["b", "c"]


def test_a_newer_page_replaces_what_it_covers(listed: Listed):
    """Left and right of it the older page stays, with its own age."""
    listed.learn("", None, "a", "c", "e", "g", at=5)
    listed.learn("b", "f", "d", at=7)
    assert listed.ranges == [("", "b", 1), ("b", "f", 1), ("f", None, 1)]
    assert listed.keys == ["a", "d", "g"]
    assert [listed.edge.ask.listed_range(BUCKET, key).seen_ms for key in "abf"] == [5, 7, 5]


def test_an_older_answer_that_comes_later_changes_nothing(listed: Listed):
    """Two listings overtake each other on their way."""
    listed.learn("b", "f", "d", at=7)
    listed.learn("", None, "a", "e", at=5)
    assert (listed.ranges, listed.keys) == ([("b", "f", 1)], ["d"])


def test_the_same_answer_again_is_only_newer(listed: Listed):
    """A client that lists again and again costs one row, not a thousand."""
    listed.learn("", None, "a", "b", at=5)
    listed.learn("", None, "a", "b", at=9)
    assert listed.edge.ask.listed_range(BUCKET, "a").seen_ms == 9
    listed.learn("", None, "a", "b", at=10, etag="other")
    assert listed.edge.ask.listed_from(BUCKET, "", None, 9)[0].etag == "other"


def test_the_longest_unseen_goes_when_there_is_too_much(listed: Listed):
    """Whole stretches: what is left is still complete for what it covers."""
    listed.learn("", "c", "a", "b", at=7, rows_max=6)
    listed.learn("c", "f", "c", at=5, rows_max=6)
    listed.learn("f", None, "f", at=8, rows_max=6)
    assert listed.ranges == [("", "c", 2), ("f", None, 1)]
    listed.learn("x", "z", *"vwxy", at=9, rows_max=3)
    assert listed.ranges == []


def test_a_deletion_that_was_given_up_leaves_its_key_unknown(listed: Listed):
    """The page is older than what was confirmed before: it must not bring back what was deleted."""
    listed.learn("", None, "a", "k", "z")
    edge = listed.edge
    gone = edge.do(delete(BUCKET, "k")).records[0].sequence
    edge.do(confirm(gone))
    again = edge.do(put(BUCKET, "k")).records[0].sequence
    edge.do(park(again))
    edge.do(DiscardRecords((again,), "a person"))
    assert edge.ask.listed_range(BUCKET, "k") is None
    assert listed.ranges == [("", "k", 1), ("k\0", None, 1)]


def test_a_bucket_takes_what_is_known_of_it_along(listed: Listed):
    """Deleted here, or gone at the remote: the next one of this name is another bucket."""
    listed.learn("", None, "a")
    listed.edge.run(BucketFact(BUCKET, present=False, seen_ms=listed.edge.now_ms))
    assert listed.ranges == []
    listed.edge.run(BucketListFact(((BUCKET, 1),), listed.edge.now_ms))
    listed.learn("", None, "a")
    listed.edge.run(BucketListFact((), listed.edge.now_ms))
    assert listed.ranges == []


def test_an_answer_about_an_earlier_bucket_is_not_about_this_one(listed: Listed):
    """It was asked before the bucket was made again."""
    edge = listed.edge
    made = edge.do(create("mine")).records[0].sequence
    fact = ListedFact("mine", "", None, [ListedObject("old", 1, "e", 0)], edge.now_ms, made, 100)
    edge.do(delete_bucket("mine"))
    edge.do(create("mine"))
    edge.run(fact)
    assert edge.ask.listed_range("mine", "old") is None


def test_facts_of_another_version_are_forgotten_and_nothing_else(tmp_path: Path):
    """They may be lost at any time; what was folded is not folded again for them."""
    edge = Edge(tmp_path, has_remote=True)
    edge.do(create("mine"))
    edge.run(BucketFact(BUCKET, present=True, seen_ms=1))
    edge.view._connection.execute("UPDATE facts_version SET version = 1")
    edge.reopen()
    assert edge.ask.bucket(BUCKET) is None
    assert edge.ask.bucket("mine").present
    edge.reopen()
    edge.close()
