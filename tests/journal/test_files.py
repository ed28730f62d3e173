"""Several files: rotation, sealing, the base, dropping; reading across them; and what an interrupted change leaves."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import apsw
import pytest

from journal import (
    BaseInfo,
    Entry,
    Head,
    Journal,
    JournalDamaged,
    JournalError,
    JournalShortened,
    SqliteBackend,
    StreamChanged,
    inspect,
    new_epoch,
)
from journal.database import create_schema
from journal.export import export_lines
from journal.files import file_name, file_number, sealed_name
from journal.readers import IDLE_MAX
from journal.record import link
from journal.verify import verify_backend

FILE_BYTES_MAX = 100_000
BODY = bytes(range(250)) * 40


def rotating(directory: str, **options: Any) -> SqliteBackend:
    return SqliteBackend(directory, ballast_bytes=0, file_bytes_max=FILE_BYTES_MAX, rest=lambda: None, **options)


def grow(backend: SqliteBackend, head: Head, count: int) -> Head:
    """Append records with bodies of 10 kB; seven of them fill a file."""
    for _ in range(count):
        number = head.sequence + 1
        body = b"%d" % number + BODY
        entry = Entry(f"b/{number % 3}", "Put", b"%d" % number, body, hashlib.sha256(body).digest(), len(body))
        record = link(head.hash, number, 1000 * number, entry)
        backend.append([record], {number: body}, {"replicator": number - 1})
        head = Head(number, record.hash)
        backend.settle(idle=False)
    return head


@pytest.fixture
def rotated(directory: str) -> str:
    """Thirty records in five files, stopped."""
    backend = rotating(directory)
    grow(backend, backend.open(), 30)
    backend.close()
    return directory


def base_of(backend: SqliteBackend, position: int, content: bytes = b"{}") -> BaseInfo:
    """A base in its place, as its owner writes it."""
    name = f"base-{position}"
    with open(f"{backend.directory}/{name}", "wb") as file:
        file.write(content)
    record = backend.pick([position])[0]
    return BaseInfo(position, record.hash, name, hashlib.sha256(content).digest())


def seal(backend: SqliteBackend, number: int) -> None:
    backend.copy_sealed(number)
    backend.seal(number)


def names(directory: str) -> set[str]:
    """The databases and bases of a journal."""
    return {name for name in os.listdir(directory) if name.endswith(".db") or name.startswith("base-")}


# rotation


def test_a_journal_goes_on_in_another_file_when_one_is_large_enough(rotated: str) -> None:
    """Files follow each other without gaps; records, bodies, positions and the chain are read across them."""
    backend = rotating(rotated)
    head = backend.open()
    files = backend.files()
    assert [file.state for file in files] == ["closed"] * (len(files) - 1) + ["active"]
    assert len(files) > 3
    assert [file.number for file in files] == list(range(1, len(files) + 1))
    assert files[0].first == 1
    assert all(after.first == before.last + 1 for before, after in pairwise(files))
    assert files[-1].last == 30
    assert all(file.last_written_at_ms == 1000 * file.last for file in files)
    assert all(FILE_BYTES_MAX <= file.size_bytes < 2 * FILE_BYTES_MAX for file in files[:-1])
    assert [record.sequence for record in backend.read(0, 100)] == list(range(1, 31))
    assert [record.sequence for record in backend.read(4, 13)] == list(range(5, 18))
    assert [record.sequence for record in backend.pick([30, 1, 15, 99])] == [30, 1, 15]
    assert all(backend.body(n) == b"%d" % n + BODY for n in range(1, 31))
    assert backend.positions() == {"replicator": 29}
    assert verify_backend(backend, head) == 30
    backend.close()


def test_a_closed_file_has_nothing_in_its_log(rotated: str) -> None:
    """That is what lets it be read without its log, copied, and left alone by every later start."""
    for number in range(1, 4):
        assert os.path.getsize(f"{rotated}/{file_name(number)}-wal") == 0


def test_a_file_rotates_once_a_reader_lets_go_of_its_log(directory: str) -> None:
    """A reader inside a query only delays it: nothing waits long, and the file grows meanwhile."""
    now = [0.0]
    backend = rotating(directory, monotonic=lambda: now[0])
    head = grow(backend, backend.open(), 1)
    outside = apsw.Connection(f"{directory}/{file_name(1)}", flags=apsw.SQLITE_OPEN_READONLY)
    outside.execute("BEGIN")
    outside.execute("SELECT * FROM record").fetchall()
    head = grow(backend, head, 15)
    assert len(backend.files()) == 1
    outside.execute("COMMIT")
    head = grow(backend, head, 1)
    assert len(backend.files()) == 1, "it is not tried at every turn"
    now[0] += 1
    grow(backend, head, 1)
    assert [file.last for file in backend.files()] == [18, 18]
    outside.close()
    backend.close()


def test_an_empty_active_file_is_where_a_restart_goes_on(directory: str) -> None:
    """The chain goes on from what the catalogue says."""
    backend = rotating(directory)
    head = backend.open()
    while len(backend.files()) == 1:
        head = grow(backend, head, 1)
    assert backend.files()[-1].first > backend.files()[-1].last
    backend.close()
    backend = rotating(directory)
    assert backend.open() == head
    grow(backend, head, 1)
    assert verify_backend(backend, backend._state.head) == head.sequence + 1
    backend.close()


def test_decision_18_a_start_reads_the_active_file_only(rotated: str) -> None:
    """A changed record in an older file does not keep the journal from opening; it is found behind, by number."""
    edit(f"{rotated}/{file_name(2)}", "UPDATE record SET kind = 'Delete' WHERE sequence = 9")
    backend = rotating(rotated)
    head = backend.open()
    with pytest.raises(JournalDamaged) as caught:
        verify_backend(backend, head)
    assert caught.value.sequence == 9
    backend.close()


def edit(path: str, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# what an interrupted change leaves


def half_a_file(path: str) -> None:
    with open(path, "wb") as file:
        file.write(os.urandom(20_000))


def empty_file(path: str) -> None:
    open(path, "wb").close()


def database_without_tables(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.close()


@pytest.mark.parametrize("leave", [half_a_file, empty_file, database_without_tables])
def test_a_next_file_that_is_not_whole_is_removed(rotated: str, leave: Callable[[str], None]) -> None:
    """The mark never named it, so nothing was written to it."""
    backend = rotating(rotated)
    backend.open()
    active = backend.files()[-1].number
    backend.close()
    leave(f"{rotated}/{file_name(active + 1)}")
    open(f"{rotated}/{file_name(active + 2)}-wal", "wb").close()
    backend = rotating(rotated)
    assert verify_backend(backend, backend.open()) == 30
    assert backend.files()[-1].number == active
    assert not [name for name in os.listdir(rotated) if (file_number(name) or 0) > active]
    backend.close()


def test_a_whole_and_empty_next_file_is_used_whatever_the_mark_says(directory: str) -> None:
    """The cut came between the new file and the mark."""
    backend = rotating(directory)
    head = backend.open()
    while len(backend.files()) == 1:
        shutil.copy(f"{directory}/mark", f"{directory}/older")
        head = grow(backend, head, 1)
    backend.close()
    os.replace(f"{directory}/older", f"{directory}/mark")
    backend = rotating(directory)
    assert backend.open() == head
    assert [file.state for file in backend.files()] == ["closed", "active"]
    backend.close()


def test_a_next_file_that_follows_something_else_is_refused(directory: str) -> None:
    """The old file has to end where the new one begins."""
    backend = rotating(directory)
    head = backend.open()
    while len(backend.files()) == 1:
        shutil.copy(f"{directory}/mark", f"{directory}/older")
        head = grow(backend, head, 1)
    backend.close()
    os.replace(f"{directory}/older", f"{directory}/mark")
    edit(f"{directory}/{file_name(1)}", f"DELETE FROM record WHERE sequence = {head.sequence}")
    with pytest.raises(JournalDamaged, match="ends at record"):
        rotating(directory).open()


@pytest.mark.parametrize("number", [1, 3])
def test_a_missing_file_is_refused(rotated: str, number: int) -> None:
    """The catalogue says which records were in it; nothing else is touched, not even leftovers."""
    os.unlink(f"{rotated}/{file_name(number)}")
    open(f"{rotated}/base-999", "wb").close()
    with pytest.raises(JournalDamaged) as caught:
        rotating(rotated).open()
    assert caught.value.sequence == {1: 1, 3: 15}[number]
    assert os.path.exists(f"{rotated}/base-999")


def test_a_missing_active_file_is_refused(rotated: str) -> None:
    """The mark names it."""
    backend = rotating(rotated)
    backend.open()
    active = backend.files()[-1].name
    backend.close()
    for beside in ("", "-wal"):
        os.unlink(f"{rotated}/{active}{beside}")
    with pytest.raises(JournalShortened):
        rotating(rotated).open()


def test_leftovers_of_sealing_dropping_and_bases_are_removed_at_start(rotated: str) -> None:
    """Only what has this journal's own names and nothing names any more."""
    backend = rotating(rotated)
    backend.open()
    seal(backend, 1)
    backend.close()
    kept = names(rotated)
    for name in (sealed_name(2), file_name(1), f"{file_name(1)}-wal", "base-12", "mine.db", "journal-1.db"):
        open(f"{rotated}/{name}", "wb").close()
    backend = rotating(rotated)
    backend.open()
    backend.close()
    assert names(rotated) == kept | {"mine.db", "journal-1.db"}


