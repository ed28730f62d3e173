"""An answer of the remote is as old as its question: what is confirmed in between is not forgotten.

The remote here answers as things stood when it was asked; before the answer arrives, the confirmation of something that
was acknowledged earlier does.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from edge_state import Edge, confirm, create, delete, delete_bucket, put

from s3d.auth.caller import Caller
from s3d.operations.bucket_operations import BucketOperations
from s3d.operations.calls import Call
from s3d.operations.submitting import Submitter
from s3d.queries.asking import Asking
from s3d.queries.buckets import list_buckets
from s3d.queries.listing import ListRequest, Start, make_page
from s3d.queries.merging import MergedSource
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.view.facts import BucketFact, ObjectFact

BUCKET = "shared"  # it was at the remote before


class SlowRemote:
    """Answers what it had when it was asked, after `meanwhile` has happened."""

    def reaches(self, bucket: str) -> bool:
        return True

    def __init__(self) -> None:
        self.buckets: set[str] = {BUCKET}
        self.keys: dict[str, str] = {}
        self.meanwhile: Any = lambda: None

    async def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        match operation:
            case "ListBuckets":
                answer: Any = {"Buckets": [{"Name": name, "CreationDate": now} for name in sorted(self.buckets)]}
            case "HeadBucket":
                answer = {} if parameters["Bucket"] in self.buckets else None
            case "HeadObject":
                etag = self.keys.get(parameters["Key"])
                answer = {"ETag": etag, "ContentLength": 1, "LastModified": now} if etag else None
            case _:
                contents = [{"Key": k, "Size": 1, "ETag": e, "LastModified": now} for k, e in self.keys.items()]
                answer = {"Contents": contents}
        self.meanwhile()
        if answer is None:
            raise RemoteFailure(FailureKind.ABSENT, code="404", status=404)
        return dict(answer)


class Sited:
    """An edge, its remote, and the clock of both: that of the edge's journal."""

    def __init__(self, directory: Path) -> None:
        self.edge = Edge(directory, has_remote=True)
        self.remote = SlowRemote()
        self.asking = Asking(self.remote, self.edge.ask, self._submit, self)
        self.buckets = BucketOperations(Submitter(self._submit, self.asking), self.edge.ask, self.asking, "us-east-1")
        self.edge.run(BucketFact(BUCKET, present=True, seen_ms=self.edge.now_ms))

    def now(self) -> float:
        return (self.edge.now_ms + 0.5) / 1000

    async def _submit(self, command: Any, *, essential: bool = False) -> Any:
        return self.edge.do(command)

    def call(self, bucket: str) -> Any:
        return Call("-", Caller("AKID", "127.0.0.1"), bucket, "", {}, None, "REQUEST", self.edge.now_ms)

    def confirm_meanwhile(self, sequence: int) -> None:
        self.remote.meanwhile = lambda: self.edge.do(confirm(sequence, etag="remote"))


@pytest.fixture
def site(tmp_path: Path):
    it = Sited(tmp_path)
    yield it
    it.edge.close()


def sequence_of(appended: Any) -> int:
    return int(appended.records[0].sequence)


async def test_a_listing_has_a_write_that_is_confirmed_while_the_remote_lists(site: Sited):
    """The remote's page was made before the object came, and the object is not pending any more when it is merged."""
    site.confirm_meanwhile(sequence_of(site.edge.do(put(BUCKET, "a"))))
    source = MergedSource(site.edge.ask, site.asking, BUCKET, "")
    page = await make_page(source, ListRequest(BUCKET, "", "", Start("", inclusive=False), 1000))
    assert [one.key for one in page.objects] == ["a"]


async def test_a_listing_lacks_what_was_deleted_while_the_remote_lists(site: Sited):
    """The other way round."""
    site.remote.keys = {"a": "e", "b": "e"}
    site.confirm_meanwhile(sequence_of(site.edge.do(delete(BUCKET, "a"))))
    source = MergedSource(site.edge.ask, site.asking, BUCKET, "")
    page = await make_page(source, ListRequest(BUCKET, "", "", Start("", inclusive=False), 1000))
    assert [one.key for one in page.objects] == ["b"]


async def test_a_bucket_can_go_whose_last_deletion_is_confirmed_while_the_remote_lists(site: Sited):
    """Otherwise it would be refused as not empty, for a key that was deleted before."""
    site.remote.keys = {"a": "e"}
    site.confirm_meanwhile(sequence_of(site.edge.do(delete(BUCKET, "a"))))
    await site.buckets.delete_bucket(site.call(BUCKET))
    assert not site.edge.ask.bucket(BUCKET).present


async def test_a_bucket_is_made_again_whose_deletion_is_on_its_way(site: Sited):
    """The remote still has the old one when it is asked: that is no reason to leave out the new one."""
    site.edge.do(create("mine"))
    site.confirm_meanwhile(sequence_of(site.edge.do(delete_bucket("mine"))))
    site.remote.buckets.add("mine")
    reply = await site.buckets.create_bucket(site.call("mine"))
    assert reply.sequence
    assert site.edge.ask.bucket("mine").present


async def test_a_bucket_stays_deleted_that_the_remote_listed_before_it_went(site: Sited):
    """An old list, which arrives behind the confirmation, does not bring it back, for listings or for writers."""
    site.edge.do(create("mine"))
    site.confirm_meanwhile(sequence_of(site.edge.do(delete_bucket("mine"))))
    site.remote.buckets.add("mine")
    assert [row.name for row in (await list_buckets(site.edge.ask, site.asking))[0]] == [BUCKET]
    assert not site.edge.ask.bucket("mine").present
    site.remote.meanwhile = lambda: None
    assert "mine" in [row.name for row in (await list_buckets(site.edge.ask, site.asking))[0]], "somebody made it again"


async def test_a_condition_is_not_decided_on_what_was_there_before_our_own_write(site: Sited):
    """An answer that is older than the confirmation of our own write says nothing about the object of now."""
    before = site.edge.now_ms
    written = site.edge.do(put(BUCKET, "a", b"new"))
    site.edge.do(confirm(sequence_of(written), etag="new"))
    site.edge.run(ObjectFact(BUCKET, "a", present=True, seen_ms=before, etag="old"))
    site.remote.keys = {"a": "new"}
    submitter = Submitter(site._submit, site.asking)
    await submitter.submit(put(BUCKET, "a", b"newer", since_ms=before, IfMatch='"new"'))
