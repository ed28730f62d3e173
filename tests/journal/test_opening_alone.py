"""Opening: on which SQLite, with which settings, and with nobody else there."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from closed_journals import DATABASE_NAME, backend, opens

from journal import (
    Entry,
    JournalError,
    JournalLocked,
)
from journal.database import APPLICATION_ID, check_sqlite, sqlite_version
from journal.record import link

# SQLite


def test_every_pragma_that_durability_rests_on_is_set_and_read_back(directory: str) -> None:
    """Read from the open connection, not from our own list."""
    opened = backend(directory)
    opened.open()
    connection = opened._state.connection
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "mmap_size": 0,
        "page_size": 4096,
        "application_id": APPLICATION_ID,
        "user_version": 2,
    }
    assert {name: connection.pragma(name) for name in wanted} == wanted
    assert connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1) == 1
    opened.close()


def test_a_pragma_that_does_not_take_is_refused(directory: str) -> None:
    """A read-back that differs ends the opening: in-memory databases, for one, cannot be in WAL mode."""
    from journal.database import set_pragmas

    with pytest.raises(JournalError, match="journal_mode"):
        set_pragmas(apsw.Connection(":memory:"), "FULL", exclusive=False, new=True)


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 3), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), False),
        ((3, 53, 0), True),
        ((3, 54, 1), True),
        ((4, 0, 0), True),
    ],
)
def test_a_sqlite_with_the_wal_reset_bug_is_refused(version: tuple[int, int, int], *, good: bool) -> None:
    """Fixed in 3.51.3, backported to 3.50.7 and 3.44.6; 3.52.0 was withdrawn."""
    if good:
        check_sqlite(version)
    else:
        with pytest.raises(JournalError, match="WAL-reset"):
            check_sqlite(version)


def test_the_sqlite_at_hand_is_a_good_one() -> None:
    """What the lock file installs passes its own gate."""
    check_sqlite(sqlite_version())


# the lock


def test_a_second_opener_in_this_process_is_refused(filled: str) -> None:
    """And the first one goes on."""
    opened = backend(filled)
    opened.open()
    with pytest.raises(JournalLocked):
        backend(filled).open()
    assert len(opened.read(0, 100)) == 20
    opened.close()
    assert opens(filled) == 20


@pytest.fixture
def holder(filled: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the journal open."""
    program = (
        "import sys; from journal import SqliteBackend\n"
        "SqliteBackend(sys.argv[1], ballast_bytes=0).open(); print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, filled], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


def test_s9_s10_another_process_is_refused_until_the_holder_is_dead(filled: str, holder: subprocess.Popen[str]) -> None:
    """The lock is the kernel's: a killed holder leaves none behind."""
    with pytest.raises(JournalLocked):
        backend(filled).open()
    holder.kill()
    holder.wait()
    assert opens(filled) == 20


def test_a_writer_from_outside_fails_one_batch_not_the_journal(filled: str, monkeypatch: Any) -> None:
    """Somebody with a database tool holds the write lock: the batch is refused, nothing is kept, and it goes on."""
    import journal.database

    monkeypatch.setattr(journal.database, "BUSY_TIMEOUT_MS", 10)
    opened = backend(filled)
    head = opened.open()
    record = link(head.hash, 21, 0, Entry("b/k", "Put", b"{}"))
    outside = apsw.Connection(f"{filled}/{DATABASE_NAME}")
    outside.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another program") as caught:
        opened.append([record], {}, {})
    assert type(caught.value) is JournalError
    outside.execute("ROLLBACK")
    opened.append([record], {}, {})
    opened.close()
    outside.close()
    assert opens(filled) == 21
