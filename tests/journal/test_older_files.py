"""Files before the active one: verified behind, inspected, exported, adopted, upgraded."""

import os
import shutil
from typing import Any

import pytest
from rotating_journals import BODY, base_of, edit, grow, half_a_file, rotating, seal

from journal import (
    Journal,
    JournalDamaged,
    SqliteBackend,
    inspect,
    new_epoch,
)
from journal.database import create_schema
from journal.export import export_lines
from journal.files import file_name
from journal.verify import verify_backend

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


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("UPDATE record SET payload = X'00' WHERE sequence = 9", 9),
        ("UPDATE record SET written_at = 1 << 62, body_size = 1 << 62 WHERE sequence = 9", 9),
        ("UPDATE record SET stream = 'another' WHERE sequence = 1", 1),
        ("UPDATE record SET hash = X'00' WHERE sequence = 8", 8),
        ("DELETE FROM record WHERE sequence = 10", 10),
    ],
)
async def test_decision_18_what_changed_in_an_older_file_is_not_read_before_it_is_verified(
    rotated: str, keys: Any, open_journal: Any, statement: str, sequence: int
) -> None:
    """Neither folded nor replayed: whoever reads across it, or picks it, is told which record it is."""
    keys.position = 30
    number = 1 if sequence == 1 else 2
    edit(f"{rotated}/{file_name(number)}", statement)
    journal: Journal = await open_journal(backend=rotating(rotated))
    with pytest.raises(JournalDamaged) as caught:
        journal.read(0, 30)
    assert caught.value.sequence == sequence
    with pytest.raises(JournalDamaged):
        journal.pick([sequence, sequence + 1])
    assert [record.sequence for record in journal.pick([3, 5, 6, 30])] == [3, 5, 6, 30], "the others are as they were"


@pytest.mark.parametrize("offset", [0, 4096])
async def test_an_older_file_with_a_broken_page_is_found_behind(
    rotated: str, keys: Any, open_journal: Any, offset: int
) -> None:
    """Pages that no record of the chain lies on, too; and one that is no database any more. It is said which file."""
    with open(f"{rotated}/{file_name(2)}", "r+b") as file:
        file.seek(offset)
        file.write(bytes(4096))
    keys.position = 30
    journal: Journal = await open_journal(backend=rotating(rotated))
    with pytest.raises(JournalDamaged) as caught:
        async for _ in journal.verify_older():
            pass
    first, last = journal.files()[1].first, journal.files()[1].last
    assert caught.value.sequence is not None
    assert first <= caught.value.sequence <= last
    assert journal.pick([last + 1]), "the record that follows the file's last one can be told sound all the same"


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
