"""Several files: rotation, and what an interrupted change of the files leaves."""

import os
import shutil
from collections.abc import Callable
from itertools import pairwise

import apsw
import pytest
from rotating_journals import BODY, FILE_BYTES_MAX, edit, grow, half_a_file, names, rotating, seal

from journal import (
    JournalDamaged,
    JournalShortened,
)
from journal.files import file_name, file_number, sealed_name
from journal.verify import verify_backend

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


# what an interrupted change leaves


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