# sealing


def test_decision_8_a_sealed_file_has_a_new_name_no_bodies_and_the_same_chain(rotated: str) -> None:
    """The old database and what lay beside it are gone; sealing twice does nothing; a restart finds it sealed."""
    backend = rotating(rotated)
    head = backend.open()
    before = backend.files()[1]
    records = backend.read(0, 100)
    seal(backend, 2)
    seal(backend, 2)
    sealed = backend.files()[1]
    assert (sealed.name, sealed.state) == (sealed_name(2), "sealed")
    assert (sealed.first, sealed.last) == (before.first, before.last)
    assert sealed.size_bytes == os.path.getsize(f"{rotated}/{sealed.name}") < before.size_bytes
    assert not [name for name in os.listdir(rotated) if name.startswith(file_name(2))]
    for _ in range(2):
        assert backend.read(0, 100) == records
        assert backend.body(before.first) is None
        assert backend.body(before.first - 1) is not None
        assert verify_backend(backend, head) == 30
        assert backend.files()[1] == sealed
        backend.close()
        backend.open()
    backend.close()


def test_what_cannot_be_sealed_or_dropped_is_refused(rotated: str) -> None:
    """The active file, a file that does not exist, one without a copy, one that is not the oldest or has no base."""
    backend = rotating(rotated)
    backend.open()
    active = backend.files()[-1].number
    for number in (0, active, active + 1):
        for refuse in (backend.copy_sealed, backend.seal, backend.drop):
            with pytest.raises(JournalError):
                refuse(number)
    with pytest.raises(JournalError, match="no sealed copy"):
        backend.seal(1)
    with pytest.raises(JournalError, match="no base"):
        backend.drop(1)
    backend.record_base(base_of(backend, 11))
    with pytest.raises(JournalError, match="not the oldest"):
        backend.drop(2)
    backend.drop(1)
    with pytest.raises(JournalError, match="no base"):
        backend.drop(2)
    backend.close()


