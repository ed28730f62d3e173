"""What would be wrong where others write, too, and where there are several remotes; see mutants.py."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from journal import Decision
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.commands.conflicts import RecordConflict
from s3d.commands.knowledge import Knowledge
from s3d.events import Confirmation
from s3d.policy.bucket_map import BucketMap
from s3d.remote.failures import RemoteFailure
from s3d.remote.upstream import Upstreams
from s3d.replicator import conflicting, transfer
from s3d.replicator.conflicts import Clash, Ourselves
from s3d.replicator.decide import Done
from s3d.replicator.delivery import Delivery, GaveWay, Held
from s3d.replicator.tokens import Tokens
from s3d.replicator.transfer import Transfer
from s3d.replicator.window import Window
from s3d.values import BucketSet
from s3d.view.questions import Questions

_judge = conflicting.judge
_contested = Delivery._contested
_record_conflict = RecordConflict.decide
_guard = Knowledge.guard
_replications = Replications.__init__
_transfer = Transfer.__init__


# of guarded writes


def whatever_is_there_is_ours() -> AbstractContextManager[Any]:
    """A condition that is not met is repeated with what is there."""

    def judge(*arguments: Any, **named: Any) -> Any:
        found = _judge(*arguments, **named)
        side = found.theirs.side if isinstance(found, Clash) else None
        return found if side is None else Ourselves(side.etag if side.present else "")

    return patch.object(conflicting, "judge", judge)


def guarded_writes_leave_without_a_guard() -> AbstractContextManager[Any]:
    """The rule is remembered, and nothing goes out on a condition."""
    return patch.object(transfer, "is_guarded", lambda _: False)


def what_gives_way_is_sent_all_the_same() -> AbstractContextManager[Any]:
    """It was decided that the other's stands, and ours goes over it."""

    async def contested(self: Delivery, refused: RemoteFailure) -> Any:
        found = await _contested(self, refused)
        if not isinstance(found, GaveWay):
            return found
        there = await self._transfer.guarding.look(self.job)
        return self._again(there.etag if there.present else "")

    return patch.object(Delivery, "_contested", contested)


def what_is_held_goes_on_by_itself() -> AbstractContextManager[Any]:
    """A person was to decide, and it counts as done."""

    async def contested(self: Delivery, refused: RemoteFailure) -> Any:
        found = await _contested(self, refused)
        return Done(Confirmation(self.job.sequence)) if isinstance(found, Held) else found

    return patch.object(Delivery, "_contested", contested)


def nothing_is_kept_beside() -> AbstractContextManager[Any]:
    """Both were to be kept, and ours is forgotten."""

    def decide(self: RecordConflict, state: Knowledge, now_ms: int) -> Decision:
        decided = _record_conflict(self, state, now_ms)
        return Decision([one for one in decided.entries if one.kind != "PutObject"], decided.answer)

    return patch.object(RecordConflict, "decide", decide)


def an_earlier_write_of_ours_is_a_strangers() -> AbstractContextManager[Any]:
    """What is there is compared with this write only."""
    return patch.object(Tokens, "is_earlier", lambda *_: False)


def a_restart_forgets_what_was_decided() -> AbstractContextManager[Any]:
    """A write that a person lets go over the other's expects again what was there before."""
    return patch.object(Questions, "conflict", lambda *_: None)


def what_is_believed_is_what_was_here() -> AbstractContextManager[Any]:
    """A write that knew of a stranger's object expects ours."""

    def guard(self: Knowledge, bucket: str, key: str, row: Any) -> Any:
        found = dict(_guard(self, bucket, key, row))
        return found | {"believed": row.etag if row is not None else ""} if "believed" in found else found

    return patch.object(Knowledge, "guard", guard)


# of several remotes


def one_remote_gets_everything() -> AbstractContextManager[Any]:
    """The buckets that are named elsewhere are sent to `[remote]` as well."""
    buckets_at = BucketMap.buckets_at

    def everything(self: BucketMap, remote: str) -> BucketSet:
        return buckets_at(self, remote) if remote else BucketSet(frozenset(), others=True)

    return patch.object(BucketMap, "buckets_at", everything)


def everybody_reads_from_one_remote() -> AbstractContextManager[Any]:
    """Nobody asks where a bucket is."""
    return patch.object(Upstreams, "_of", lambda self, _bucket: self._upstreams[""])


def a_group_ends_at_the_border() -> AbstractContextManager[Any]:
    """What another remote gets holds nothing up here."""
    return patch.object(Window, "_hold_group", lambda *_: None)


def nobody_hears_of_the_others() -> AbstractContextManager[Any]:
    """Another remote has what a group waits for, and it goes on waiting."""

    def settled_elsewhere(_self: Replication, _sequences: Iterable[int]) -> None:
        pass

    return patch.object(Replication, "settled_elsewhere", settled_elsewhere)


def one_link_is_all_links() -> AbstractContextManager[Any]:
    """While one remote is away nothing is sent to the other."""

    def make(self: Replications, *arguments: Any, **named: Any) -> None:
        _replications(self, *arguments, **named)
        for one in self._all:
            one._replicator._link = self._all[0]._link

    return patch.object(Replications, "__init__", make)


def a_copy_knows_no_border() -> AbstractContextManager[Any]:
    """A remote is asked to copy from a bucket that it does not have."""

    def make(self: Transfer, *arguments: Any, **named: Any) -> None:
        _transfer(self, *arguments, **named | {"buckets": None})

    return patch.object(Transfer, "__init__", make)


OF_OTHERS = (
    (whatever_is_there_is_ours, "short conflicts", 0),
    (guarded_writes_leave_without_a_guard, "short conflicts", 0),
    (what_gives_way_is_sent_all_the_same, "short conflicts", 5),
    (what_is_held_goes_on_by_itself, "short conflicts", 7),
    (nothing_is_kept_beside, "short conflicts", 5),
    (an_earlier_write_of_ours_is_a_strangers, "short conflicts", 149),
    (a_restart_forgets_what_was_decided, "short conflicts", 7),
    (what_is_believed_is_what_was_here, "short conflicts", 123),
    (one_remote_gets_everything, "short remotes", 0),
    (everybody_reads_from_one_remote, "short remotes", 0),
    (a_group_ends_at_the_border, "short remotes", 20),
    (nobody_hears_of_the_others, "short remotes", 3),
    (one_link_is_all_links, "short remotes", 3),
    (a_copy_knows_no_border, "short remotes", 17),
)
