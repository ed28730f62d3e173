"""Buckets that stay local in the view: final at once, needed while they live, the same from the journal alone."""

import tempfile
from pathlib import Path

import pytest
from edge_state import ORIGIN, Edge, confirm, copy, create, delete, delete_bucket, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_projection import Model, check_model, command_of, steps
from test_upload_projection import begin, complete, part, sequence_of, used

from s3d.commands.local_buckets import SettleLocalBuckets
from s3d.commands.objects import ReceivedBody
from s3d.commands.sharing import ShareBuckets
from s3d.commands.tagging import SetTags
from s3d.commands.uploads import AbortUpload, UploadPart
from s3d.errors import ConfigurationError, S3Error
from s3d.events import decode_mutation
from s3d.values import BlobBytes, Replication, RowBytes
from s3d.view.facts import BucketFact, CachedFact, ObjectFact
from s3d.view.needs import Needs

MIB = 1024 * 1024
LOCAL = frozenset({"right"})


@pytest.fixture
def edge(tmp_path):
    """`left` goes to the remote, `right` stays."""
    edge = Edge(tmp_path, has_remote=True, local=LOCAL)
    edge.run(create("left", remote_has_it=False), SettleLocalBuckets())
    yield edge
    edge.close()


def pending(edge):
    return [(row.kind, row.bucket, row.key) for row in edge.ask.pending_after(0, 100)]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, min_size=1, max_size=4), max_size=12))
def test_the_view_is_the_fold_and_what_lives_here_is_needed(batches):
    """Random batches on a bucket that goes and one that stays: both are S3, nothing of the second is ever pending, all
    its bytes are needed and no others, and a rebuild under another configuration comes to the same.
    """
    with tempfile.TemporaryDirectory() as name:
        edge, model = Edge(Path(name), local=LOCAL), Model()
        edge.run(create("left"))
        model.apply(("create", "left"))
        number = 0
        for batch in batches:
            for step in batch:
                number += 1
                if step[0] == "restart":
                    edge.reopen()
                command = command_of(edge, step, number)
                if command is not None:
                    edge.run(command)
                model.apply(step)
        check_model(edge, model)
        assert "right" not in {bucket for _, bucket, _ in pending(edge)}
        check_needs(edge, model)
        (Path(name) / "second").mkdir()
        second = Edge(Path(name) / "second", backend=edge.backend)
        assert second.folded() == edge.folded()
        second.close()
        edge.close()


def check_needs(edge, model):
    rows, blobs = set(), set()
    for key in model.buckets.get("right", {}):
        row = edge.ask.object("right", key)
        assert row.replication == Replication.LOCAL
        rows |= {extent.sequence for extent in row.extents if isinstance(extent, RowBytes)}
        blobs |= {extent.blob for extent in row.extents if isinstance(extent, BlobBytes)}
    assert all(edge.ask.row_is_needed(sequence) for sequence in rows)
    assert all(edge.ask.blob_in_use(blob) for blob in blobs)
    waiting = {sequence for sequence, *_ in edge.folded()["pending"]}
    held = {holder for holder, *_ in edge.folded()["row_use"]}
    alive = {sequence for sequence, _ in edge.folded()["local_body"]}
    assert held <= waiting | alive | {one.sequence for one in left_objects(edge)}
    assert edge.view.staying.bodies == len(model.buckets.get("right", {}))


def left_objects(edge):
    listed = edge.ask.objects_from("left", "", inclusive=True, before=None, limit=100)
    return [edge.ask.object("left", one.key) for one in listed]


def test_a_write_is_final_at_once_and_says_so_itself(edge):
    """Not pending, not confirmed either; what it replaces is let go of in the same step."""
    first = sequence_of(edge.do(put("right", "k", b"one")))
    (record,) = edge.do(put("right", "k", b"three", blob="b" * 32)).records
    assert decode_mutation(record.payload).stays_local
    assert pending(edge) == [("CreateBucket", "left", "")]
    assert not edge.ask.row_is_needed(first)
    assert used(edge) == {"b" * 32}
    assert edge.view.staying == (1, 5)
    row = edge.ask.object("right", "k")
    assert (row.replication, row.confirmed) == (Replication.LOCAL, False)
    edge.run(delete("right", "k"))
    assert (used(edge), edge.view.staying) == (set(), (0, 0))
    assert edge.ask.object("right", "k") is None


def test_a_copy_into_it_keeps_the_bytes_and_one_out_of_it_is_an_upload(edge):
    """A remote cannot copy what it does not have; the copy that stays needs its source's row as long as it lives."""
    source = sequence_of(edge.do(put("left", "a", b"12345")))
    (into,) = edge.do(copy(edge, ("left", "a"), ("right", "a"))).records
    edge.run(confirm(source, etag="e"), delete("left", "a"))
    assert edge.ask.row_is_needed(source)
    (out,) = edge.do(copy(edge, ("right", "a"), ("left", "b"))).records
    (within,) = edge.do(copy(edge, ("right", "a"), ("right", "b"))).records
    assert [one.kind for one in (into, out, within)] == ["CopyObject", "PutObject", "CopyObject"]
    assert decode_mutation(out.payload).copy_bucket == "right"
    assert edge.ask.pending(out.sequence).size == 5, "its bytes are sent"
    edge.run(delete("right", "a", "b"))
    assert edge.ask.row_is_needed(source), "what goes out still needs them"
    edge.run(confirm(out.sequence, etag="e"))
    assert not edge.ask.row_is_needed(source)