def test_a_file_that_does_not_verify_is_not_sealed(rotated: str) -> None:
    """Its bodies may be all that is left of something; the copy is removed."""
    edit(f"{rotated}/{file_name(2)}", "UPDATE record SET payload = x'00' WHERE sequence = 8")
    backend = rotating(rotated)
    backend.open()
    with pytest.raises(JournalDamaged) as caught:
        backend.copy_sealed(2)
    assert caught.value.sequence == 8
    assert sealed_name(2) not in os.listdir(rotated)
    assert backend.body(9) is not None
    backend.close()


# reading while files go


def test_a_reader_keeps_its_file_until_it_is_done(rotated: str) -> None:
    """Sealing and dropping break no query: the file goes when its last reader has, and nobody opens it anew."""
    backend = rotating(rotated)
    backend.open()
    with backend._readers.borrow(file_name(1)) as connection:
        seal(backend, 1)
        assert connection.execute("SELECT count(*) FROM record WHERE body IS NOT NULL").fetchall() == [(7,)]
        assert backend.body(1) is None
        backend.settle(idle=False)
        assert file_name(1) in os.listdir(rotated)
    backend.settle(idle=False)
    assert file_name(1) not in os.listdir(rotated)
    with backend._readers.borrow(sealed_name(1)):
        backend.record_base(base_of(backend, 30))
        backend.drop(1)
        assert [record.sequence for record in backend.read(0, 1)] == [8]
    backend.settle(idle=False)
    assert sealed_name(1) not in os.listdir(rotated)
    backend.close()


