"""Decision 6: the view is a fold of the journal, whatever happened, in whatever batches, however often it restarts."""

import tempfile
from pathlib import Path

import pytest
from edge_state import Edge, confirm, copy, create, delete, delete_bucket, etag_of, park, put, resume
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d.values import BlobBytes

BUCKETS, NAMES = ("left", "right"), ("a", "a/b", "\U0010ffff")

places = st.tuples(st.sampled_from(("left", "left", "right")), st.sampled_from(NAMES))
bodies = st.binary(max_size=3)
steps = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(BUCKETS)),
    st.tuples(st.just("delete bucket"), st.sampled_from(BUCKETS)),
    st.tuples(st.just("put"), places, bodies, st.booleans(), st.sampled_from([None, "new", "match", "other"])),
    st.tuples(st.just("delete"), places),
    st.tuples(st.just("copy"), places, places),
    st.tuples(st.just("confirm"), st.lists(st.integers(0, 6), min_size=1, max_size=4)),
    st.tuples(st.just("park"), st.integers(0, 6)),
    st.tuples(st.just("resume")),
    st.tuples(st.just("restart")),
)


class Model:
    """What S3 would show: buckets, and in each the bytes by key."""

    def __init__(self):
        self.buckets = {}

    def apply(self, step):
        match step:
            case ("create", bucket):
                self.buckets.setdefault(bucket, {})
            case ("delete bucket", bucket):
                if self.buckets.get(bucket) == {}:
                    del self.buckets[bucket]
            case ("put", (bucket, key), data, _, condition):
                objects = self.buckets.get(bucket)
                holds = (
                    objects is not None
                    and {
                        None: True,
                        "new": key not in objects,
                        "match": key in objects and objects[key] == data,
                        "other": False,
                    }[condition]
                )
                if holds:
                    objects[key] = data
            case ("delete", (bucket, key)):
                self.buckets.get(bucket, {}).pop(key, None)
            case ("copy", (bucket, key), (target, name)):
                if key in self.buckets.get(bucket, {}) and target in self.buckets:
                    self.buckets[target][name] = self.buckets[bucket][key]


def command_of(edge, step, number):
    match step:
        case ("create", bucket):
            return create(bucket)
        case ("delete bucket", bucket):
            return delete_bucket(bucket)
        case ("put", (bucket, key), data, in_blob, condition):
            blob = f"{number:032x}" if in_blob and data else ""
            conditions = {"new": {"IfNoneMatch": "*"}, "match": {"IfMatch": etag_of(data)}, "other": {"IfMatch": "0"}}
            return put(bucket, key, data, blob=blob, **conditions.get(condition, {}))
        case ("delete", (bucket, key)):
            return delete(bucket, key)
        case ("copy", source, target):
            row = edge.ask.object(*source)
            return copy(edge, source, target) if row is not None and row.present else None
        case ("confirm", sequences):
            head = edge.committer.head.sequence  # counted from the newest, so that most of them exist
            return confirm(*(max(1, head - sequence) for sequence in sequences), etag="remote")
        case ("park", sequence):
            return park(max(1, edge.committer.head.sequence - sequence))
        case ("resume",):
            return resume()
    return None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, min_size=1, max_size=4), max_size=14))
def test_decision_6_the_view_is_the_fold_and_the_fold_is_s3(batches):
    """Random batches, confirmations and restarts: the view equals a rebuild, and both equal the model."""
    with tempfile.TemporaryDirectory() as name:
        edge, model, number = Edge(Path(name)), Model(), 0
        edge.run(create("left"))
        model.apply(("create", "left"))
        for batch in batches:
            commands = []
            for step in batch:
                number += 1
                if step[0] == "copy":  # what it captured must be what is there: a batch of its own
                    edge.run(*commands)
                    commands = []
                if step[0] == "restart":
                    edge.run(*commands)
                    commands = []
                    edge.reopen()
                command = command_of(edge, step, number)
                if command is not None:
                    commands.append(command)
                model.apply(step)
            edge.run(*commands)
        check_model(edge, model)
        check_blobs(edge)
        (Path(name) / "second").mkdir()
        second = edge.rebuilt(Path(name) / "second")
        assert second.folded() == edge.folded()
        second.close()
        edge.close()


def check_model(edge, model):
    assert [row.name for row in edge.ask.buckets()] == sorted(model.buckets)
    for bucket, objects in model.buckets.items():
        listed = edge.ask.objects_from(bucket, "", inclusive=True, before=None, limit=100)
        assert [(one.key, one.etag, one.size) for one in listed] == [
            (key, etag_of(objects[key]), len(objects[key])) for key in sorted(objects, key=str.encode)
        ]


def check_blobs(edge):
    """Decision 11: a blob is in use while a pending record or a present object names it, and no longer."""
    needed = set()
    for _, stream, kind, sequence, extents in mutations(edge):
        row = edge.ask.object(*stream) if kind in {"PutObject", "CopyObject"} else None
        current = row is not None and row.present and row.sequence == sequence
        if edge.ask.pending(sequence) is not None or current:
            needed |= {extent.blob for extent in extents if isinstance(extent, BlobBytes)}
    everything = {e.blob for *_, extents in mutations(edge) for e in extents if isinstance(e, BlobBytes)}
    assert {blob for blob in everything if edge.ask.blob_in_use(blob)} == needed


