"""Which buckets stay local, made to agree with the configuration when the daemon starts.

A bucket's records say whether it stays local; from then on the configuration must say the same. What goes to the remote
and what does not cannot be mixed in one bucket: a remote that has half of it, or a copy that is the only one and looks
like one of two, would be found out too late. So a bucket changes sides only while nothing is in it.
"""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.errors import ConfigurationError
from s3d.events import Mutation, encode
from s3d.view.questions import SEQUENCE_MAX

BY = "configuration"


class SettleLocalBuckets(msgspec.Struct, frozen=True):
    """Make the buckets that are to stay local, and remove empty ones that no longer are.

    Raises ConfigurationError, and changes nothing, where something is in a bucket that would change sides.
    """

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        entries = [_create(state, name) for name in sorted(state.local) if not _stays_local(state, name)]
        gone = [name for name in state.questions.local_buckets() if name not in state.local]
        return Decision(entries + [_remove(state, name) for name in gone])


def _stays_local(state: Knowledge, name: str) -> bool:
    row = state.questions.bucket(name)
    return row is not None and row.present and row.stays_local


def _create(state: Knowledge, name: str) -> Entry:
    if _holds_something(state, name) or state.questions.pending_before(name, "", SEQUENCE_MAX, 1):
        raise ConfigurationError(
            f"the bucket {name} is to stay local, but what is in it goes to the remote",
            hint="give the local bucket another name, or empty this one first and wait until nothing of it is pending",
        )
    return Entry(name, "CreateBucket", encode(Mutation(caller=BY, stays_local=True)))


def _remove(state: Knowledge, name: str) -> Entry:
    if _holds_something(state, name):
        raise ConfigurationError(
            f"the bucket {name} stays local until now, and something is in it that no remote has",
            hint="put stays_local = true back; copy what is wanted into another bucket and delete the rest first",
        )
    return Entry(name, "DeleteBucket", encode(Mutation(caller=BY, stays_local=True)))


def _holds_something(state: Knowledge, name: str) -> bool:
    return state.questions.has_objects(name) or bool(state.questions.open_uploads(name, "", None, 1))