def open_descriptors(directory: str) -> list[str]:
    paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [target for path in paths if os.path.islink(path) and (target := os.readlink(path)).startswith(directory)]


def test_descriptors_are_bounded_and_none_stays_on_a_file_that_is_gone(rotated: str) -> None:
    """However many files and threads there were."""
    backend = rotating(rotated)
    head = backend.open()
    grow(backend, head, 150)
    assert len(backend.files()) > IDLE_MAX + 5

    async def read_everything() -> None:
        tasks = [asyncio.to_thread(lambda: [backend.body(n) for n in range(1, 181)]) for _ in range(8)]
        await asyncio.gather(*tasks)

    asyncio.run(read_everything())
    assert len(open_descriptors(rotated)) <= 3 * (IDLE_MAX + 1) + 2
    backend.record_base(base_of(backend, 180))
    for file in backend.files()[:-1]:
        seal(backend, file.number)
        backend.drop(file.number)
    assert not [path for path in open_descriptors(rotated) if "deleted" in path]
    assert names(rotated) == {backend.files()[-1].name, "base-180"}
    backend.close()
    assert open_descriptors(rotated) == []


async def test_readers_on_other_threads_see_every_record_while_files_are_sealed_and_dropped(
    directory: str, keys: Any, open_journal: Any, commands: Any
) -> None:
    """Reads go on at full speed beside rotation, sealing and dropping, and are never wrong."""
    journal: Journal = await open_journal(backend=rotating(directory))
    stop = asyncio.Event()
    checked = [0]

    def read_all() -> None:
        after = journal._backend.origin().sequence
        for record in journal.read(after, 1000):
            assert record.payload == b"%d" % record.sequence
            body = journal.body(record.sequence)
            assert body is None or body == BODY
            checked[0] += 1

    async def reading() -> None:
        while not stop.is_set():
            await asyncio.to_thread(read_all)

    readers = [asyncio.create_task(reading()) for _ in range(3)]
    for number in range(1, 81):
        await journal.submit(commands.put("b/k", b"%d" % number, body=BODY, body_size=len(BODY)))
        closed = journal.files()[:-1]
        if len(closed) > 2:
            await journal.seal(closed[1].number)
            base = base_of(journal._backend, number, keys.snapshot())  # type: ignore[arg-type]
            await journal.record_base(base)
            await journal.drop(closed[0].number)
    stop.set()
    await asyncio.gather(*readers)
    assert checked[0] > 100
    assert journal.files()[0].number > 5
    assert await journal.verify() == 80 - journal.files()[0].first + 1


# the base


