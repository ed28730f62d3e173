"""The door: group commit, answers, failures that stay where they belong, followers, closing."""

import asyncio
import hashlib
import threading
from typing import Any

import pytest

from journal import (
    Appended,
    CommitAmbiguous,
    Decision,
    DiskFull,
    Entry,
    Journal,
    JournalClosed,
    JournalDamaged,
    JournalError,
    MemoryBackend,
    SqliteBackend,
    StateBehind,
)
from journal.thread import BATCH_COMMANDS_MAX
from journal.writer import AppendEntries


class Counting(MemoryBackend):
    """A backend that counts its batches, can be made to wait, and can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.raises: list[BaseException] = []
        self.settle_raises: list[BaseException] = []
        self.room_made = 0

    def append(self, records: Any, bodies: Any, positions: Any) -> None:
        assert self.gate.wait(10)
        if self.raises:
            raise self.raises.pop(0)
        self.batches.append(len(records))
        super().append(records, bodies, positions)

    def settle(self, *, idle: bool) -> None:
        if self.settle_raises:
            raise self.settle_raises.pop(0)

    def make_room(self) -> None:
        self.room_made += 1


async def test_decision_1_commands_share_a_commit_and_see_each_other(
    open_journal: Any, commands: Any, keys: Any
) -> None:
    """Sixty-four writers race for one key in one batch: one COMMIT, one winner, and each answer is visible at once."""
    backend = Counting()
    journal = await open_journal(backend=backend)
    racing = [journal.submit(commands.put_if_absent("b/k", b"%d" % number)) for number in range(64)]
    results = await asyncio.gather(*racing, return_exceptions=True)
    assert backend.batches == [1]
    assert [type(result) for result in results].count(KeyError) == 63
    assert keys.values == {"b/k": b"0"}
    assert isinstance(results[0], Appended)
    assert results[0].records[0].sequence == 1


async def test_decision_3_a_turn_of_the_loop_is_one_batch_even_over_sqlite(open_journal: Any, commands: Any) -> None:
    """One hundred submits in one turn take one COMMIT, and their answers come back in order."""
    seen: list[tuple[int, int]] = []
    journal = await open_journal(observe=lambda count, head: seen.append((count, head)))
    appended = await asyncio.gather(*[journal.submit(commands.put(f"b/{n}", b"{}")) for n in range(100)])
    assert [one.records[0].sequence for one in appended] == list(range(1, 101))
    assert await journal.verify() == 100
    await journal.close()
    assert seen == [(100, 100)]


async def test_a_batch_is_bounded_in_commands_and_in_bytes(open_journal: Any, commands: Any) -> None:
    """A flood is cut into batches, so that nobody waits for all of it; order and answers stay."""
    backend = Counting()
    journal = await open_journal(backend=backend)
    flood = [journal.submit(commands.put(f"b/{n}", b"{}")) for n in range(2 * BATCH_COMMANDS_MAX + 1)]
    await asyncio.gather(*flood)
    assert backend.batches == [BATCH_COMMANDS_MAX, BATCH_COMMANDS_MAX, 1]
    large = [journal.submit(commands.put("b/l", bytes(3 * 1024 * 1024))) for _ in range(5)]
    sequences = [(await one).records[0].sequence for one in large]
    assert backend.batches[3:] == [3, 2]
    assert sequences == sorted(sequences)


async def test_a_refusal_and_a_bug_in_decide_affect_only_their_own_command(
    open_journal: Any, commands: Any, keys: Any
) -> None:
    """The other commands of the batch commit; a stream that cannot be encoded is such a bug, too."""
    journal = await open_journal()

    def bug(_state: Any) -> Decision:
        raise ZeroDivisionError

    results = await asyncio.gather(
        journal.submit(commands.put("b/1", b"1")),
        journal.submit(bug),
        journal.submit(commands.put("b/\ud800", b"2")),
        journal.submit(commands.put("b/3", b"3")),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == [
        "Appended",
        "ZeroDivisionError",
        "UnicodeEncodeError",
        "Appended",
    ]
    assert keys.values == {"b/1": b"1", "b/3": b"3"}
    assert "discard" not in keys.calls
    assert await journal.verify() == 2


async def test_a_bug_in_fold_rolls_its_batch_back_and_the_state_is_rebuilt(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the batch is durable, its numbers are free again, and the next command finds a true state."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    keys.raises["fold"] = ZeroDivisionError("fold")
    results = await asyncio.gather(
        journal.submit(commands.put("b/2", b"2")), journal.submit(commands.put("b/3", b"3")), return_exceptions=True
    )
    assert [type(result) for result in results] == [JournalError, JournalError]
    assert (await journal.submit(commands.put("b/4", b"4"))).records[0].sequence == 2
    assert keys.values == {"b/1": b"1", "b/4": b"4"}
    assert "discard" in keys.calls
    assert await journal.verify() == 2
    assert "rolled back" in caplog.text


async def test_decision_2_a_state_that_cannot_be_published_is_never_read_as_if_it_were(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The record is durable, its caller is told that it cannot be read back yet, and the state is rebuilt before the
    next decision."""
    journal = await open_journal()
    keys.raises["publish"] = OSError("broken")
    with pytest.raises(StateBehind):
        await journal.submit(commands.put("b/1", b"1"))
    assert journal.head.sequence == 1
    with pytest.raises(KeyError):
        await journal.submit(commands.put_if_absent("b/1", b"2"))
    assert keys.values == {"b/1": b"1"}
    assert keys.calls.count("discard") == 1
    assert "could not be published" in caplog.text


