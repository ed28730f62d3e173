"""Commands as tables: on this state, this command comes to these records, or to this error, or to this question."""

import pytest
from edge_state import NOW_MS, Edge, confirm, copy, create, delete, delete_bucket, etag_of, park, put, resume

from s3d.commands.buckets import NeedKeys
from s3d.commands.knowledge import Need, NeedBucket, NeedObject
from s3d.commands.objects import SourceChanged
from s3d.errors import S3Error
from s3d.events import decode_mutation
from s3d.view.facts import BucketFact, ObjectFact

THERE = etag_of(b"there")


@pytest.fixture
def alone(tmp_path):
    """No remote: what is not known does not exist."""
    edge = Edge(tmp_path)
    edge.run(create("mine"), put("mine", "there", b"there"))
    yield edge
    edge.close()


@pytest.fixture
def beside(tmp_path):
    """A remote; `mine` was created here, `theirs` is only known from it."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("mine"), put("mine", "there", b"there"))
    edge.run(BucketFact("theirs", present=True, seen_ms=NOW_MS), BucketFact("gone", present=False, seen_ms=NOW_MS))
    yield edge
    edge.close()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (put("none", "k"), "NoSuchBucket"),
        (put("mine", "there", IfNoneMatch="*"), "PreconditionFailed"),
        (put("mine", "there", IfNoneMatch='"x"'), "NotImplemented"),
        (put("mine", "there", IfMatch='"x"'), "PreconditionFailed"),
        (put("mine", "new", IfMatch="*"), "NoSuchKey"),
        (put("mine", "new", IfMatch=f'"{THERE}"'), "NoSuchKey"),
        (delete("none", "k"), "NoSuchBucket"),
        (delete_bucket("none"), "NoSuchBucket"),
        (delete_bucket("mine"), "BucketNotEmpty"),
        (resume(7), "NoSuchRecord"),
    ],
)
def test_refusals(alone, given, code):
    """A refusal is an S3Error, and appends nothing."""
    head = alone.committer.head
    with pytest.raises(S3Error) as error:
        alone.do(given)
    assert error.value.code == code
    assert alone.committer.head == head


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        (put("mine", "new"), ["PutObject"]),
        (put("mine", "new", IfNoneMatch="*"), ["PutObject"]),
        (put("mine", "there", IfMatch=f'"{THERE}"'), ["PutObject"]),
        (put("mine", "there", IfMatch=THERE), ["PutObject"]),
        (put("mine", "there", IfMatch=f'"x", "{THERE}"'), ["PutObject"]),
        (put("mine", "there", IfMatch="*"), ["PutObject"]),
        (delete("mine", "there"), ["DeleteObject"]),
        (delete("mine", "none"), ["DeleteObject"]),
        (delete("mine", "a", "b", "a"), ["DeleteObject"] * 3),
        (delete("mine"), []),
        (create("mine"), []),
        (create("new"), ["CreateBucket"]),
        (park(2), ["Parked"]),
        (park(77), []),
        (resume(), []),
        (confirm(1, 2), ["Confirmed"]),
        (confirm(77), []),
    ],
)
def test_records(alone, given, kinds):
    """What is appended, in order."""
    assert [record.kind for record in alone.do(given).records] == kinds


def test_a_record_says_what_it_replaces(alone):
    """Decision 22: the predecessor's sequence and ETag are stamped by the writer, within a batch too."""
    first, second = alone.run(put("mine", "there", b"one"), put("mine", "there", b"two"))
    stamps = [decode_mutation(outcome.records[0].payload) for outcome in (first, second)]
    assert [(one.replaces, one.replaces_etag) for one in stamps] == [(2, THERE), (3, etag_of(b"one"))]


def test_decision_1_a_batch_is_decided_on_itself(alone):
    """Sixty-four conditional writes in one batch: the first wins. Write, delete, then empty: the bucket can go."""
    outcomes = alone.run(*[put("mine", "new", b"%d" % number, IfNoneMatch="*") for number in range(64)])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Appended"] + ["S3Error"] * 63
    outcomes = alone.run(
        put("mine", "k"),
        delete_bucket("mine"),
        delete("mine", "k", "new", "there"),
        delete_bucket("mine"),
        put("mine", "k"),
    )
    assert [getattr(outcome, "code", "done") for outcome in outcomes] == [
        "done",
        "BucketNotEmpty",
        "done",
        "done",
        "NoSuchBucket",
    ]


def test_deletions_are_answered_one_by_one(alone):
    """A condition that fails is that key's answer; the other keys go."""
    outcome = alone.do(delete("mine", "there", "none", if_match="other"))
    assert [error.code for error in outcome.answer] == ["PreconditionFailed", "NoSuchKey"]
    assert list(outcome.records) == []


def test_a_copy_of_what_has_changed_is_captured_again(alone):
    """Decision 21: the decision is about the bytes that were captured."""
    captured = copy(alone, ("mine", "there"), ("mine", "copy"))
    alone.run(put("mine", "there", b"other"))
    with pytest.raises(SourceChanged):
        alone.do(captured)


def test_decision_26_what_only_the_remote_knows_is_asked_for(beside):
    """An unknown bucket, and a condition on an object in a bucket that others write to as well."""
    with pytest.raises(Need) as need:
        beside.do(put("unknown", "k"))
    assert need.value.question == NeedBucket("unknown")
    with pytest.raises(Need) as need:
        beside.do(put("theirs", "k", IfNoneMatch="*"))
    assert need.value.question == NeedObject("theirs", "k")
    assert beside.do(put("theirs", "k")).records
    assert beside.do(put("theirs", "k", IfMatch=etag_of(b"x"))).records  # our own unconfirmed write is known


def test_decision_26_a_fact_answers_only_if_it_is_new_enough(beside):
    """What was learned before the request came may have changed since."""
    beside.run(ObjectFact("theirs", "k", present=True, seen_ms=NOW_MS - 1, etag="old"))
    with pytest.raises(Need):
        beside.do(put("theirs", "k", IfMatch="old"))
    beside.run(ObjectFact("theirs", "k", present=True, seen_ms=NOW_MS, etag="new"))
    with pytest.raises(S3Error, match="pre-conditions"):
        beside.do(put("theirs", "k", IfMatch="old"))
    assert beside.do(put("theirs", "k", IfMatch="new")).records


def test_invariant_4_a_bucket_known_to_be_gone_is_asked_again(beside):
    """The remote said no before this request: it is asked. After: NoSuchBucket."""
    with pytest.raises(Need):
        beside.do(put("gone", "k", since_ms=NOW_MS + 1))
    with pytest.raises(S3Error, match="does not exist"):
        beside.do(put("gone", "k", since_ms=NOW_MS))


def test_creating_what_the_remote_has(beside):
    """It is ours already, unless we have just deleted it and the remote does not know yet."""
    assert beside.do(create("elsewhere", remote_has_it=True)).answer is False
    assert beside.do(create("offline", remote_has_it=None)).answer is True
    beside.run(create("short"), confirm(4))
    beside.run(delete_bucket("short"))
    assert beside.do(create("short", remote_has_it=True)).answer is True


def test_deleting_a_bucket_that_others_write_to(beside):
    """Its keys have to be asked for; keys that were deleted here do not count."""
    with pytest.raises(NeedKeys):
        beside.do(delete_bucket("theirs"))
    with pytest.raises(S3Error, match="not empty"):
        beside.do(delete_bucket("theirs", ("k",)))
    beside.run(delete("theirs", "k"))
    assert beside.do(delete_bucket("theirs", ("k",))).records
