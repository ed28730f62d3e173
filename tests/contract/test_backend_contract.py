"""One suite for every backend: what `Backend` promises, whatever is underneath."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from journal import (
    Backend,
    BaseInfo,
    CommitAmbiguous,
    Decision,
    Entry,
    Head,
    Journal,
    JournalDamaged,
    JournalError,
    MemoryBackend,
    Record,
    SqliteBackend,
    StreamChanged,
)
from journal.behind import verify_older
from journal.record import genesis, link
from journal.verify import verify_backend

FILE_BYTES_MAX = 200_000
BACKENDS = ["memory", "sqlite", "sqlite-exclusive"]


class Nothing:
    """A state that keeps nothing but its position."""

    position = 0
    _reached = 0

    def begin(self) -> None:
        self._reached = self.position

    def decide(self, command: Any, sequence: int, now_ms: int) -> Decision:
        return Decision(command)

    def fold(self, record: Record) -> None:
        self._reached = record.sequence

    def fold_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.fold(record)

    def publish(self) -> None:
        self.position = self._reached

    def revert(self) -> None:
        pass

    def discard(self) -> None:
        self.position = 0

    def restore(self, path: str, position: int) -> None:
        self.position = position


@pytest.fixture(params=BACKENDS)
def reopen(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Callable[[], Backend]]:
    """A function that opens the backend, after closing the one before it, as a restart would."""
    memory = MemoryBackend(file_records_max=5)
    last: list[Backend] = []

    def make() -> Backend:
        if request.param == "memory":
            return memory
        return SqliteBackend(
            f"{tmp_path}/j",
            exclusive=request.param == "sqlite-exclusive",
            ballast_bytes=0,
            file_bytes_max=FILE_BYTES_MAX,
        )

    def open_again() -> Backend:
        for backend in last:
            backend.close()
        last[:] = [make()]
        last[0].open()
        return last[0]

    yield open_again
    for backend in last:
        backend.close()


def chain(head: Head, *entries: Entry) -> list[Record]:
    records = []
    for entry in entries:
        record = link(head.hash, head.sequence + 1, 1000, entry)
        head = Head(record.sequence, record.hash)
        records.append(record)
    return records


def entry(stream: str = "b/k", payload: bytes = b"{}", body: bytes | None = None) -> Entry:
    digest = hashlib.sha256(body).digest() if body is not None else b""
    return Entry(stream, "PutObject", payload, body, digest, len(body or b""))


def head_of(backend: Backend) -> Head:
    records = backend.read(0, 1_000_000)
    return Head(records[-1].sequence, records[-1].hash) if records else Head(0, genesis(backend.identity.instance))


def test_a_new_backend_is_empty_and_its_head_is_the_genesis(reopen: Callable[[], Backend]) -> None:
    """The first hash binds the chain to this one journal."""
    backend = reopen()
    assert head_of(backend) == Head(0, genesis(backend.identity.instance))
    assert backend.identity.epoch == 1
    assert backend.read(0, 10) == []
    assert backend.positions() == {}


def test_records_come_back_in_order_and_unchanged(reopen: Callable[[], Backend]) -> None:
    """Every field survives, over two batches, for odd text and bytes too."""
    backend = reopen()
    records = chain(head_of(backend), entry("b/é\0//..", bytes(range(256))), entry("", b""), entry())
    backend.append(records[:2], {}, {})
    backend.append(records[2:], {}, {})
    assert backend.read(0, 10) == records
    assert backend.read(1, 1) == records[1:2]
    assert backend.read(3, 10) == []


def test_a_reopened_backend_has_everything_and_is_the_same_journal(reopen: Callable[[], Backend]) -> None:
    """Identity, records, bodies and positions survive a restart, and the chain goes on."""
    backend = reopen()
    identity = backend.identity
    records = chain(head_of(backend), entry(body=b"one"), entry())
    backend.append(records, {1: b"one"}, {"replicator": 1})
    backend = reopen()
    assert backend.identity == identity
    assert backend.read(0, 10) == records
    assert backend.body(1) == b"one"
    assert backend.positions() == {"replicator": 1}
    more = chain(head_of(backend), entry())
    backend.append(more, {}, {})
    assert verify_backend(backend, head_of(backend)) == 3


def test_pick_returns_what_exists_in_the_order_asked(reopen: Callable[[], Backend]) -> None:
    """Missing sequence numbers are left out."""
    backend = reopen()
    records = chain(head_of(backend), entry(), entry(), entry())
    backend.append(records, {}, {})
    assert backend.pick([3, 1, 99, 0]) == [records[2], records[0]]


def test_a_body_is_there_or_none(reopen: Callable[[], Backend]) -> None:
    """An empty body is a body; a record without one, and a record that is not there, have none."""
    backend = reopen()
    backend.append(chain(head_of(backend), entry(body=b""), entry()), {1: b""}, {})
    assert backend.body(1) == b""
    assert backend.body(2) is None
    assert backend.body(3) is None


def test_positions_never_go_back(reopen: Callable[[], Backend]) -> None:
    """Two holders of one follower's name cannot undo each other's progress; positions alone are a batch, too."""
    backend = reopen()
    backend.append(chain(head_of(backend), *[entry()] * 9), {}, {"a": 5})
    backend.append([], {}, {"a": 3, "b": 1})
    backend.append([], {}, {"b": 2})
    assert backend.positions() == {"a": 5, "b": 2}
    assert reopen().positions() == {"a": 5, "b": 2}


def test_a_batch_with_one_bad_record_leaves_nothing(reopen: Callable[[], Backend], request: Any) -> None:
    """All or nothing: records, bodies and positions; the backend stays usable."""
    backend = reopen()
    if isinstance(backend, MemoryBackend):
        pytest.skip("lists hold any value: this backend refuses nothing")
    good = chain(head_of(backend), entry(body=b"x"), entry())
    with pytest.raises((JournalError, TypeError)) as caught:
        backend.append([good[0], good[0]], {1: b"x"}, {"a": 1})
    assert not isinstance(caught.value, CommitAmbiguous)
    with pytest.raises((JournalError, TypeError)) as caught:
        backend.append(good, {2: object()}, {"a": 1})  # type: ignore[dict-item]
    assert not isinstance(caught.value, CommitAmbiguous)
    assert backend.read(0, 10) == []
    assert backend.positions() == {}
    backend.append(good, {1: b"x"}, {})
    assert backend.read(0, 10) == good


def test_settling_changes_nothing_that_can_be_read(reopen: Callable[[], Backend]) -> None:
    """Checkpoints and syncs are not visible; room can be made at any time."""
    backend = reopen()
    records = chain(head_of(backend), *[entry(payload=bytes(3000))] * 200)
    backend.append(records, {}, {})
    backend.settle(idle=False)
    backend.settle(idle=True)
    backend.make_room()
    assert backend.read(0, 1000) == records


def filled(backend: Backend, count: int = 30) -> list[Record]:
    """Records of 40 kB, each with its body, settled one by one: five of them fill a file."""
    records: list[Record] = []
    head = head_of(backend)
    for number in range(1, count + 1):
        body = b"%d" % number * 20_000
        (record,) = chain(head, entry(payload=b"%d" % number, body=body))
        backend.append([record], {record.sequence: body}, {"a": number - 1})
        backend.settle(idle=False)
        head = Head(record.sequence, record.hash)
        records.append(record)
    return records


def base_at(backend: Backend, record: Record) -> BaseInfo:
    content = b"the state"
    name = f"base-{record.sequence}"
    if backend.directory:
        with open(f"{backend.directory}/{name}", "wb") as file:
            file.write(content)
    return BaseInfo(record.sequence, record.hash, name, hashlib.sha256(content).digest())


def test_files_follow_each_other_and_are_read_as_one(reopen: Callable[[], Backend]) -> None:
    """However often it rotated: every record, body and position is where it was, also after a restart."""
    backend = reopen()
    records = filled(backend)
    for _ in range(2):
        files = backend.files()
        assert len(files) >= 3
        assert [file.state for file in files] == ["closed"] * (len(files) - 1) + ["active"]
        assert [file.first for file in files] == [1, *(file.last + 1 for file in files[:-1])]
        assert files[-1].closed_at_ms == 0
        assert backend.read(0, 100) == records
        assert backend.read(3, 9) == records[3:12]
        assert backend.pick([30, 1]) == [records[29], records[0]]
        assert backend.body(1) == b"1" * 20_000
        assert backend.positions() == {"a": 29}
        assert verify_backend(backend, head_of(backend)) == 30
        backend = reopen()


def test_a_sealed_file_has_no_bodies_and_all_records(reopen: Callable[[], Backend]) -> None:
    """Sealing twice is sealing once."""
    backend = reopen()
    records = filled(backend)
    number, last = backend.files()[1].number, backend.files()[1].last
    for _ in range(2):
        backend.copy_sealed(number)
        backend.seal(number)
    for _ in range(2):
        assert [file.state for file in backend.files()][:3] == ["closed", "sealed", "closed"]
        assert backend.body(last) is None
        assert backend.body(last + 1) is not None
        assert backend.read(0, 100) == records
        backend.check_file(number)
        backend = reopen()


def test_the_oldest_file_is_dropped_under_a_base_that_covers_it(reopen: Callable[[], Backend]) -> None:
    """Then reading begins behind it, and the chain with what its first record follows."""
    backend = reopen()
    records = filled(backend)
    first, second = backend.files()[:2]
    with pytest.raises(JournalDamaged):
        backend.base_path()
    for wrong in (first.number, second.number, backend.files()[-1].number):
        with pytest.raises(JournalError):
            backend.drop(wrong)
    short = base_at(backend, records[first.last - 2])
    backend.check_base(short)
    backend.record_base(short)
    with pytest.raises(JournalError):
        backend.drop(first.number)
    good = base_at(backend, records[first.last - 1])
    with pytest.raises(JournalError):
        backend.check_base(BaseInfo(good.position, bytes(32), good.name, good.sha256))
    backend.check_base(good)
    backend.record_base(good)
    backend.drop(first.number)
    with pytest.raises(JournalError):
        backend.drop(second.number)
    for _ in range(2):
        assert backend.files()[0] == second
        assert backend.base() == good
        assert backend.base_path().endswith(good.name)
        assert backend.origin() == Head(first.last, records[first.last - 1].hash)
        assert backend.read(0, 100) == records[first.last :]
        assert backend.pick([first.last, second.first]) == [records[first.last]]
        assert backend.body(first.last) is None
        assert verify_backend(backend, head_of(backend)) == 30 - first.last
        assert [step.position for step in verify_older(backend)][-1] == backend.files()[-1].first - 1
        backend = reopen()


def test_closing_twice_is_safe(reopen: Callable[[], Backend]) -> None:
    """`close` may come from more than one place at the end."""
    backend = reopen()
    backend.close()
    backend.close()
    assert head_of(reopen()).sequence == 0


async def test_a_guarded_append_fails_when_its_stream_has_moved_on(reopen: Callable[[], Backend]) -> None:
    """`unless_changed_since` sees records of earlier batches and of the batch that it is in, and only named streams."""
    backend = reopen()
    backend.close()
    if getattr(backend, "_exclusive", False):
        pytest.skip(
            "with exclusive locking there is one connection, for one thread: the sweep drives it without Journal"
        )
    journal = await Journal.open(backend, Nothing())
    try:
        await journal.append([entry("b/a"), entry("b/b")])
        await journal.append([entry("b/c")], unless_changed_since=(["b/a", "b/b"], 2))
        await journal.append([entry("b/a")], unless_changed_since=(["b/a"], 1))
        with pytest.raises(StreamChanged):
            await journal.append([entry("b/x")], unless_changed_since=(["b/x", "b/a"], 3))
        first = journal.submit([entry("b/z")])
        with pytest.raises(StreamChanged):
            await journal.append([entry("b/z")], unless_changed_since=(["b/z"], 4))
        assert (await first).records[0].sequence == 5
        assert [record.stream for record in journal.read(0, 10)] == ["b/a", "b/b", "b/c", "b/a", "b/z"]
        assert await journal.verify() == 5
    finally:
        await journal.close()


async def test_verify_names_the_record_that_was_changed() -> None:
    """The contract's own chain check is one that can fail."""
    backend = MemoryBackend()
    journal = await Journal.open(backend, Nothing())
    await journal.append([entry(payload=b"1"), entry(payload=b"2"), entry(payload=b"3")])
    record = backend.read(1, 1)[0]
    backend._records[1] = link(b"", 2, record.written_at, entry(payload=b"2"))
    with pytest.raises(JournalDamaged) as caught:
        await journal.verify()
    assert caught.value.sequence == 2
    await journal.close()
