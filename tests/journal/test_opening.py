"""Opening: what is refused, that nothing is changed by a refusal, and what a person can do then."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from closed_journals import DATABASE_NAME, WAL, backend, contents, edit, fill, flip, opens, refused

from journal import (
    JournalDamaged,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalShortened,
    adopt,
)
from journal.mark import SLOT_BYTES, SLOT_SPACING_BYTES
from journal.record import Head, chain_hash, genesis


def test_a_journal_reopens_again_and_again(filled: str) -> None:
    """Records, chain and identity are what they were; the log is empty after each start."""
    assert opens(filled) == 20
    assert os.path.getsize(f"{filled}/{WAL}") == 0
    fill(filled, first=21)
    assert opens(filled) == 40


# the log


def test_decision_13_a_flipped_wal_byte_is_refused(filled: str) -> None:
    """Never silently shorter: the mark knows better. A copy is set aside, once, and nothing else changes."""
    flip(f"{filled}/{WAL}", os.path.getsize(f"{filled}/{WAL}") // 2)
    damaged = contents(filled)[WAL]
    error = refused(filled, JournalShortened)
    assert isinstance(error, JournalShortened)
    assert error.sequence is not None
    assert 1 <= error.sequence <= 20
    copies = os.listdir(f"{filled}/set-aside")
    assert len(copies) == 1, "two refused starts on the same damage make one copy"
    with open(f"{filled}/set-aside/{copies[0]}/{WAL}", "rb") as file:
        assert file.read() == damaged
    assert copies[0] in error.hint


@pytest.mark.parametrize("seed", range(40))
def test_decision_13_whichever_wal_byte_flips_the_journal_is_whole_or_refused(filled: str, seed: int) -> None:
    """Bytes of the log that no frame needs may flip; any other is noticed."""
    size_bytes = os.path.getsize(f"{filled}/{WAL}")
    flip(f"{filled}/{WAL}", seed * size_bytes // 40 + seed, 1 << (seed % 8))
    try:
        count = opens(filled)
    except JournalDamaged:
        count = 20
    assert count == 20


def test_c7_a_deleted_wal_is_refused(filled: str) -> None:
    """Acknowledged records were only there."""
    os.unlink(f"{filled}/{WAL}")
    refused(filled, JournalShortened)


def test_a_truncated_wal_is_refused(filled: str) -> None:
    """Half a log is a shorter journal."""
    os.truncate(f"{filled}/{WAL}", os.path.getsize(f"{filled}/{WAL}") // 2)
    refused(filled, JournalShortened)


def test_decision_13_the_standard_library_would_have_deleted_the_evidence(filled: str, tmp_path: Any) -> None:
    """Why NO_CKPT_ON_CLOSE: an ordinary open and close of a damaged log leaves fewer records and no log at all."""
    copy = f"{tmp_path}/copy"
    shutil.copytree(filled, copy)
    flip(f"{copy}/{WAL}", os.path.getsize(f"{copy}/{WAL}") // 2)
    connection = sqlite3.connect(f"{copy}/{DATABASE_NAME}")
    (count,) = connection.execute("SELECT count(*) FROM record").fetchone()
    connection.close()
    assert count < 20
    assert not os.path.exists(f"{copy}/{WAL}")


# the mark


def test_a_missing_mark_is_refused_and_can_be_adopted(filled: str) -> None:
    """Only a person may accept that; the new epoch says that numbers may have been used before."""
    os.unlink(f"{filled}/mark")
    refused(filled, JournalDamaged)
    identity, head = adopt(filled)
    assert (identity.epoch, head.sequence) == (2, 20)
    opened = backend(filled)
    assert opened.open() == head
    assert opened.identity == identity
    opened.close()


def test_decision_14_both_slots_bad_is_refused_and_can_be_adopted(filled: str) -> None:
    """A mark that says nothing is no mark."""
    for slot in (0, 1):
        flip(f"{filled}/mark", slot * SLOT_SPACING_BYTES + 20)
    refused(filled, JournalDamaged)
    assert adopt(filled)[1].sequence == 20
    assert opens(filled) == 20


@pytest.mark.parametrize("slot", [0, 1])
def test_decision_14_one_torn_slot_is_survived(filled: str, slot: int) -> None:
    """The other one still proves everything up to itself."""
    with open(f"{filled}/mark", "r+b") as file:
        file.seek(slot * SLOT_SPACING_BYTES + SLOT_BYTES // 2)
        file.write(bytes(SLOT_BYTES))
    assert opens(filled) == 20


def test_decision_14_a_journal_ahead_of_its_mark_is_adopted(filled: str) -> None:
    """A power cut may take back the mark's last 100 ms; the record that it does name must be the one that is there."""
    shutil.copy(f"{filled}/mark", f"{filled}/older")
    fill(filled, first=21)
    os.replace(f"{filled}/older", f"{filled}/mark")
    assert opens(filled) == 40


