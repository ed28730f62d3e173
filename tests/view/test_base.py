"""Decision 6: a snapshot of the view stands for the records before it, and a view belongs to one journal."""

import apsw
import pytest
from edge_state import Edge, confirm, create, put

from journal import JournalError, MemoryBackend
from journal.disk import RealDisk
from s3d.commands.machine import StateMachine
from s3d.view.facts import BucketFact, CachedFact, ObjectFact
from s3d.view.questions import Questions
from s3d.view.snapshot import take_snapshot
from s3d.view.view import View


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path)
    found.run(create("bucket"), *[put("bucket", f"k{number}") for number in range(20)])
    found.run(confirm(1, 2, 3))
    yield found
    found.close()


def snapshot(edge, tmp_path, name="base-1.db"):
    position, digest = take_snapshot(edge.view.reader(), RealDisk(), str(tmp_path), name)
    assert len(digest) == 32
    return str(tmp_path / name), position


def test_a_base_and_the_records_behind_it_are_the_view(edge, tmp_path):
    """Folded tables only; the writer goes on while it is taken."""
    path, position = snapshot(edge, tmp_path)
    assert position == edge.view.position
    edge.run(put("bucket", "later"), confirm(4))
    (tmp_path / "second").mkdir()
    other = Edge(tmp_path / "second")
    other.view.restore(path, position)
    assert other.view.position == position
    for record in edge.backend.read(position, 100):
        other.machine.begin()
        other.machine.fold(record)
        other.machine.publish()
    assert other.folded() == edge.folded()
    other.close()


def test_a_batch_that_is_not_published_is_not_in_a_base(edge, tmp_path):
    """It is taken as of the last commit."""
    edge.machine.begin()
    edge.machine.decide(ObjectFact("far", "k", present=True, seen_ms=1), 1, 1)
    path, _ = snapshot(edge, tmp_path)
    assert Questions(apsw.Connection(path)).remote_object("far", "k") is None
    edge.machine.revert()


def test_readers_keep_their_connections_and_wait_for_nobody(edge, tmp_path):
    """Also one that is in the middle of a page, which sees its own picture to the end."""
    path, position = snapshot(edge, tmp_path)
    edge.run(put("bucket", "later"))
    reading, other = edge.view.reader(), Questions(edge.view.reader())
    rows = iter(reading.execute("SELECT key FROM object ORDER BY key"))
    first = next(rows)
    edge.view.restore(path, position)
    assert len([first, *rows]) == 21
    assert other.object("bucket", "later") is None
    assert other.object("bucket", "k7") is not None
    assert other.position == position


def test_what_the_remote_said_is_unknown_afterwards(edge, tmp_path):
    """Facts of the past, and blobs that may have been let go of since."""
    edge.run(
        ObjectFact("far", "k", present=True, seen_ms=1),
        BucketFact("far", present=True, seen_ms=1),
        CachedFact("far", "k", "etag", 1, 0, 1, "a" * 32, 1),
    )
    edge.view.restore(*snapshot(edge, tmp_path))
    assert edge.ask.remote_object("far", "k") is None
    assert edge.ask.bucket("far") is None
    assert not edge.ask.blob_in_use("a" * 32)


@pytest.mark.parametrize("wrong", ["version", "position", "content"])
def test_a_base_that_is_not_what_it_should_be_is_refused(edge, tmp_path, wrong):
    """And the view is as it was."""
    path, position = snapshot(edge, tmp_path)
    before = edge.folded()
    if wrong == "version":
        changed = apsw.Connection(path)
        changed.pragma("user_version", 99)
        changed.close()
    elif wrong == "content":
        (tmp_path / "base-1.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(ValueError, match=r"version|position|database"):
        edge.view.restore(path, position + (wrong == "position"))
    assert edge.folded() == before


def test_a_snapshot_that_fails_leaves_nothing(edge, tmp_path):
    """A directory that is not there, for instance."""
    with pytest.raises((JournalError, OSError)):
        take_snapshot(edge.view.reader(), RealDisk(), str(tmp_path / "nowhere"), "base-1.db")
    assert not list(tmp_path.glob("**/base*"))


def bound(path, instance, epoch, *, trusted="first"):
    view = View(path, token="first", trusted=trusted)
    view.bind(instance, epoch)
    position = view.position
    view.close(sync=False)
    return position


def test_a_view_of_another_journal_is_thrown_away(edge):
    """Or of the same one before a backup was restored: its sequence numbers mean something else."""
    edge.view.bind("mine", 1)  # an unbound one with content is nobody's
    assert edge.view.position == 0
    edge.committer.catch_up()
    edge.view.close(sync=False)
    assert bound(edge.path, "mine", 1) == 22
    assert bound(edge.path, "mine", 2) == 0
    edge.view = View(edge.path, token="x", trusted=None)


class Origin(MemoryBackend):
    """A journal that has a base."""

    path = ""

    def base_path(self):
        if not self.path:
            raise JournalError("it is not what was recorded")
        return self.path


@pytest.mark.parametrize("usable", [True, False])
def test_an_empty_view_begins_with_the_base(edge, tmp_path, usable):
    """One that cannot be used is no obstacle while all records are there."""
    from journal import BaseInfo

    path, position = snapshot(edge, tmp_path)
    origin = Origin("instance")
    origin._base = BaseInfo(position, b"", "base-1.db", b"")
    origin.path = path if usable else ""
    view = View(str(tmp_path / "new.db"), token="t", trusted=None)
    machine = StateMachine(view, has_remote=True, origin=origin)
    assert machine.position == (position if usable else 0)
    view.close(sync=False)