async def test_decision_6_a_state_is_the_base_and_what_follows_it(
    directory: str, keys: Any, open_journal: Any, commands: Any
) -> None:
    """Dropped records are in the base; one base is kept; the state is restored at start and after a repair."""
    journal: Journal = await open_journal(backend=rotating(directory))
    for number in range(1, 21):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    for position in (10, 20):
        state = type(keys)()
        state.values = {f"b/{n}": b"%d" % n for n in range(1, position + 1)}
        await journal.record_base(base_of(journal._backend, position, state.snapshot()))  # type: ignore[arg-type]
    assert journal.base() is not None
    assert "base-10" not in os.listdir(directory)
    await journal.drop(1)
    await journal.drop(2)
    await journal.submit(commands.put("b/21", b"21"))
    keys.raises["publish"] = OSError("the view is broken")
    with pytest.raises(JournalError):
        await journal.submit(commands.put("b/22", b"22"))
    await journal.submit(commands.put("b/23", b"23"))
    assert keys.calls.count("restore") == 1
    expected = {f"b/{n}": b"%d" % n for n in range(1, 24)}
    assert keys.values == expected
    await journal.close()
    fresh = type(keys)()
    await open_journal(state=fresh, backend=rotating(directory))
    assert fresh.values == expected
    assert fresh.calls[0] == "restore"


async def drop_first(journal: Journal, keys: Any, commands: Any) -> None:
    for number in range(1, 13):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    await journal.record_base(base_of(journal._backend, 12, keys.snapshot()))  # type: ignore[arg-type]
    await journal.drop(1)
    await journal.close()


@pytest.mark.parametrize("damage", ["changed", "missing", "unreadable by the state"])
async def test_a_base_that_cannot_be_used_is_damage_only_to_a_state_that_needs_it(
    directory: str, keys: Any, open_journal: Any, commands: Any, damage: str
) -> None:
    """A state that is far enough opens; one that is not says what is wrong, and removes no other base."""
    await drop_first(await open_journal(backend=rotating(directory)), keys, commands)
    open(f"{directory}/base-other", "wb").close()
    fresh = type(keys)()
    match damage:
        case "changed":
            with open(f"{directory}/base-12", "ab") as file:
                file.write(b" ")
        case "missing":
            os.unlink(f"{directory}/base-12")
        case _:
            fresh.raises["restore"] = ValueError("another version's")
    with pytest.raises(JournalDamaged) as caught:
        await open_journal(state=fresh, backend=rotating(directory))
    assert "base" in str(caught.value)
    assert os.path.exists(f"{directory}/base-other") == (damage == "missing")
    assert (await open_journal(backend=rotating(directory))).head.sequence == 12


async def test_a_base_that_is_not_what_it_says_is_refused(directory: str, open_journal: Any, commands: Any) -> None:
    """Another hash, another file, no file, a name of somebody else's, a position that goes back or is not there."""
    journal: Journal = await open_journal(backend=rotating(directory))
    for number in range(1, 13):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    good = base_of(journal._backend, 9)  # type: ignore[arg-type]
    early = base_of(journal._backend, 8)  # type: ignore[arg-type]
    for wrong in (
        BaseInfo(9, bytes(32), good.name, good.sha256),
        BaseInfo(10, good.hash, good.name, good.sha256),
        BaseInfo(99, good.hash, good.name, good.sha256),
        BaseInfo(9, good.hash, good.name, bytes(32)),
        BaseInfo(9, good.hash, "base-none", good.sha256),
        BaseInfo(9, good.hash, "mark", good.sha256),
        BaseInfo(9, good.hash, "base-/../mark", good.sha256),
    ):
        with pytest.raises(JournalError):
            await journal.record_base(wrong)
    assert journal.base() is None
    await journal.record_base(good)
    with pytest.raises(JournalError, match="older"):
        await journal.record_base(early)
    assert journal.base() == good


