"""What is promised of writes that a rule guards: seen from the journal, from the remote, and by the strangers there.

Nothing of a stranger's is replaced but by a write that was told of it, or after a conflict that says so and was decided
for us; a conflict is with a stranger, never with ourselves, and not with what the remote had told before; what was
decided is what the rule says; and what gave way is at the remote beside the other's where both are kept.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from journal import Record
from s3d.events import CONFLICTED, GIVE_WAY, RESUMED, Conflicted, decode_conflicted, decode_mutation, decode_resumed
from s3d.replicator.conflicts import GUARDED
from s3d.replicator.requests import job_of

NOTHING = ""  # the ETag of what is not there
KNOWN_AFTER_SECONDS = 5.0  # an answer on its way back is not known yet
Name = tuple[str, str]


@dataclass(frozen=True)
class Guarded:
    """A write that is guarded: of which key, and what it believed to replace (None: what the one before it makes).

    `told` is what the remote had told a reader last that it has there.
    """

    name: Name
    kind: str
    believed: str | None
    replaces: int
    told: str | None


class Guards:
    """`policies` has the rule for each bucket that has one. `accuse` is told what is wrong."""

    def __init__(self, policies: Mapping[str, str], now: Callable[[], float], accuse: Callable[[str], None]) -> None:
        self.policies = policies
        self._now = now
        self._accuse = accuse
        self._told: dict[Name, tuple[float, str]] = {}
        self._writes: dict[int, Guarded] = {}
        self._foreign: defaultdict[Name, set[str]] = defaultdict(set)
        self._standing: dict[Name, str] = {}  # the ETags of what strangers have made of keys, while that is there
        self._resumed: set[int] = set()
        self.conflicts: dict[int, Conflicted] = {}

    # told by the journal

    def journaled(self, record: Record) -> None:
        """A record is durable."""
        if not self.policies:
            return
        if record.kind in GUARDED and decode_mutation(record.payload).conflict:
            job = job_of(record)
            name, mutation = (job.bucket, job.key), job.mutation
            moment, told = self._told.get(name, (0.0, None))
            known = told if moment < self._now() - KNOWN_AFTER_SECONDS else None
            self._writes[record.sequence] = Guarded(name, record.kind, mutation.believed, mutation.replaces, known)
        elif record.kind == CONFLICTED:
            self._conflicted(decode_conflicted(record.payload))
        elif record.kind == RESUMED:
            self._resumed.update(decode_resumed(record.payload).sequences)

    def _conflicted(self, conflicted: Conflicted) -> None:
        write = self._writes[conflicted.sequence]
        there = conflicted.theirs.etag if conflicted.theirs.present else NOTHING
        if there not in self._foreign[write.name]:
            self._accuse(f"{write} is said to conflict with {there!r}, which no stranger has made")
        if there == write.told and write.believed is not None:
            self._accuse(f"{write} conflicts with what it should have known")
        policy = self.policies[write.name[0]]
        if conflicted.decided != policy and (policy != "keep-both" or conflicted.decided == "local"):
            self._accuse(f"{write} was decided {conflicted.decided}, and the rule says {policy}")
        self.conflicts[conflicted.sequence] = conflicted
        self._resumed.discard(conflicted.sequence)

    def forget(self) -> None:
        """The daemon was killed: what was only learned may be lost."""
        self._told.clear()

    # told by strangers, and by the remote

    def told(self, bucket: str, key: str, etag: str) -> None:
        """The remote has told a reader that this is there."""
        self._told[bucket, key] = (self._now(), etag)

    def meddled(self, bucket: str, key: str, etag: str) -> None:
        """A stranger has put something there, or (NOTHING) taken away what was there."""
        self._foreign[bucket, key].add(etag)
        self._standing[bucket, key] = etag

    def replaced(self, operation: str, bucket: str, key: str, sequence: int | None) -> None:
        """A request of ours took effect on a key. `sequence`: of its record, where an object's token names that."""
        name = bucket, key
        if self._standing.get(name) == NOTHING and operation == "DeleteObject":
            return
        etag = self._standing.pop(name, None)
        if etag is None or bucket not in self.policies:
            return
        alike = [one for one, write in self._writes.items() if (write.name, write.kind) == (name, operation)]
        if not any(self._may_replace(one, etag) for one in (alike if sequence is None else [sequence])):
            self._accuse(
                f"{operation} {sequence} of {bucket}/{key} went over {etag!r}, a stranger's, and nobody said so"
            )

    def _may_replace(self, sequence: int, etag: str) -> bool:
        conflict, write = self.conflicts.get(sequence), self._writes.get(sequence)
        if conflict is not None:
            theirs = conflict.theirs.etag if conflict.theirs.present else NOTHING
            goes_over = conflict.decided == "local" or (conflict.decided == "hold" and sequence in self._resumed)
            if goes_over and theirs == etag:
                return True
        if write is None:
            return False
        return self._may_replace(write.replaces, etag) if write.believed is None else write.believed == etag

    # at the end

    def gave_way(self, sequence: int) -> bool:
        """Whether the other's was left there in place of this write."""
        return sequence in self.conflicts and self.conflicts[sequence].decided in GIVE_WAY

    def siblings(self) -> list[tuple[str, str, int, str]]:
        """Bucket, key and place of what gave way to be kept beside the other's, and the key that it is kept under."""
        kept = [(one, conflict) for one, conflict in self.conflicts.items() if conflict.decided == "keep-both"]
        return [(*self._writes[one].name, one, conflict.sibling) for one, conflict in kept]