def mutations(edge):
    from s3d.events import OUTCOMES, decode_mutation
    from s3d.values import split_stream

    for record in edge.backend.read(0, 10_000):
        if record.kind not in OUTCOMES:
            extents = decode_mutation(record.payload).extents
            yield record, split_stream(record.stream), record.kind, record.sequence, extents


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path)
    yield found
    found.close()


def test_last_modified_never_goes_back(edge):
    """Decision 20: the clock jumps back an hour; the object's time does not."""
    edge.run(create("left"), put("left", "k"))
    before = edge.ask.object("left", "k").modified_ms
    edge.now_ms -= 3_600_000
    edge.run(put("left", "k", b"later"))
    row = edge.ask.object("left", "k")
    assert (row.modified_ms, row.etag) == (before, etag_of(b"later"))


def test_a_confirmation_of_an_older_record_is_not_one_of_the_object(edge):
    """A is superseded by B; A's confirmation leaves B pending."""
    edge.run(create("left"))
    (first,) = edge.do(put("left", "k", b"a")).records
    (second,) = edge.do(put("left", "k", b"b")).records
    edge.run(confirm(first.sequence, etag="a"))
    assert not edge.ask.object("left", "k").confirmed
    edge.run(confirm(second.sequence, etag="b"))
    row = edge.ask.object("left", "k")
    assert (row.confirmed, row.remote_etag) == (True, "b")


@pytest.mark.parametrize("order", ["confirm, replace", "replace, confirm"])
@pytest.mark.parametrize("by", ["put", "delete"])
def test_decision_9_a_blob_goes_when_its_record_is_confirmed_and_replaced(edge, order, by):
    """Not after one of the two, whichever comes first."""
    blob = "a" * 32
    replacement = put("left", "k", b"new") if by == "put" else delete("left", "k")
    first, second = (confirm(2), replacement) if order == "confirm, replace" else (replacement, confirm(2))
    edge.run(create("left"), put("left", "k", b"old", blob=blob))
    edge.run(first)
    assert edge.ask.blob_in_use(blob)
    edge.run(second)
    assert not edge.ask.blob_in_use(blob)


def test_decision_21_a_copy_keeps_the_blob_of_its_source(edge):
    """The source is confirmed and gone; the copy still needs the bytes."""
    blob = "a" * 32
    edge.run(create("left"), put("left", "k", b"old", blob=blob))
    edge.run(copy(edge, ("left", "k"), ("left", "copy")))
    edge.run(delete("left", "k"), confirm(2, 4))
    assert edge.ask.blob_in_use(blob)
    edge.run(confirm(3))
    edge.run(delete("left", "copy"))
    assert not edge.ask.blob_in_use(blob)


def test_confirming_twice_is_confirming_once(edge):
    """Invariant 5: the second confirmation appends nothing."""
    edge.run(create("left"))
    head = edge.committer.head
    edge.run(confirm(1))
    assert edge.committer.head.sequence == head.sequence + 1
    edge.run(confirm(1, 1), confirm(77))
    assert edge.committer.head.sequence == head.sequence + 1


def test_decision_25_a_bucket_that_was_there_before_is_not_ours_alone(edge):
    """Its absence answers end with the confirmation that says so."""
    edge.run(create("left"))
    assert edge.ask.bucket("left").sole
    edge.run(confirm(1, existed=True))
    assert not edge.ask.bucket("left").sole


def test_a_bucket_of_the_same_name_starts_empty(edge):
    """Decision 24: what belonged to the earlier bucket does not come back, nor does its confirmation count."""
    edge.run(create("left"), put("left", "k"), delete("left", "k"), delete_bucket("left"), create("left"))
    assert edge.ask.object("left", "k") is None
    edge.run(confirm(1, existed=True))
    assert edge.ask.bucket("left").sole
    edge.run(confirm(4))
    assert edge.ask.bucket("left").present


def test_a_record_of_an_unknown_kind_is_pending_and_changes_nothing_else(edge):
    """An operation that is not folded is still durable and still replicated."""
    from journal import Entry
    from journal.writer import AppendEntries
    from s3d.events import Mutation, encode

    edge.run(create("left"))
    before = edge.folded()
    edge.run(AppendEntries([Entry("left", "PutBucketCors", encode(Mutation(input={"x": 1})))]))
    after = edge.folded()
    assert [row.kind for row in edge.ask.pending_after(1, 10)] == ["PutBucketCors"]
    assert {name for name in after if after[name] != before[name]} == {"pending", "progress"}


def test_parked_and_resumed(edge):
    """A parked record shows FAILED and why, a resumed one PENDING."""
    edge.run(create("left"), put("left", "k"))
    edge.run(park(2))
    assert edge.ask.object("left", "k").replication == 2
    assert [(row.sequence, row.code) for row in edge.ask.parked(10)] == [(2, "AccessDenied")]
    assert edge.do(resume()).answer == (2,)
    assert edge.ask.object("left", "k").replication == 0
    assert edge.ask.parked(10) == []