@pytest.mark.parametrize("end", ["complete", "abort", "bucket"])
def test_an_upload_that_ends_lets_go_of_its_parts(edge, end):
    """At once: nobody will ever ask for them again. What the object was made of, it needs itself."""
    begin(edge, bucket="right")
    sent = [part(1, bucket="right"), part(2, bucket="right")]
    body = ReceivedBody(3, "e" * 32, b"d" * 32, {}, b"123", ())
    last = sequence_of(edge.do(UploadPart("right", "k", "u", 3, body, ORIGIN)))
    edge.run(*sent)
    assert edge.view.staying == (3, 10 * MIB + 3)
    assert edge.ask.row_is_needed(last)
    edge.run(part(2, bucket="right", seed=7))
    assert edge.view.staying == (3, 10 * MIB + 3)
    if end == "complete":
        edge.do(complete(1, 2, bucket="right", seeds={2: 7}))
    else:
        edge.do(AbortUpload("right", "k", "u", ORIGIN) if end == "abort" else delete_bucket("right"))
    assert not edge.folded()["part"]
    assert not edge.ask.row_is_needed(last)
    assert len(used(edge)) == (2 if end == "complete" else 0)
    assert edge.view.staying == ((1, 10 * MIB) if end == "complete" else (0, 0))
    assert pending(edge) == [("CreateBucket", "left", "")]


def test_tags_are_the_objects_own(edge):
    """There is nobody to tell of them, so nothing lies beside."""
    edge.run(put("right", "k"))
    edge.do(SetTags("right", "k", (("a", "1"),), ORIGIN))
    assert edge.ask.object("right", "k").attributes["Tagging"] == "a=1"
    assert not edge.folded()["changed_tags"]
    edge.do(SetTags("right", "k", (), ORIGIN))
    assert "Tagging" not in edge.ask.object("right", "k").attributes


def test_absence_is_known_always(edge):
    """Of a key, of the bucket once it is deleted, after a restore, and whatever the remote has under that name."""
    edge.run(ShareBuckets(), BucketFact("right", present=True, seen_ms=edge.now_ms + 5))
    assert edge.ask.bucket("right").sole
    assert not edge.ask.bucket("left").sole
    edge.do(put("right", "k", IfNoneMatch="*"))
    edge.run(delete("right", "k"), delete_bucket("right"), BucketFact("right", present=True, seen_ms=edge.now_ms + 9))
    with pytest.raises(S3Error, match="does not exist"):
        edge.do(put("right", "k"))
    assert [row.name for row in edge.ask.buckets()] == ["left"]
    assert edge.do(create("right", remote_has_it=None)).answer


def test_the_configuration_and_the_journal_agree_from_the_start(edge, tmp_path):
    """A bucket is there because the configuration says so, goes empty when it no longer does, and never half."""
    edge.run(put("right", "k"))
    edge.local = frozenset()
    edge.reopen()
    with pytest.raises(ConfigurationError, match="right stays local until now"):
        edge.do(SettleLocalBuckets())
    edge.local = frozenset({"left", "right"})
    edge.reopen()
    with pytest.raises(ConfigurationError, match="what is in it goes to the remote"):
        edge.do(SettleLocalBuckets())  # left is pending
    edge.run(confirm(1))
    assert [record.stream for record in edge.do(SettleLocalBuckets()).records] == ["left"]
    assert edge.ask.local_buckets() == ["left", "right"]
    edge.run(delete("right", "k"))
    edge.local = frozenset()
    edge.reopen()
    assert [record.kind for record in edge.do(SettleLocalBuckets()).records] == ["DeleteBucket"] * 2
    assert edge.ask.bucket("right") is None, "the remote may have one of that name"
    assert not edge.do(SettleLocalBuckets()).records
    (tmp_path / "again").mkdir()
    second = edge.rebuilt(tmp_path / "again")
    assert second.folded() == edge.folded()
    second.close()


def test_what_the_remote_has_under_its_name_is_forgotten(edge):
    """A bucket that changes sides shows nothing of what was seen at the remote."""
    edge.run(BucketFact("theirs", present=True, seen_ms=1))
    edge.run(
        ObjectFact("theirs", "k", present=True, seen_ms=edge.now_ms, size=3, etag="e"),
        CachedFact("theirs", "k", "e", 3, 0, 3, "c" * 32, 1),
    )
    edge.local = LOCAL | {"theirs"}
    edge.reopen()
    edge.do(SettleLocalBuckets())
    assert edge.ask.remote_object("theirs", "k") is None
    assert not edge.ask.blob_in_use("c" * 32)


def test_what_stays_is_told_apart_from_what_waits(edge):
    """A journal file is emptied of the one; for the other it waits."""
    waits, stays = sequence_of(edge.do(put("left", "a", b"12"))), sequence_of(edge.do(put("right", "a", b"345")))
    needs = Needs(edge.view.reader())
    both = needs.of_range(1, stays)
    assert (both.bodies, both.body_bytes, both.staying_bytes) == (2, 5, 3)
    edge.do(copy(edge, ("right", "a"), ("left", "b")))
    assert needs.of_range(1, stays).staying_bytes == 0, "one that goes out needs it as well"
    assert needs.rows(1, stays, 9) == [waits, stays]