def test_a_mark_of_another_journal_is_refused(filled: str, tmp_path: Any) -> None:
    """Same numbers, other hashes."""
    other = f"{tmp_path}/other"
    fill(other)
    shutil.copy(f"{other}/mark", f"{filled}/mark")
    refused(filled, JournalDamaged)


@pytest.mark.parametrize(
    "change",
    ["instance = 'x' || substr(instance, 2)", "epoch = epoch + 2", "epoch = 0"],
    ids=["instance", "later", "0"],
)
def test_a_database_that_forgot_whose_it_is_is_refused(filled: str, change: str) -> None:
    """The chain says nothing about that once the first file is dropped: the mark does."""
    edit(filled, f"UPDATE identity SET {change}")
    error = refused(filled, JournalDamaged)
    assert "which journal it is" in error.message


def test_an_adoption_that_was_cut_short_is_no_damage(filled: str) -> None:
    """The epoch was raised, and the mark not made anew: the start does that."""
    edit(filled, "UPDATE identity SET epoch = epoch + 1")
    assert opens(filled) == 20
    assert opens(filled) == 20


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO base VALUES (1, 5, x'00', CAST(x'62ff' AS TEXT), x'00')",
        "UPDATE identity SET instance = CAST(x'ff' AS TEXT)",
    ],
    ids=["base", "identity"],
)
def test_a_file_that_says_nothing_sensible_about_itself_is_damage(filled: str, change: str) -> None:
    """Bytes that are no text, where a name should be."""
    edit(filled, change)
    refused(filled, JournalDamaged)


def test_adopt_refuses_a_mark_that_proves_a_loss(filled: str) -> None:
    """Whoever accepts the loss must move the mark away himself."""
    os.unlink(f"{filled}/{WAL}")
    with pytest.raises(JournalShortened, match="move the file"):
        adopt(filled)
    os.unlink(f"{filled}/mark")
    identity, head = adopt(filled)
    assert head.sequence < 20
    assert identity.epoch == 2
    assert opens(filled) == head.sequence


def test_adopt_refuses_what_needs_no_adoption_or_does_not_verify(filled: str, tmp_path: Any) -> None:
    """A good mark, a broken chain, an open journal, an empty directory."""
    with pytest.raises(JournalError, match="good mark"):
        adopt(filled)
    opened = backend(filled)
    opened.open()
    with pytest.raises(JournalLocked):
        adopt(filled)
    opened.close()
    edit(filled, "UPDATE record SET kind = 'Delete' WHERE sequence = 7")
    os.unlink(f"{filled}/mark")
    with pytest.raises(JournalDamaged) as caught:
        adopt(filled)
    assert caught.value.sequence == 7
    with pytest.raises(JournalError, match="no journal"):
        adopt(str(tmp_path))


# the database


def test_a_deleted_database_is_refused_while_its_mark_is_there(filled: str) -> None:
    """Never start empty."""
    for name in (DATABASE_NAME, WAL):
        os.unlink(f"{filled}/{name}")
    refused(filled, JournalShortened)
    open(f"{filled}/{DATABASE_NAME}", "wb").close()
    refused(filled, JournalShortened)


def test_c9_an_older_database_put_in_place_is_refused(filled: str) -> None:
    """A restored backup with today's mark beside it has lost acknowledged records."""
    opens(filled)
    shutil.copy(f"{filled}/{DATABASE_NAME}", f"{filled}/backup")
    fill(filled, first=21)
    opens(filled)
    os.replace(f"{filled}/backup", f"{filled}/{DATABASE_NAME}")
    os.unlink(f"{filled}/{WAL}")
    refused(filled, JournalShortened)


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("UPDATE record SET payload = x'00' WHERE sequence = 7", 7),
        ("UPDATE record SET hash = zeroblob(32) WHERE sequence = 9", 9),
        ("UPDATE record SET written_at = written_at + 1 WHERE sequence = 11", 11),
        ("UPDATE record SET body_size = -1 WHERE sequence = 12", 12),
        ("UPDATE record SET stream = CAST(x'ff' AS TEXT) WHERE sequence = 13", 13),
        ("DELETE FROM record WHERE sequence = 5", 5),
        ("DELETE FROM record WHERE sequence < 4", 1),
    ],
)
def test_c10_c11_a_changed_or_deleted_row_is_named(filled: str, statement: str, sequence: int) -> None:
    """The chain says where it breaks."""
    edit(filled, statement)
    error = refused(filled, JournalDamaged)
    assert isinstance(error, JournalDamaged)
    assert error.sequence == sequence


