"""Which records may be sent now: those that no earlier unfinished record is in conflict with. Pure.

A record claims resources, each to read or to write. Two records conflict when they claim the same resource and one of
them writes; conflicting records go in sequence order, all others as they like. A key's own order, "bucket before its
objects", "objects gone before their bucket", "source before its copy" and "the copy before the source's next version"
are all this one rule.

A parked record blocks what conflicts with it, and what is blocked blocks in turn. None of it is kept record by record:
the claims of blocked records are merged into two sets, and when something of it is freed the scan of the pending
records begins again (`rewind`), which finds them in the journal's order.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from s3d.policy.urgency import PRIORITIES, Priority
from s3d.replicator.ready import ORDINARY, OldestFirst, Rank, Ready, raised
from s3d.values import Order

BLOCKED_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Claims:
    """What a record changes and what it relies on."""

    writes: tuple[str, ...]
    reads: tuple[str, ...] = ()


def claims_of(bucket: str, key: str, copy_bucket: str = "", copy_key: str = "") -> Claims:
    """A record of a key writes the key and relies on its bucket; a record of a bucket writes the bucket.

    The kind does not matter: one that is not known is ordered like the others.
    """
    if not key:
        return Claims((bucket,))
    if not copy_key:
        return Claims((f"{bucket}/{key}",), (bucket,))
    source = f"{copy_bucket}/{copy_key}"
    reads = {bucket, copy_bucket, source} - {f"{bucket}/{key}"}  # a copy onto itself only writes
    return Claims((f"{bucket}/{key}",), tuple(sorted(reads)))


def upload_claims(kind: str, bucket: str, key: str, upload: str, part: int) -> Claims:
    """Decision 24: the parts of an upload go side by side, after its beginning and before its end; Complete joins the
    object's own lane.
    """
    whole = f"{bucket}/{key}?upload={upload}"
    if kind == "UploadPart":
        return Claims((f"{whole}&part={part}",), (bucket, whole))
    if kind == "CompleteMultipartUpload":
        return Claims((f"{bucket}/{key}", whole), (bucket,))
    return Claims((whole,), (bucket,))


def with_order(claims: Claims, order: Order | None) -> Claims:
    """The claims of a record in an order group: a resource that its records write, and those that go side by side read.

    No bucket's name is empty, so a group is no object. What all groups rely on has the empty name, as a bucket would.
    """
    if order is None:
        return claims
    if order.barrier is False:
        return Claims(claims.writes, (*claims.reads, "", f"/{order.group}"))
    return Claims((*claims.writes, f"/{order.group}"), (*claims.reads, ""))


class _Queue:
    """The claims to one resource: those that are granted, then those that wait, first come first served."""

    __slots__ = ("granted", "waiting", "written")

    def __init__(self) -> None:
        self.granted: set[int] = set()
        self.written = False  # the one granted claim is a write
        self.waiting: OrderedDict[int, bool] = OrderedDict()

    def promote(self) -> list[int]:
        """Grant what can be granted now."""
        promoted: list[int] = []
        while self.waiting and not self.written:
            sequence, writes = next(iter(self.waiting.items()))
            if writes and self.granted:
                break
            del self.waiting[sequence]
            self.granted.add(sequence)
            self.written = writes
            promoted.append(sequence)
        return promoted

    def remove(self, sequence: int) -> None:
        if sequence in self.granted:
            self.granted.discard(sequence)
            self.written = False
        else:
            self.waiting.pop(sequence, None)

    def conflicting(self, *, writes: bool) -> list[int]:
        """Those in it that a new claim would have to wait for."""
        granted = list(self.granted) if writes or self.written else []
        return granted + [other for other, wants in self.waiting.items() if writes or wants]

    def behind(self, sequence: int, *, writes: bool) -> list[int]:
        """Those that wait for this claim."""
        return [other for other, wants in self.waiting.items() if other > sequence and (writes or wants)]


class _Item:
    __slots__ = ("claims", "missing", "rank", "taken")

    def __init__(self, claims: Claims, rank: Rank) -> None:
        self.claims = claims
        self.missing = len(claims.writes) + len(claims.reads)
        self.rank = rank
        self.taken = False

    @property
    def is_startable(self) -> bool:
        return self.missing == 0 and not self.taken


class Lanes:
    """The window of records that are loaded and neither finished nor blocked."""

    def __init__(self, blocked_max: int = BLOCKED_MAX, ready: Ready | None = None) -> None:
        self._items: dict[int, _Item] = {}
        self._queues: dict[str, _Queue] = {}
        self._ready = ready or OldestFirst()
        self._startable = dict.fromkeys(PRIORITIES, 0)
        self._blocked_max = blocked_max
        self._blocked_writes: set[str] = set()
        self._blocked_reads: set[str] = set()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._items

    def startable(self, priority: Priority) -> int:
        """How many of a class could be taken now."""
        return self._startable[priority]

    @property
    def blocking(self) -> bool:
        """Whether any resource is blocked."""
        return bool(self._blocked_writes or self._blocked_reads)

    def admit(self, sequence: int, claims: Claims, rank: Rank = ORDINARY) -> bool:
        """Take a record in, after all that it conflicts with and that came before it. False: it is blocked, and left
        where it is. What it has to wait for is raised to its rank.
        """
        assert sequence not in self._items, f"record {sequence} is in the window already"
        if self.is_blocked(claims):
            self._merge(claims)
            return False
        if rank is not ORDINARY and self._has_conflicts(claims):
            self._raise(claims, rank)
        self._items[sequence] = _Item(claims, rank)
        for resource, writes in _each(claims):
            queue = self._queues.setdefault(resource, _Queue())
            queue.waiting[sequence] = writes
            self._grant(queue)
        return True

    def take(self, now_ms: float = 0.0, allowed: Collection[Priority] = PRIORITIES) -> int | None:
        """The next record that may be sent and has not been taken; without priorities the oldest."""
        sequence = self._ready.pop(self._is_current, now_ms, allowed)
        if sequence is not None:
            item = self._items[sequence]
            item.taken = True
            self._startable[item.rank.priority] -= 1
        return sequence

    def rank(self, sequence: int) -> Rank:
        """That of a record in the window, as it is by now."""
        return self._items[sequence].rank

    def raise_to(self, sequence: int, rank: Rank) -> None:
        """A record in the window goes where one of this rank would go, unless its own is higher."""
        if rank is not ORDINARY:
            self._raise_one(sequence, rank)

    def reorder(self, ready: Ready, rank_of: Callable[[int], Rank]) -> None:
        """Go by other ranks from now on, in this order; what was taken stays taken."""
        self._ready = ready
        for sequence, item in self._items.items():
            item.rank = rank_of(sequence)
        for sequence, item in self._items.items():
            if item.rank is not ORDINARY:
                self._raise(item.claims, item.rank, before=sequence)
        self._startable = dict.fromkeys(PRIORITIES, 0)
        for sequence, item in self._items.items():
            if item.is_startable:
                self._push(sequence, item)

    def behind(self, sequence: int, limit: int, fits: Callable[[int], bool]) -> list[int]:
        """Records that wait for nothing but this one, directly behind one another and it, as long as they fit.

        Each claims the same: nothing between them relies on what an earlier one of them makes.
        """
        claims = self._items[sequence].claims
        queue, found = self._queues[claims.writes[0]], list[int]()
        for other in queue.waiting:
            item = self._items[other]
            if len(found) == limit or item.claims != claims or item.missing != 1 or not fits(other):
                break
            found.append(other)
        return found

    def finish(self, sequence: int) -> None:
        """A record is done; whoever waited for it may go on."""
        self._drop(sequence)

    def block(self, sequence: int, claims: Claims | None = None) -> list[int]:
        """A record cannot go on: it, and all in the window that waits for it, leave. Returns those that left.

        For a record that is not in the window its claims are given.
        """
        if claims is not None:
            assert sequence not in self._items, f"record {sequence} has claims of its own"
            self._merge(claims)
            return []
        left: list[int] = []
        seen: set[tuple[str, bool]] = set()
        due = [sequence]
        while due:
            current = heapq.heappop(due)
            item = self._items.get(current)
            if item is None:
                continue
            for resource, writes in _each(item.claims):
                if (resource, True) in seen or (resource, writes) in seen:
                    continue  # oldest first: what waits for this one was found behind an older one
                seen.add((resource, writes))
                for other in self._queues[resource].behind(current, writes=writes):
                    heapq.heappush(due, other)
            self._merge(item.claims)
            self._drop(current)
            left.append(current)
        return left

    def rewind(self) -> None:
        """Forget what is blocked. The scan must begin again at the first pending record."""
        self._blocked_writes.clear()
        self._blocked_reads.clear()

    def is_blocked(self, claims: Claims) -> bool:
        """Whether a record with these claims would have to wait for one that is blocked."""
        writes, reads = self._blocked_writes, self._blocked_reads
        return any(one in writes or one in reads for one in claims.writes) or any(one in writes for one in claims.reads)

    def _merge(self, claims: Claims) -> None:
        """Block what a blocked record claims.

        Where a bucket is blocked for writing its keys need not be named: everything in it relies on the bucket. That
        is also how the sets stay bounded: beyond `blocked_max` whole buckets are blocked, which holds back more than
        it must, but never lets anything overtake.
        """
        full = len(self._blocked_writes) + len(self._blocked_reads) >= self._blocked_max
        for resource, writes in _each(claims):
            bucket = resource.partition("/")[0]
            if bucket in self._blocked_writes:
                continue
            if full and bucket != resource:
                self._blocked_writes.add(bucket)
            else:
                (self._blocked_writes if writes else self._blocked_reads).add(resource)

    def _drop(self, sequence: int) -> None:
        item = self._items.pop(sequence)
        if item.is_startable:
            self._startable[item.rank.priority] -= 1
        for resource, _ in _each(item.claims):
            queue = self._queues[resource]
            queue.remove(sequence)
            self._grant(queue)
            if not queue.granted and not queue.waiting:
                del self._queues[resource]

    def _grant(self, queue: _Queue) -> None:
        for sequence in queue.promote():
            item = self._items[sequence]
            item.missing -= 1
            if item.missing == 0:
                self._push(sequence, item)

    def _push(self, sequence: int, item: _Item) -> None:
        self._startable[item.rank.priority] += 1
        self._ready.push(sequence, item.rank)

    def _is_current(self, sequence: int, rank: Rank) -> bool:
        item = self._items.get(sequence)
        return item is not None and not item.taken and item.missing == 0 and item.rank is rank

    def _has_conflicts(self, claims: Claims) -> bool:
        """Whether a record with these claims would have to wait; quicker than to name those before it."""
        for resource in claims.writes:
            if resource in self._queues:
                return True
        for resource in claims.reads:
            queue = self._queues.get(resource)
            if queue is not None and (queue.written or queue.waiting):
                return True
        return False

    def _raise(self, claims: Claims, rank: Rank, before: float = math.inf) -> None:
        """Whatever stands before a record with these claims goes with it, not after others."""
        due: list[tuple[Claims, float]] = [(claims, before)]
        while due:
            waiting, before = due.pop()
            for resource, writes in _each(waiting):
                queue = self._queues.get(resource)
                found = queue.conflicting(writes=writes) if queue is not None else ()
                higher = [one for one in found if one < before and self._raise_one(one, rank)]
                due += [(self._items[sequence].claims, sequence) for sequence in higher]

    def _raise_one(self, sequence: int, rank: Rank) -> bool:
        item = self._items[sequence]
        higher = raised(item.rank, rank)
        if higher is item.rank:
            return False
        before, item.rank = item.rank, higher
        if item.is_startable:
            self._startable[before.priority] -= 1
            self._push(sequence, item)
        return True


def _each(claims: Claims) -> Iterable[tuple[str, bool]]:
    for resource in claims.writes:
        yield resource, True
    for resource in claims.reads:
        yield resource, False
