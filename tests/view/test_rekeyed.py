"""A parked object that goes out under another key: what is decided, what both keys show, and whose bytes they are."""

import pytest
from edge_state import NOW_MS, Edge, confirm, copy, create, delete, etag_of, park, put

from s3d.commands.knowledge import Need
from s3d.commands.rekeying import RekeyRecord
from s3d.errors import S3Error
from s3d.events import decode_discarded, decode_mutation
from s3d.values import RowBytes


@pytest.fixture
def edge(tmp_path):
    it = Edge(tmp_path, has_remote=True)
    it.do(create("b", remote_has_it=False))
    it.do(confirm(1))
    yield it
    it.close()


def written(edge, *arguments, **given):
    return edge.do(put(*arguments, **given)).records[0]


def rekey(edge, record, key):
    return edge.do(RekeyRecord(record, key, "a person", NOW_MS))


def assert_rebuilt_alike(edge, tmp_path):
    (tmp_path / "second").mkdir()
    second = edge.rebuilt(tmp_path / "second")
    assert second.folded() == edge.folded()
    second.close()


def test_the_object_is_under_the_new_key_and_the_old_one_is_not_known(edge, tmp_path):
    """With everything but its conditions; both records say who did it."""
    parked = written(edge, "b", "bad", b"bytes", Metadata={"a": "1"}, IfNoneMatch="*")
    edge.do(park(parked.sequence))
    new, discarded = rekey(edge, parked, "good").records
    mutation = decode_mutation(new.payload)
    assert (new.stream, mutation.caller, mutation.rekeyed) == ("b/good", "a person", parked.sequence)
    assert mutation.input == {"Metadata": {"a": "1"}}
    assert decode_discarded(discarded.payload).caller == "a person"
    row = edge.ask.object("b", "good")
    assert (row.etag, row.extents) == (etag_of(b"bytes"), (RowBytes(parked.sequence, 0, 5),))
    assert edge.ask.object("b", "bad") is None
    assert edge.ask.pending(parked.sequence) is None
    assert edge.ask.pending(new.sequence) is not None
    assert_rebuilt_alike(edge, tmp_path)


def test_decision_7_the_old_records_bytes_are_needed_until_the_new_one_is_confirmed(edge, tmp_path):
    """Not a moment longer: a row that nobody needs must not keep its file."""
    parked = written(edge, "b", "bad", b"bytes")
    edge.do(park(parked.sequence))
    new = rekey(edge, parked, "good").records[0]
    assert edge.ask.row_is_needed(parked.sequence)
    edge.do(confirm(new.sequence))
    assert not edge.ask.row_is_needed(parked.sequence)
    assert_rebuilt_alike(edge, tmp_path)


def test_blobs_stay_with_the_object(edge, tmp_path):
    """As long as it lives under its new key."""
    parked = written(edge, "b", "bad", b"bytes", blob="f" * 32)
    edge.do(park(parked.sequence))
    new = rekey(edge, parked, "good").records[0]
    edge.do(confirm(new.sequence))
    assert edge.ask.blob_in_use("f" * 32)
    edge.do(confirm(edge.do(delete("b", "good")).records[0].sequence))
    assert not edge.ask.blob_in_use("f" * 32)
    assert_rebuilt_alike(edge, tmp_path)


def test_a_parked_copy_takes_its_captured_bytes_along(edge):
    """They are in its source's row."""
    source = written(edge, "b", "source", b"bytes")
    edge.do(confirm(source.sequence))
    parked = edge.do(copy(edge, ("b", "source"), ("b", "bad"))).records[0]
    edge.do(park(parked.sequence))
    new = rekey(edge, parked, "good").records[0]
    assert edge.ask.object("b", "good").extents == (RowBytes(source.sequence, 0, 5),)
    edge.do(confirm(new.sequence))
    assert not edge.ask.row_is_needed(source.sequence)


def test_an_object_is_never_replaced(edge):
    """Neither one that is here nor one that only the remote may know of: then it is asked."""
    parked, other = written(edge, "b", "bad"), written(edge, "b", "taken")
    edge.do(park(parked.sequence))
    head = edge.committer.head
    with pytest.raises(S3Error, match="already"):
        rekey(edge, parked, "taken")
    with pytest.raises(S3Error, match="not parked"):
        rekey(edge, other, "free")
    assert edge.committer.head == head
    rekey(edge, parked, "free")
    edge.do(park(other.sequence))
    with pytest.raises(Need):  # what was given up is not known to be absent: the bucket is not ours alone any more
        rekey(edge, other, "bad")


def test_where_others_write_the_remote_is_told_to_refuse(edge):
    """The link may be down for days between the question and the sending."""
    parked = written(edge, "b", "bad")
    edge.do(park(parked.sequence))
    rekey(edge, parked, "good")
    second = written(edge, "b", "second")
    edge.do(park(second.sequence))
    edge.do(delete("b", "third"))  # not confirmed: absent, whatever the remote has
    new = rekey(edge, second, "third").records[0]
    assert decode_mutation(new.payload).input == {"IfNoneMatch": "*"}


def test_only_objects_can_be_rekeyed(edge):
    """A deletion under another key would delete something else."""
    deletion = edge.do(delete("b", "k")).records[0]
    edge.do(park(deletion.sequence))
    with pytest.raises(S3Error, match="belongs to its key"):
        rekey(edge, deletion, "other")