def test_c12_two_swapped_rows_are_named(filled: str) -> None:
    """The first of them does not follow its new predecessor."""
    edit(
        filled,
        "UPDATE record SET sequence = -1 WHERE sequence = 5",
        "UPDATE record SET sequence = 5 WHERE sequence = 6",
        "UPDATE record SET sequence = 6 WHERE sequence = -1",
    )
    error = refused(filled, JournalDamaged)
    assert isinstance(error, JournalDamaged)
    assert error.sequence == 5


def test_c13_a_cut_tail_is_refused(filled: str) -> None:
    """The rest verifies perfectly; only the mark knows."""
    edit(filled, "DELETE FROM record WHERE sequence > 15")
    error = refused(filled, JournalShortened)
    assert isinstance(error, JournalShortened)
    assert error.sequence == 16


def test_c14_a_chain_computed_anew_breaks_at_the_mark(filled: str) -> None:
    """Whoever rewrites history must also forge the mark (an anchor off this machine is what stops that)."""
    opens(filled)
    with sqlite3.connect(f"{filled}/{DATABASE_NAME}") as connection:
        (instance,) = connection.execute("SELECT instance FROM identity").fetchone()
        previous = genesis(instance)
        query = "SELECT sequence, written_at, stream, kind, payload, body_digest, body_size FROM record ORDER BY 1"
        for row in connection.execute(query).fetchall():
            values = (row[0], row[1], row[2], "Forged", *row[4:])
            previous = chain_hash(previous, *values)
            connection.execute("UPDATE record SET kind = 'Forged', hash = ? WHERE sequence = ?", (previous, row[0]))
    connection.close()
    assert refused(filled, JournalDamaged).message.startswith("record 20 is not the one")


def test_c6_a_zeroed_page_is_refused(filled: str) -> None:
    """Whichever page of the database it is."""
    opens(filled)
    path = f"{filled}/{DATABASE_NAME}"
    pages = os.path.getsize(path) // 4096
    with open(path, "rb") as file:
        whole = file.read()
    for page in range(pages):
        with open(path, "r+b") as file:
            file.write(whole)
            file.seek(page * 4096)
            file.write(bytes(4096))
        with pytest.raises(JournalError):
            backend(filled).open()


def test_c15_a_database_with_other_tables_is_refused(filled: str) -> None:
    """A trigger or a view that somebody put there never runs."""
    edit(filled, "CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END")
    assert "tables" in refused(filled, JournalDamaged).message


def foreign_sqlite(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id=7")
    connection.execute("CREATE TABLE t(x)")
    connection.commit()
    connection.close()


def anonymous_sqlite(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.commit()
    connection.close()


def text_file(path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write("my diary\n" * 1000)


@pytest.mark.parametrize("make", [foreign_sqlite, anonymous_sqlite, text_file])
def test_somebody_elses_file_is_refused_untouched(directory: str, make: Callable[[str], None]) -> None:
    """Not even a log or an index appears beside it."""
    os.mkdir(directory)
    make(f"{directory}/{DATABASE_NAME}")
    refused(directory, JournalForeign)
    assert set(os.listdir(directory)) == {DATABASE_NAME, "lock"}


def test_a_newer_schema_is_refused(filled: str) -> None:
    """A downgrade does not guess."""
    edit(filled, "PRAGMA user_version=3")
    assert "newer version" in refused(filled, JournalForeign).message


def test_a_mark_that_names_a_file_that_is_not_there_is_refused(filled: str) -> None:
    """It was the active one."""
    from journal.mark import Mark, pack_slot

    with open(f"{filled}/mark", "r+b") as file:
        file.write(pack_slot(999, Mark(2, Head(1, bytes(32)))))
    refused(filled, JournalShortened)


def test_garbage_where_the_database_was_is_damage_not_somebody_elses(filled: str) -> None:
    """With a mark beside it, it was ours."""
    opens(filled)
    os.unlink(f"{filled}/{WAL}")
    text_file(f"{filled}/{DATABASE_NAME}")
    refused(filled, JournalDamaged)


def test_a_directory_that_cannot_be_made_is_an_error_with_a_hint(tmp_path: Any) -> None:
    """An OSError of the disk's arrives as what the journal can say."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="cannot be opened"):
        backend(f"{tmp_path}/file/data").open()
