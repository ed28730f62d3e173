"""The tally of what is pending is what the table has, whatever happens to the table (edge_state compares them after
each batch; here is what a batch does not do).
"""

from pathlib import Path
from unittest import mock

import apsw
import pytest
from edge_state import Edge, confirm, create, put

from s3d.capacity.pending import Cap
from s3d.commands.room import BeyondCap, InsideCap
from s3d.view.backlog import Tally


@pytest.fixture
def edge(tmp_path: Path):
    found = Edge(tmp_path, has_remote=True)
    found.run(create("bucket", remote_has_it=False), put("bucket", "a", b"12345"), put("bucket", "b", b"123"))
    yield found
    found.close()


def test_it_counts_records_and_bytes_and_a_restart_finds_them_again(edge: Edge) -> None:
    """Three records with eight bytes; one is confirmed, and confirmed once more."""
    assert edge.view.backlog == (3, 8)
    edge.reopen()
    assert edge.view.backlog == (3, 8)
    edge.run(confirm(2))
    edge.run(confirm(2))
    assert edge.view.backlog == (2, 3)


def test_a_view_that_is_folded_again_is_counted_again(edge: Edge, tmp_path: Path) -> None:
    """Discarded and rebuilt while the daemon runs, or from the journal alone."""
    edge.machine.discard()
    assert edge.view.backlog == (0, 0)
    edge.committer.catch_up()
    assert edge.view.backlog == (3, 8)
    edge.run(put("bucket", "c", b"1"))
    assert edge.view.backlog == (4, 9)


def test_a_batch_that_is_taken_back_has_not_been_counted(edge: Edge) -> None:
    """A full disk at the COMMIT: nothing was kept, and nothing is pending of it."""
    with mock.patch.object(edge.backend, "append", side_effect=ValueError("refused")):
        edge.run(put("bucket", "c", b"123456"))
    assert edge.view.backlog == (3, 8)


def test_damage_that_only_the_count_meets_has_the_view_folded_again(edge: Edge) -> None:
    """A page of the table of pending records cannot be read: no start fails of that."""
    broken = mock.Mock(wraps=Tally, side_effect=[apsw.CorruptError("a page"), mock.DEFAULT])
    with mock.patch("s3d.view.view.Tally", broken):
        edge.reopen()
    assert broken.call_count == 2
    assert edge.view.backlog == (3, 8)


def test_decisions_of_one_batch_see_what_those_before_them_added(edge: Edge) -> None:
    """Racing writes cannot pass the cap together: on the writer's thread the third one does not fit any more."""
    writes = [InsideCap(put("bucket", f"k{n}", b"1234"), 4, Cap(16)) for n in range(3)]
    first, second, third = edge.run(*writes)
    assert len(first.records) == len(second.records) == 1
    assert isinstance(third, BeyondCap)
    assert (third.code, third.reason, third.headers) == ("SlowDown", "pending-bytes", {"Retry-After": "10"})
    assert edge.view.backlog == (5, 16)
