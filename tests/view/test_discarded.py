"""Records that a person gave up: what the view shows afterwards, and what it lets go of."""

import pytest
from edge_state import Edge, confirm, create, delete, park, put

from s3d.commands.outcomes import DiscardRecords
from s3d.errors import S3Error


@pytest.fixture
def edge(tmp_path):
    it = Edge(tmp_path, has_remote=True)
    it.do(create("b", remote_has_it=False))
    it.do(confirm(1))
    yield it
    it.close()


def sequence_of(appended):
    return appended.records[0].sequence


def drop(edge, *sequences):
    return edge.do(DiscardRecords(sequences, "a person")).answer


def test_decision_9_a_dropped_overwrite_leaves_what_was_there_to_the_remote(edge, tmp_path):
    """Nothing is pending, the key is not known here any more, and the bucket is not ours alone to speak for."""
    edge.do(confirm(sequence_of(edge.do(put("b", "k", b"1"))), etag="one"))
    overwrite = sequence_of(edge.do(put("b", "k", b"2", blob="f" * 32)))
    edge.do(park(overwrite))
    assert edge.ask.blob_in_use("f" * 32)
    assert drop(edge, overwrite) == (overwrite,)
    assert edge.ask.object("b", "k") is None
    assert edge.ask.pending(overwrite) is None
    assert not edge.ask.bucket("b").sole
    assert not edge.ask.blob_in_use("f" * 32)
    (tmp_path / "second").mkdir()
    second = edge.rebuilt(tmp_path / "second")
    assert second.folded() == edge.folded()
    second.close()


def test_what_was_written_since_stays(edge):
    """The record behind the parked one is the key's present, and goes on."""
    first = sequence_of(edge.do(put("b", "k", b"1", blob="e" * 32)))
    edge.do(park(first))
    second = sequence_of(edge.do(put("b", "k", b"2")))
    drop(edge, first)
    assert edge.ask.object("b", "k").sequence == second
    assert edge.ask.pending(second) is not None
    assert not edge.ask.blob_in_use("e" * 32)


def test_a_dropped_deletion_did_not_happen(edge):
    """Absence is not known of a key whose deletion never went out."""
    edge.do(confirm(sequence_of(edge.do(put("b", "k"))), etag="one"))
    deletion = sequence_of(edge.do(delete("b", "k")))
    edge.do(park(deletion))
    drop(edge, deletion)
    assert edge.ask.object("b", "k") is None


def test_all_or_nothing_is_dropped(edge):
    """A record that is not parked, and one that others depend on, are refused, and so are those beside them."""
    parked = sequence_of(edge.do(put("b", "k")))
    edge.do(park(parked))
    pending = sequence_of(edge.do(put("b", "l")))
    bucket = sequence_of(edge.do(create("c", remote_has_it=False)))
    edge.do(park(bucket))
    head = edge.committer.head
    for other, code in ((pending, "NoSuchRecord"), (bucket, "NotDroppable"), (999, "NoSuchRecord")):
        with pytest.raises(S3Error) as refused:
            drop(edge, parked, other)
        assert refused.value.code == code
    assert edge.committer.head == head
