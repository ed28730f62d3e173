"""A decision may remember a bucket only as long as nothing can have changed it."""

from pathlib import Path

import pytest

from journal import Appended, MemoryBackend
from journal.writer import Committer, Submission
from s3d.checksums import digest_whole
from s3d.commands.buckets import CreateBucket, DeleteBucket
from s3d.commands.machine import StateMachine
from s3d.commands.objects import DeleteObjects, Deletion, Origin, PutObject, ReceivedBody
from s3d.errors import S3Error
from s3d.view.facts import BucketFact
from s3d.view.view import View

ORIGIN = Origin("caller", "127.0.0.1", "R", 1)


class Fixture:
    """A committer over a real view, and a backend that can be told to refuse a batch."""

    def __init__(self, directory: Path) -> None:
        self.view = View(str(directory / "view.db"), token="t", trusted=None)
        self.backend = MemoryBackend()
        self.committer = Committer(self.backend, StateMachine(self.view, has_remote=False), lambda: 1000)
        self.committer.open()

    def run(self, *commands: object) -> list[str]:
        """One batch; `ok` or the error's code for each command."""
        outcomes = self.committer.run([Submission(command, None) for command in commands])
        return [self._word(outcome) for _, outcome in outcomes]

    def _word(self, outcome: object) -> str:
        if isinstance(outcome, Appended):
            return "ok"
        return outcome.code if isinstance(outcome, S3Error) else type(outcome).__name__


@pytest.fixture
def state(tmp_path):
    return Fixture(tmp_path)


def create(bucket="b"):
    return CreateBucket(bucket, {}, ORIGIN, None)


def put(key="k", bucket="b"):
    digests = digest_whole(b"x")
    body = ReceivedBody(1, digests.md5_hex, digests.sha256, {}, b"x")
    return PutObject(bucket, key, {}, body, ORIGIN)


def test_a_bucket_deleted_in_the_batch_is_gone_for_the_next_command(state):
    """PUT after DELETE of its bucket, in one batch, is refused although a PUT before them remembered the bucket."""
    assert state.run(create(), put()) == ["ok", "ok"]
    delete_key = DeleteObjects("b", (Deletion("k"),), ORIGIN)
    assert state.run(put(), delete_key, DeleteBucket("b", ORIGIN), put()) == ["ok", "ok", "ok", "NoSuchBucket"]
    assert state.run(put()) == ["NoSuchBucket"]


def test_a_bucket_of_a_batch_that_was_not_kept_is_forgotten(state, monkeypatch):
    """CreateBucket and PUT in one batch that the disk refuses: the next PUT finds no bucket."""

    def refuse(*_):
        raise ValueError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(state.backend, "append", refuse)
        assert state.run(create(), put()) == ["JournalError", "JournalError"]
    assert state.run(put()) == ["NoSuchBucket"]


def test_a_fact_makes_a_decision_look_again(state):
    """A bucket known only from the remote is gone as soon as the remote has said so."""
    assert state.run(BucketFact("r", present=True, seen_ms=5), put(bucket="r")) == ["ok", "ok"]
    assert state.run(BucketFact("r", present=False, seen_ms=6), put(bucket="r")) == ["ok", "NoSuchBucket"]


def test_a_rebuilt_state_is_asked_again(state):
    """After `discard` nothing is remembered."""
    assert state.run(create(), put()) == ["ok", "ok"]
    machine = state.committer._state
    machine.discard()
    machine.begin()
    with pytest.raises(S3Error, match="bucket"):
        machine.decide(put(), 1, 1000)
