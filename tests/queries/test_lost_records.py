"""Where damage has taken records and nobody can be asked, what they may have written is unknown, not absent."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from edge_state import Edge, create, delete, delete_bucket, put

from journal import Decision, Entry
from journal.record import LOST, Lost
from s3d.auth.caller import Caller
from s3d.commands.accepting import AcceptLoss
from s3d.commands.objects import Origin
from s3d.commands.tagging import SetTags
from s3d.errors import S3Error
from s3d.operations.bucket_operations import BucketOperations
from s3d.operations.calls import Call
from s3d.operations.listings import Listings
from s3d.operations.submitting import Submitter
from s3d.queries.merging import Memory
from s3d.queries.objects import ObjectReader

BEFORE, AFTER, GONE = "before", "after", "deleted/before"
LATER_MS = 90_000


class Lose(msgspec.Struct, frozen=True):
    """What `s3d recover` writes in the places of so many records."""

    records: int = 1

    def decide(self, state: Any, now_ms: int) -> Decision:
        return Decision([Entry("", LOST, msgspec.json.encode(Lost())) for _ in range(self.records)])


class Alone:
    """A site without a remote, or one whose only bucket stays local (then its remote must not be asked)."""

    def __init__(self, directory: Path, *, stays_local: bool) -> None:
        self.bucket = "here"
        local = frozenset({self.bucket}) if stays_local else frozenset()
        self.edge = edge = Edge(directory, has_remote=stays_local, local=local)
        asking: Any = "a remote that must not be asked" if stays_local else None
        self.is_partial_allowed = False

        def memory_of(_bucket: str, _prefix: str) -> Memory:
            return Memory(is_partial_allowed=self.is_partial_allowed)

        self.reader = ObjectReader(edge.ask, asking, self, lambda _: True, self._are_sound)
        self.listings = Listings(edge.ask, asking, memory_of)
        self.buckets = BucketOperations(Submitter(self._submit, asking), edge.ask, asking, "us-east-1")

    def now(self) -> float:
        return (self.edge.now_ms + LATER_MS) / 1000

    async def list(self, **given: Any) -> Any:
        return await self.listings.list_objects_v2(self.call(**given))

    def call(self, **given: Any) -> Call:
        return Call("-", Caller("AKID", "127.0.0.1"), self.bucket, "", given, None, "REQUEST", self.edge.now_ms)

    async def _are_sound(self, _extents: Any) -> bool:
        return True

    async def _submit(self, command: Any, *, essential: bool = False) -> Any:
        return self.edge.do(command)


@pytest.fixture(params=[False, True], ids=["no remote", "stays local"])
def site(tmp_path: Path, request: pytest.FixtureRequest):
    """Two objects, a loss of two records between them, and one that was deleted before it."""
    it = Alone(tmp_path, stays_local=request.param)
    it.edge.run(create(it.bucket), put(it.bucket, BEFORE), put(it.bucket, GONE), delete(it.bucket, GONE))
    it.edge.run(Lose(2), put(it.bucket, AFTER))
    yield it
    it.edge.close()


def accept(site: Alone) -> Any:
    return site.edge.do(AcceptLoss("looked at it", "a person"))


async def code_of(asked: Any) -> str:
    """What it is refused with."""
    with pytest.raises(S3Error) as refused:
        await asked
    return refused.value.code


async def test_a_key_that_may_have_been_lost_is_unknown(site: Alone) -> None:
    """Until a person says that what is here is all there is. What was written since is known."""
    for key in ("never/seen", GONE):
        assert await code_of(site.reader.head(site.bucket, key)) == "RemoteUnreachable"
        assert await code_of(site.reader.open(site.bucket, key, {})) == "RemoteUnreachable"
    assert (await site.reader.open(site.bucket, AFTER, {})).age_seconds is None
    accept(site)
    for key in ("never/seen", GONE):
        assert await code_of(site.reader.head(site.bucket, key)) == "NoSuchKey"
        assert await code_of(site.reader.open(site.bucket, key, {})) == "NoSuchKey"


async def test_what_was_there_before_says_how_old_it_is(site: Alone) -> None:
    """Lost records may have replaced or deleted it."""
    found = await site.reader.open(site.bucket, BEFORE, {})
    assert found.extents is not None
    assert found.age_seconds is not None
    assert found.age_seconds >= LATER_MS // 1000
    assert (await site.reader.head(site.bucket, BEFORE)).age_seconds == found.age_seconds
    accept(site)
    assert (await site.reader.head(site.bucket, BEFORE)).age_seconds is None


async def test_a_key_that_is_written_or_deleted_again_is_known(site: Alone) -> None:
    """By whoever does that."""
    site.edge.run(put(site.bucket, "new"), put(site.bucket, GONE), delete(site.bucket, BEFORE))
    assert (await site.reader.head(site.bucket, "new")).age_seconds is None
    assert (await site.reader.head(site.bucket, GONE)).age_seconds is None
    assert await code_of(site.reader.head(site.bucket, BEFORE)) == "NoSuchKey"


async def test_a_listing_is_refused_or_says_that_it_is_partial(site: Alone) -> None:
    """A short one would be a lie."""
    assert await code_of(site.list()) == "RemoteUnreachable"
    site.is_partial_allowed = True
    reply = await site.list()
    assert reply.incomplete
    site.is_partial_allowed = False
    accept(site)
    reply = await site.list()
    assert (reply.output["KeyCount"], reply.incomplete) == (2, False)


async def test_nothing_is_decided_on_what_is_unknown(site: Alone) -> None:
    """Conditional writes, tags, and the deletion of a bucket of which nobody knows whether it is empty."""
    tags = SetTags(site.bucket, "never/seen", (("a", "b"),), Origin("AKID", "", "", site.edge.now_ms))
    refused = [
        put(site.bucket, "never/seen", IfNoneMatch="*"),
        put(site.bucket, BEFORE, IfMatch="x"),
        put(site.bucket, GONE, IfNoneMatch="*"),
        tags,
    ]
    outcomes = site.edge.run(*refused)
    assert [getattr(one, "code", "") for one in outcomes] == ["RemoteUnreachable"] * len(refused)
    (refusal,) = site.edge.run(put(site.bucket, AFTER, IfNoneMatch="*"))
    assert refusal.code == "PreconditionFailed"
    site.edge.run(delete(site.bucket, AFTER, BEFORE))
    (refusal,) = site.edge.run(delete_bucket(site.bucket))
    assert refusal.code == "RemoteUnreachable"
    accept(site)
    assert site.edge.do(put(site.bucket, "never/seen", IfNoneMatch="*")).records
    assert site.edge.do(tags).records
    assert site.edge.do(delete(site.bucket, "never/seen")).records
    assert site.edge.do(delete_bucket(site.bucket)).records


async def test_a_bucket_that_may_have_been_lost_is_unknown(tmp_path: Path) -> None:
    """So is the list of buckets; making one is making it certain."""
    site = Alone(tmp_path, stays_local=False)
    site.edge.run(create("other"), Lose())
    assert await code_of(site.buckets.head_bucket(site.call())) == "RemoteUnreachable"
    assert await code_of(site.listings.list_buckets(site.call())) == "RemoteUnreachable"
    assert getattr(site.edge.run(put(site.bucket, "k"))[0], "code", "") == "RemoteUnreachable"
    site.edge.run(create(site.bucket), put(site.bucket, "k"))
    assert (await site.reader.head(site.bucket, "k")).sequence
    accept(site)
    assert len((await site.listings.list_buckets(site.call())).output["Buckets"]) == 2
    site.bucket = "never-heard-of"
    assert await code_of(site.buckets.head_bucket(site.call())) == "NoSuchBucket"
    site.edge.close()


async def test_where_a_remote_can_be_asked_the_loss_itself_hides_nothing(tmp_path: Path) -> None:
    """There it is the new epoch that has the remote asked; and what a base stands for is not folded at all."""
    edge = Edge(tmp_path, has_remote=True)
    edge.run(create("b"), put("b", "k"), Lose())
    assert edge.ask.bucket("b").sole
    assert not edge.ask.is_out_of_date(edge.ask.object("b", "k"))
    edge.close()


def test_a_loss_outlives_restart_and_rebuild_and_so_does_its_acceptance(tmp_path: Path) -> None:
    """It is folded like everything else. Damage that comes later is not accepted with it."""
    edge = Edge(tmp_path)
    edge.run(create("b"), Lose(3))
    for number in range(2):
        edge.reopen()
        assert edge.ask.losses.through == (4 if number == 0 else 0)
        (tmp_path / f"rebuilt{number}").mkdir()
        rebuilt = edge.rebuilt(tmp_path / f"rebuilt{number}")
        assert rebuilt.folded() == edge.folded()
        assert rebuilt.ask.losses.through == edge.ask.losses.through
        rebuilt.close()
        edge.run(AcceptLoss("why", "who"))
    assert not edge.do(AcceptLoss("once more", "who")).records, "it is accepted already"
    edge.run(Lose())
    assert edge.ask.loss().records == 1
    edge.close()


def test_an_acceptance_is_of_what_was_lost_then(tmp_path: Path) -> None:
    """Damage that later takes more of what came before it is not accepted with it."""
    edge = Edge(tmp_path)
    edge.run(Lose(2))
    (accepted,) = accept_of(edge)
    more = Edge(make(tmp_path / "more"))
    more.run(Lose(3), Repeat(accepted))
    assert more.ask.losses.through == 3
    for one in (edge, more):
        one.close()


class Repeat(msgspec.Struct, frozen=True):
    """A record once more."""

    record: Any

    def decide(self, state: Any, now_ms: int) -> Decision:
        return Decision((Entry("", self.record.kind, self.record.payload),))


def accept_of(edge: Edge) -> Any:
    return edge.do(AcceptLoss("why", "who")).records


def make(directory: Path) -> Path:
    directory.mkdir()
    return directory