async def test_positions_before_the_first_record_are_refused(
    directory: str, keys: Any, open_journal: Any, commands: Any
) -> None:
    """Whoever has not seen what was dropped cannot be told whether a stream has changed, nor go on as if it had not."""
    await drop_first(await open_journal(backend=rotating(directory)), keys, commands)
    journal: Journal = await open_journal(backend=rotating(directory))
    first = journal.files()[0].first
    entry = Entry("b/new", "Put", b"{}")
    with pytest.raises(StreamChanged, match="gone"):
        await journal.append([entry], unless_changed_since=(["b/never"], first - 2))
    await journal.append([entry], unless_changed_since=(["b/never"], first - 1))
    with pytest.raises(JournalError, match="dropped"):
        await journal.follow("late").next()


# verifying behind


async def test_decision_18_older_files_are_verified_behind_in_steps(rotated: str, keys: Any, open_journal: Any) -> None:
    """Each step says how far it is; a file may be sealed or dropped in between."""
    journal: Journal = await open_journal(backend=rotating(rotated))
    last = journal.files()[-1].first - 1
    steps = [step async for step in journal.verify_older(page_records=4)]
    assert [step.position for step in steps] == sorted(step.position for step in steps)
    assert steps[-1].position == steps[-1].last == last
    await journal.record_base(base_of(journal._backend, 30))  # type: ignore[arg-type]
    positions = []
    async for step in journal.verify_older(page_records=4):
        positions.append(step.position)
        if step.position == 4:
            await journal.seal(2)
            await journal.drop(1)
    assert positions[:2] == [4, 11]
    assert positions[-1] == last


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("UPDATE record SET kind = 'x' WHERE sequence = 9", 9),
        ("DELETE FROM record WHERE sequence = 10", 10),
        ("DELETE FROM record WHERE sequence > 11", 12),
    ],
)
async def test_damage_in_an_older_file_is_found_behind_and_named(
    rotated: str, keys: Any, open_journal: Any, statement: str, sequence: int
) -> None:
    """The journal is open meanwhile, with a state that has seen the records already."""
    keys.position = 30
    edit(f"{rotated}/{file_name(2)}", statement)
    journal: Journal = await open_journal(backend=rotating(rotated))
    with pytest.raises(JournalDamaged) as caught:
        async for _ in journal.verify_older():
            pass
    assert caught.value.sequence == sequence


