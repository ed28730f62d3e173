"""Sealing and dropping, and readers meanwhile."""

import asyncio
import os
from typing import Any

import pytest
from rotating_journals import (
    BODY,
    base_of,
    edit,
    grow,
    names,
    rotating,
    seal,
)

from journal import (
    Journal,
    JournalDamaged,
    JournalError,
)
from journal.files import file_name, sealed_name
from journal.readers import IDLE_MAX
from journal.verify import verify_backend

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
