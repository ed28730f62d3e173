"""Order across and within keys, whatever the order of completion."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.replicator.lanes import Claims, Lanes, claims_of, with_order
from s3d.values import Order


def conflict(one: Claims, other: Claims) -> bool:
    """The rule itself, written the long way round."""
    return bool(
        set(one.writes) & set(other.writes) or set(one.writes) & set(other.reads) or set(one.reads) & set(other.writes)
    )


BUCKETS = st.sampled_from(["x", "y"])
KEYS = st.sampled_from(["1", "2", "3"])
NAMES = st.one_of(
    st.builds(claims_of, BUCKETS, KEYS),
    st.builds(claims_of, BUCKETS, KEYS),
    st.builds(claims_of, BUCKETS, KEYS, BUCKETS, KEYS),
    st.builds(claims_of, BUCKETS, st.just("")),
)
ORDERS = st.builds(Order, st.sampled_from(["g", "h/x"]), st.sampled_from([None, True, False]))
CLAIMS = st.one_of(NAMES, NAMES, st.builds(with_order, NAMES, ORDERS))


@dataclass
class Run:
    """Drives Lanes as the replicator does: a scan with a small window, random completion, some records parked."""

    records: list[Claims]
    parked: set[int]
    window: int
    lanes: Lanes

    def __post_init__(self) -> None:
        self.cursor = 0
        self.taken: list[int] = []
        self.done: list[int] = []
        self.waits: set[int] = set()  # durably parked

    def refill(self) -> None:
        while self.cursor < len(self.records) and len(self.lanes) < self.window:
            sequence = self.cursor = self.cursor + 1
            if sequence in self.done or sequence in self.lanes:
                continue
            claims = self.records[sequence - 1]
            if sequence in self.waits:
                self.lanes.block(sequence, claims)
            else:
                self.lanes.admit(sequence, claims)

    def run(self, data: st.DataObject, lanes_max: int) -> None:
        while True:
            self.refill()
            while len(self.taken) < lanes_max and (sequence := self.lanes.take()) is not None:
                self.check_order(sequence)
                self.taken.append(sequence)
            if not self.taken:
                assert len(self.lanes) == 0, "something in the window can never go on"
                if self.cursor >= len(self.records):
                    return
                continue
            sequence = data.draw(st.sampled_from(self.taken))
            self.taken.remove(sequence)
            if sequence in self.parked:
                self.waits.add(sequence)
                left = self.lanes.block(sequence)
                assert left[0] == sequence
                assert not set(left) & set(self.taken), "nothing that is being sent conflicts with another"
            else:
                self.done.append(sequence)
                self.lanes.finish(sequence)

    def check_order(self, sequence: int) -> None:
        mine = self.records[sequence - 1]
        for earlier in range(1, sequence):
            if earlier not in self.done:
                assert not conflict(self.records[earlier - 1], mine), f"{sequence} overtakes {earlier}"

    def held_back(self) -> set[int]:
        """Parked records and, transitively, those that conflict with an earlier one of them."""
        held: set[int] = set()
        for sequence, mine in enumerate(self.records, 1):
            if sequence in self.parked or any(conflict(self.records[other - 1], mine) for other in held):
                held.add(sequence)
        return held


@settings(max_examples=300, deadline=None)
@given(st.lists(CLAIMS, max_size=25), st.data())
def test_everything_goes_in_order_and_nothing_starves(records: list[Claims], data: st.DataObject) -> None:
    """Conflicting records keep their order; exactly what is behind a parked one stays; resuming it frees the rest."""
    parked = data.draw(st.sets(st.integers(1, max(1, len(records))), max_size=3)) if records else set()
    run = Run(records, set(parked), data.draw(st.integers(1, 8)), Lanes())
    lanes_max = data.draw(st.integers(1, 4))
    run.run(data, lanes_max)
    everything = set(range(1, len(records) + 1))
    held = run.held_back() & everything
    assert set(run.done) == everything - held
    while run.parked & everything:
        freed = data.draw(st.sampled_from(sorted(run.parked & everything)))
        run.parked.discard(freed)
        run.waits.discard(freed)
        run.lanes.rewind()
        run.cursor = 0
        run.run(data, lanes_max)
        assert set(run.done) == everything - run.held_back()
    assert set(run.done) == everything
    assert not run.lanes._queues, "nothing is left behind"


@settings(max_examples=100, deadline=None)
@given(st.lists(CLAIMS, max_size=25), st.data())
def test_order_holds_when_the_blocked_sets_are_full(records: list[Claims], data: st.DataObject) -> None:
    """With no room for names whole buckets are held back: more than needed, but never out of order."""
    parked = data.draw(st.sets(st.integers(1, max(1, len(records))), max_size=3)) if records else set()
    run = Run(records, set(parked), data.draw(st.integers(1, 8)), Lanes(blocked_max=1))
    run.run(data, lanes_max=2)
    assert not set(run.done) & run.held_back()
    run.parked.clear()
    run.waits.clear()
    run.lanes.rewind()
    run.cursor = 0
    run.run(data, lanes_max=2)
    assert len(run.done) == len(records)


def admitted(*claims: Claims) -> Lanes:
    lanes = Lanes()
    for sequence, one in enumerate(claims, 1):
        assert lanes.admit(sequence, one)
    return lanes


def take_all(lanes: Lanes) -> list[int]:
    taken = []
    while (sequence := lanes.take()) is not None:
        taken.append(sequence)
    return taken


def test_a_bucket_goes_before_its_objects_and_after_them() -> None:
    """Decision 24: DeleteBucket is a barrier in both directions."""
    bucket, one, two = claims_of("b", ""), claims_of("b", "1"), claims_of("b", "2")
    lanes = admitted(bucket, one, two, bucket, one)
    assert take_all(lanes) == [1]
    lanes.finish(1)
    assert take_all(lanes) == [2, 3]
    lanes.finish(3)
    assert take_all(lanes) == []
    lanes.finish(2)
    assert take_all(lanes) == [4]
    lanes.finish(4)
    assert take_all(lanes) == [5]


def test_a_copy_waits_for_its_source_and_the_source_for_its_copy() -> None:
    """Decision 21: PUT a, COPY a to b, PUT a again."""
    put, copy = claims_of("b", "a"), claims_of("b", "b", "b", "a")
    lanes = admitted(put, copy, put)
    for sequence in (1, 2, 3):
        assert take_all(lanes) == [sequence]
        lanes.finish(sequence)


def test_the_oldest_ready_record_goes_first() -> None:
    """Q1: whatever the order in which they became ready."""
    lanes = admitted(claims_of("b", "1"), claims_of("b", "1"), claims_of("b", "2"), claims_of("b", "3"))
    assert lanes.take() == 1
    lanes.finish(1)
    assert take_all(lanes) == [2, 3, 4]


@pytest.mark.parametrize("key", ["", "k"])
def test_a_copy_onto_itself_does_not_wait_for_itself(key: str) -> None:
    """S3 allows it to change metadata."""
    lanes = admitted(claims_of("b", "k", "b", "k") if key else claims_of("b", ""))
    assert lanes.take() == 1


def in_group(key: str, barrier: bool | None = None) -> Claims:
    return with_order(claims_of("b", key), Order("g", barrier))


def test_a_group_goes_one_after_another_across_keys() -> None:
    """Whoever is in no group, or in another one, goes beside it."""
    other = with_order(claims_of("b", "4"), Order("h"))
    lanes = admitted(in_group("1"), in_group("2"), claims_of("b", "3"), other)
    assert take_all(lanes) == [1, 3, 4]
    lanes.finish(1)
    assert take_all(lanes) == [2]


def test_a_manifest_goes_after_its_parts_and_they_go_side_by_side() -> None:
    """And what comes after the manifest goes after it."""
    lanes = admitted(in_group("1", False), in_group("2", False), in_group("manifest", True), in_group("3", False))
    assert take_all(lanes) == [1, 2]
    lanes.finish(2)
    assert take_all(lanes) == []
    lanes.finish(1)
    assert take_all(lanes) == [3]
    lanes.finish(3)
    assert take_all(lanes) == [4]


def test_a_group_is_no_object_of_the_same_name() -> None:
    """Names of groups may look like buckets and keys."""
    lanes = Lanes()
    lanes.block(1, with_order(claims_of("b", "k"), Order("c/k")))
    assert lanes.admit(2, claims_of("c", "k"))
    assert not lanes.admit(3, with_order(claims_of("d", "k"), Order("c/k")))


def test_a_parked_bucket_costs_one_name_however_many_objects_wait() -> None:
    """A CreateBucket that a stranger's bucket blocks must not fill the memory with what depends on it."""
    lanes = Lanes()
    lanes.block(1, claims_of("b", ""))
    for sequence in range(2, 10_000):
        assert not lanes.admit(sequence, claims_of("b", f"k{sequence}"))
    assert (lanes._blocked_writes, lanes._blocked_reads) == ({"b"}, set())


def test_a_long_queue_is_blocked_in_reasonable_time() -> None:
    """5,000 records behind a bucket and a barrier in their middle leave in one pass."""
    keys = [claims_of("b", f"k{number}") for number in range(5000)]
    lanes = admitted(claims_of("b", ""), *keys[:2500], claims_of("b", ""), *keys[2500:])
    assert lanes.take() == 1
    assert len(lanes.block(1)) == 5002
    assert len(lanes) == 0