async def test_a_rebuild_that_fails_is_tried_again(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as the state cannot be rebuilt, commands are refused with StateBehind; then everything is back."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    keys.raises.update(publish=OSError("broken"), discard=OSError("still broken"))
    with pytest.raises(StateBehind, match="durable"):
        await journal.submit(commands.put("b/2", b"2"))
    with pytest.raises(StateBehind, match="rebuilt"):
        await journal.submit(commands.put("b/3", b"3"))
    await journal.submit(commands.put("b/4", b"4"))
    assert keys.values == {"b/1": b"1", "b/2": b"2", "b/4": b"4"}
    assert "could not be repaired" in caplog.text


async def test_a_state_without_space_is_caught_up_not_discarded(
    open_journal: Any, commands: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """DiskFull from `publish` leaves a sound state behind: room is made, and it catches up from its position."""
    backend = Counting()
    journal = await open_journal(backend=backend)
    keys.raises["publish"] = DiskFull("no space for the view")
    with pytest.raises(StateBehind):
        await journal.submit(commands.put("b/1", b"1"))
    await journal.submit(commands.put("b/2", b"2"))
    assert keys.values == {"b/1": b"1", "b/2": b"2"}
    assert "discard" not in keys.calls
    assert backend.room_made == 1


async def test_decision_4_a_full_disk_fails_the_batch_but_not_what_frees_space(
    open_journal: Any, commands: Any, keys: Any
) -> None:
    """DiskFull from the journal or from the state: essential commands are tried again alone, in order; the sequence
    numbers of the batch are used again."""
    backend = Counting()
    journal = await open_journal(backend=backend)
    backend.raises = [DiskFull("full")]
    for _ in range(2):
        results = await asyncio.gather(
            journal.submit(commands.put("b/1", b"1")),
            journal.submit(commands.put("b/2", b"2"), essential=True),
            journal.submit(commands.put("b/3", b"3"), essential=True),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results] == ["DiskFull", "Appended", "Appended"]
        keys.raises["fold"] = DiskFull("no space for the view")
    del keys.raises["fold"]
    assert keys.values == {"b/2": b"2", "b/3": b"3"}
    assert await journal.verify() == 4
    assert backend.room_made == 1


async def test_decision_4_an_ambiguous_commit_stops_everything(open_journal: Any, commands: Any, keys: Any) -> None:
    """The batch gets CommitAmbiguous, queued commands JournalClosed, `failed` is called once, waiters end."""
    failures: list[CommitAmbiguous] = []
    backend = Counting()
    journal = await open_journal(backend=backend, failed=failures.append)
    await journal.submit(commands.put("b/0", b"0"))
    waiting = asyncio.create_task(journal.wait(3))
    await asyncio.sleep(0)
    backend.raises = [CommitAmbiguous("fsync failed")]
    first, second = journal.submit(commands.put("b/1", b"1")), journal.submit(commands.put("b/2", b"2"))
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [CommitAmbiguous] * 2
    with pytest.raises(JournalClosed):
        await journal.submit(commands.put("b/3", b"3"))
    with pytest.raises(JournalClosed):
        await waiting
    with pytest.raises(JournalClosed):
        await journal.wait(3)
    assert len(failures) == 1
    assert journal.failure is failures[0]
    assert keys.values == {"b/0": b"0"}
    assert journal.head.sequence == 1


@pytest.mark.parametrize("where", ["append", "settle"])
async def test_a_bug_in_the_writer_thread_ends_in_failed_never_in_silence(
    open_journal: Any, commands: Any, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is raised on the thread: `failed` is called, and every later command is answered."""
    failures: list[CommitAmbiguous] = []
    backend = Counting()
    journal = await open_journal(backend=backend, failed=failures.append)
    if where == "append":
        backend.raises = [SystemExit("a bug that not even `except Exception` sees")]
        with pytest.raises(CommitAmbiguous):
            await journal.submit(commands.put("b/1", b"1"))
    else:
        backend.settle_raises = [ZeroDivisionError("a bug")]
        await journal.submit(commands.put("b/1", b"1"))
    with pytest.raises(JournalClosed):
        await journal.submit(commands.put("b/2", b"2"))
    assert len(failures) == 1
    assert "writer thread has failed" in caplog.text


async def test_cancelling_a_request_does_not_cancel_its_command(open_journal: Any, commands: Any, keys: Any) -> None:
    """The record stands, and the answers of its batch go out."""
    backend = Counting()
    journal = await open_journal(backend=backend)
    backend.gate.clear()
    cancelled, other = journal.submit(commands.put("b/1", b"1")), journal.submit(commands.put("b/2", b"2"))
    await asyncio.sleep(0)
    cancelled.cancel()
    backend.gate.set()
    assert (await other).records[0].sequence == 2
    assert keys.values == {"b/1": b"1", "b/2": b"2"}


async def test_a_follower_reads_in_order_and_continues_after_a_restart(open_journal: Any, commands: Any) -> None:
    """`next` waits for records, `advance` is durable and never goes back, nor ahead of the journal."""
    journal = await open_journal()
    follower = journal.follow("replicator")
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.gather(*[journal.submit(commands.put(f"b/{n}", b"{}")) for n in range(5)])
    assert [record.sequence for record in await waiting] == [1, 2, 3, 4, 5]
    assert [record.sequence for record in await follower.next(limit=2)] == [1, 2]
    await follower.advance(3)
    await follower.advance(2)
    with pytest.raises(JournalError):
        await follower.advance(6)
    await journal.close()
    journal = await open_journal()
    follower = journal.follow("replicator")
    assert follower.position == 3
    assert [record.sequence for record in await follower.next()] == [4, 5]


async def test_wait_returns_when_the_record_is_durable(open_journal: Any, commands: Any) -> None:
    """Waiters for several positions wake in order; one that gave up does not disturb the others."""
    journal = await open_journal()
    early, gone, late = (asyncio.create_task(journal.wait(position)) for position in (1, 2, 3))
    await asyncio.sleep(0)
    gone.cancel()
    await journal.submit(commands.put("b/1", b"1"))
    await early
    assert not late.done()
    await journal.submit(lambda _state: Decision([Entry("b/2", "Put", b"2"), Entry("b/3", "Put", b"3")]))
    await late
    await journal.wait(3)


async def test_close_finishes_what_is_queued_and_then_takes_nothing_more(
    open_journal: Any, commands: Any, keys: Any
) -> None:
    """Commands submitted in the same turn as `close` are durable; later ones, and waiters, get JournalClosed."""
    journal = await open_journal()
    queued = [journal.submit(commands.put(f"b/{n}", b"{}")) for n in range(10)]
    waiting = asyncio.create_task(journal.wait(99))
    await asyncio.sleep(0)
    late = [journal.submit(commands.put("b/late", b"{}"))]
    await journal.close()
    assert [(await one).records[0].sequence for one in queued + late] == list(range(1, 12))
    for refused in (journal.submit(commands.put("b/x", b"x")), waiting, journal.wait(99)):
        with pytest.raises(JournalClosed):
            await refused
    await journal.close()
    reopened = await open_journal(state=type(keys)())
    assert reopened.head.sequence == 11


async def test_a_state_that_is_ahead_of_the_journal_is_discarded(open_journal: Any, commands: Any, keys: Any) -> None:
    """It was folded from records that this journal does not have."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    await journal.close()
    keys.position, keys.values = 7, {"b/phantom": b"?"}
    await open_journal()
    assert keys.position == 1
    assert keys.values == {"b/1": b"1"}


async def test_a_fold_that_fails_at_start_leaves_the_journal_closed(
    open_journal: Any, commands: Any, keys: Any
) -> None:
    """The error reaches the caller, and the directory can be opened again."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    await journal.close()
    keys.position = 0
    keys.raises["fold"] = ZeroDivisionError("fold")
    with pytest.raises(ZeroDivisionError):
        await open_journal()
    assert (await open_journal()).head.sequence == 1


async def test_records_pages_through_everything_that_is_durable(open_journal: Any, commands: Any) -> None:
    """`records` stops at the head of the moment when it was called."""
    journal = await open_journal()
    await asyncio.gather(*[journal.submit(commands.put(f"b/{n}", b"{}")) for n in range(25)])
    assert [record.sequence async for record in journal.records(after=3, page=4)] == list(range(4, 26))
    assert [record.stream for record in journal.pick([2, 1])] == ["b/1", "b/0"]


async def test_a_body_that_was_changed_on_disk_is_not_returned(
    open_journal: Any, commands: Any, directory: str
) -> None:
    """The chain covers the digest, so the body is held against it whenever it is read."""
    journal = await open_journal()
    body = b"the right bytes"
    await journal.submit(
        commands.put("b/1", b"{}", body=body, body_digest=hashlib.sha256(body).digest(), body_size=len(body))
    )
    assert journal.body(1) == body
    assert isinstance(journal._backend, SqliteBackend)
    journal._backend._state.connection.execute("UPDATE record SET body = x'00'")
    with pytest.raises(JournalDamaged) as caught:
        journal.body(1)
    assert caught.value.sequence == 1


async def test_reading_a_closed_journal_says_so(open_journal: Any, commands: Any) -> None:
    """No connection of before is used again."""
    journal = await open_journal()
    await journal.submit(commands.put("b/1", b"1"))
    assert len(journal.read(0, 10)) == 1
    await journal.close()
    with pytest.raises(JournalClosed):
        journal.read(0, 10)


async def test_two_appends_of_one_kind_are_told_apart_by_type_only(open_journal: Any) -> None:
    """`append` is a command like any other: it shares the batch and its order."""
    journal: Journal = await open_journal()
    first = journal.submit(AppendEntries([Entry("s", "Note", b"1")]))
    records = await journal.append([Entry("s", "Note", b"2"), Entry("t", "Note", b"3")])
    assert [record.sequence for record in (await first).records] == [1]
    assert [record.sequence for record in records] == [2, 3]