async def test_an_older_file_with_a_broken_page_is_found_behind(rotated: str, open_journal: Any) -> None:
    """Pages that no record of the chain lies on, too."""
    with open(f"{rotated}/{file_name(2)}", "r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    journal: Journal = await open_journal(backend=rotating(rotated))
    with pytest.raises(JournalDamaged):
        async for _ in journal.verify_older():
            pass


# looking, repairing, upgrading


def test_an_inspection_covers_all_files_and_says_which_are_sealed(rotated: str) -> None:
    """Nothing appears beside them, and a damaged older file is named."""
    backend = rotating(rotated)
    backend.open()
    seal(backend, 1)
    backend.record_base(base_of(backend, 30))
    backend.close()
    before = sorted(os.listdir(rotated))
    with inspect(rotated) as inspection:
        assert [file.state for file in inspection.files()][:3] == ["sealed", "closed", "closed"]
        assert inspection.verify() == 30
        assert [record.sequence for record in inspection.records(3)] == list(range(4, 31))
        assert inspection.body(1) is None
        assert inspection.body(30) == b"30" + BODY
        assert inspection.base() is not None
    assert sorted(os.listdir(rotated)) == before
    edit(f"{rotated}/{file_name(2)}", "UPDATE record SET body = x'00' WHERE sequence = 8")
    with inspect(rotated) as inspection, pytest.raises(JournalDamaged) as caught:
        inspection.verify()
    assert caught.value.sequence == 8


def test_an_inspection_finds_a_file_that_was_sealed_since_the_copy(rotated: str) -> None:
    """The daemon goes on beside it."""
    with inspect(rotated) as inspection:
        backend = rotating(rotated)
        backend.open()
        seal(backend, 1)
        backend.close()
        assert inspection.verify() == 30


def test_an_export_begins_with_what_its_first_record_follows(rotated: str) -> None:
    """After a drop that is no longer the genesis."""
    backend = rotating(rotated)
    backend.open()
    backend.record_base(base_of(backend, 30))
    backend.drop(1)
    hash_before = backend.origin().hash.hex()
    backend.close()
    with inspect(rotated) as inspection:
        assert inspection.verify() == 23
        lines = list(export_lines(inspection.identity, inspection.records(), inspection.origin))
    assert f'"first": 8, "previous": "{hash_before}"' in lines[0]
    assert len(lines) == 24


def test_a_journal_without_mark_is_adopted_with_all_its_files(rotated: str) -> None:
    """All of them are verified; half a next file does not matter, a changed older one does."""
    from journal import adopt

    half_a_file(f"{rotated}/{file_name(6)}")
    os.unlink(f"{rotated}/mark")
    shutil.copytree(rotated, f"{rotated}-changed")
    with pytest.raises(JournalDamaged):
        rotating(rotated).open()
    identity, head = adopt(rotated)
    assert (identity.epoch, head.sequence) == (2, 30)
    backend = rotating(rotated)
    assert verify_backend(backend, backend.open()) == 30
    backend.close()
    edit(f"{rotated}-changed/{file_name(2)}", "UPDATE record SET kind = 'x' WHERE sequence = 9")
    with pytest.raises(JournalDamaged):
        adopt(f"{rotated}-changed")


def test_decision_12_a_restored_backup_begins_a_new_epoch(rotated: str) -> None:
    """Sequence numbers go on; the epoch says that some of them may have been used before."""
    identity, head = new_epoch(rotated)
    assert (identity.epoch, head.sequence) == (2, 30)
    backend = rotating(rotated)
    assert backend.open() == head
    assert backend.identity == identity
    grow(backend, head, 10)
    assert backend.identity.epoch == 2
    backend.close()
    os.unlink(f"{rotated}/mark")
    with pytest.raises(JournalDamaged):
        new_epoch(rotated)


def make_schema_1(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal as the version before the catalogue wrote it."""
    import journal.database
    import journal.opening

    def create(connection: Any, identity: Any, catalogue: Any, positions: Any) -> None:
        create_schema(connection, identity, catalogue, positions)
        connection.execute("DROP TABLE origin; DROP TABLE file; DROP TABLE base; PRAGMA user_version=1")

    with monkeypatch.context() as patch:
        patch.setattr(journal.opening, "create_schema", create)
        patch.setattr(journal.opening, "catalogue_of", lambda c, _v: journal.database.catalogue_of(c, 1))
        backend = SqliteBackend(directory, ballast_bytes=0)
        grow(backend, backend.open(), 20)
        backend.close()


def test_a_journal_of_one_file_is_upgraded(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schema 1 opens, has its catalogue then, and goes on as file 1 of many; it can be inspected before."""
    make_schema_1(directory, monkeypatch)
    with inspect(directory) as inspection:
        assert inspection.verify() == 20
    backend = rotating(directory)
    head = backend.open()
    assert backend._state.connection.pragma("user_version") == 2
    assert verify_backend(backend, head) == 20
    grow(backend, head, 10)
    assert len(backend.files()) > 2
    assert backend.files()[0].first == 1
    seal(backend, 1)
    backend.close()
    backend = rotating(directory)
    assert verify_backend(backend, backend.open()) == 30
    backend.close()


def test_an_upgrade_that_is_cut_short_is_made_again(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one transaction: before its end the journal is of schema 1."""
    import journal.database

    make_schema_1(directory, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(journal.database, "write_catalogue", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rotating(directory).open()
    with inspect(directory) as inspection:
        assert inspection.verify() == 20
    backend = rotating(directory)
    assert verify_backend(backend, backend.open()) == 20
    backend.close()
