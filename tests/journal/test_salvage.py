"""Whatever is done to a journal's files, what still proves itself is saved, and the rest is known to be lost."""

import hashlib
import os
import random
import shutil
from pathlib import Path

import apsw
import msgspec
import pytest
from closed_journals import DATABASE_NAME, WAL, contents, fill, flip, opens
from hypothesis import given
from hypothesis import strategies as st
from rotating_journals import base_of, grow, rotating, seal

from journal import Head, JournalForeign, Record
from journal.diagnosis import Diagnosis, diagnose, opened
from journal.disk import RealDisk
from journal.inspection import inspect
from journal.mark import Mark, MarkFile
from journal.pages import PAGE_BYTES, is_whole, read_images, rows_of
from journal.rebuilding import rebuild
from journal.record import LOST, Entry, follows, genesis, link, read_lost
from journal.salvage import choose

RECORDS, BASE_AT = 24, 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of four files: sealed, closed, closed, active with a log; and a base."""
    directory = tmp_path_factory.mktemp("journal")
    backend = rotating(str(directory))
    grow(backend, backend.open(), RECORDS)
    seal(backend, 1)
    backend.record_base(base_of(backend, BASE_AT))
    backend.close()
    return directory


def records_of(directory: Path) -> dict[int, tuple[Record, bytes | None]]:
    with inspect(str(directory)) as inspection:
        return {one.sequence: (one, inspection.body(one.sequence)) for one in inspection.records()}


def damage(directory: Path, chance: random.Random) -> str:
    """One or two things that happen to files; what they were."""
    done = []
    for _ in range(chance.choice((1, 1, 2))):
        names = [one for one in os.listdir(directory) if one.startswith("journal") and not one.endswith("-shm")]
        path = str(directory / chance.choice([one for one in names if os.path.getsize(directory / one)]))
        size, kind = os.path.getsize(path), chance.choice(("flip", "flip", "zero", "garbage", "cut", "gone"))
        at = chance.randrange(size)
        match kind:
            case "flip":
                flip(path, at, 1 << chance.randrange(8))
            case "cut":
                os.truncate(path, at)
            case "gone":
                os.unlink(path)
            case _:
                with open(path, "r+b") as file:
                    file.seek(at // PAGE_BYTES * PAGE_BYTES)
                    file.write(bytes(PAGE_BYTES) if kind == "zero" else chance.randbytes(PAGE_BYTES))
        done.append(f"{kind} {os.path.basename(path)} at {at}")
    return ", ".join(done)


def test_random_damage_costs_only_what_it_has_hit(whole: Path, tmp_path: Path) -> None:
    """Every record that is kept is the one that was written; every other has a place that says so, and the numbers and
    hashes behind it are the old ones. A body is the one that was written, or is told to be damaged.
    """
    before = records_of(whole)
    saved = lost = 0
    for seed in range(25):
        chance = random.Random(seed)
        damaged, anew = tmp_path / f"{seed}", tmp_path / f"{seed}.new"
        shutil.copytree(whole, damaged)
        what = damage(damaged, chance)
        lying = contents(str(damaged))
        found = diagnose(str(damaged))
        assert contents(str(damaged)) == lying, "it is only looked at"
        if found.hopeless:
            assert "gone journal-000004.db" in what, f"seed {seed}: {what}: {found.hopeless}"
            continue
        if found.damaged:
            anew.mkdir()
            with opened(str(damaged)) as copied:
                rebuild(copied, found, str(anew), RealDisk(), base=None, new_epoch=True)
            assert contents(str(damaged)) == lying
            assert opens(str(anew)) == RECORDS, f"seed {seed}: {what}"
        holes = {
            one for file in found.files if file.chosen for h in file.chosen.holes for one in range(h.first, h.last + 1)
        }
        bodies = {one for file in found.files for one in file.bodies}
        after = records_of(anew if found.damaged else damaged) if not bodies else None
        for sequence, (record, body) in before.items():
            if after is None:
                break
            if sequence in holes:
                lost += 1
                told = read_lost(after[sequence][0])
                assert told is not None
                assert told.first <= sequence <= told.last
            else:
                saved += 1
                assert after[sequence] == (record, body), f"seed {seed}: {what}: record {sequence}"
    assert saved > 4 * lost > 0, "most of it is saved, and some of it cannot be"


def test_a_flipped_bit_in_the_log_loses_no_record(tmp_path: Path) -> None:
    """SQLite reads a log up to the first frame that is wrong; the rest is whole, and most pages are there often."""
    fill(str(tmp_path / "journal"), 20)
    frames = os.path.getsize(tmp_path / "journal" / WAL) // (PAGE_BYTES + 24)
    for frame in range(0, frames, 3):
        damaged = tmp_path / f"{frame}"
        shutil.copytree(tmp_path / "journal", damaged)
        flip(str(damaged / WAL), 32 + frame * (PAGE_BYTES + 24) + 3000)
        found = diagnose(str(damaged))
        assert not [hole for file in found.files if file.chosen for hole in file.chosen.holes], frame
        assert found.head.sequence == 20


def test_a_database_without_its_log_is_filled_up_to_the_mark(tmp_path: Path) -> None:
    """The numbers of lost records are not used again: what was told to clients stays true of something."""
    fill(str(tmp_path / "journal"), 20)
    kept = opens(str(tmp_path / "journal"))
    copied_before = shutil.copytree(tmp_path / "journal", tmp_path / "early")
    fill(str(tmp_path / "journal"), 5, first=21)
    shutil.copyfile(copied_before / DATABASE_NAME, tmp_path / "journal" / DATABASE_NAME)
    (tmp_path / "journal" / WAL).unlink()
    found = diagnose(str(tmp_path / "journal"))
    (hole,) = found.files[-1].chosen.holes  # type: ignore[union-attr]
    assert (kept, hole.first, hole.last) == (20, 21, 25)
    assert not found.has_log
    anew = tmp_path / "anew"
    anew.mkdir()
    with opened(str(tmp_path / "journal")) as copied:
        identity, head = rebuild(copied, found, str(anew), RealDisk(), base=None, new_epoch=True)
    assert (identity.epoch, head.sequence) == (2, 25)
    fill(str(anew), 1, first=26)
    records = records_of(anew)
    assert [records[one][0].kind for one in (20, 21, 25, 26)] == ["Put", LOST, LOST, "Put"]


def test_what_was_lost_once_stays_lost_and_is_told_again(whole: Path, tmp_path: Path) -> None:
    """A journal that was salvaged can be damaged and salvaged like any other."""
    first, second = tmp_path / "first", tmp_path / "second"
    damaged = shutil.copytree(whole, tmp_path / "damaged")
    (damaged / "journal-000002.db").unlink()
    for target in (first, second):
        target.mkdir()
        found = diagnose(str(damaged))
        with opened(str(damaged)) as copied:
            rebuild(copied, found, str(target), RealDisk(), base=None, new_epoch=True)
        damaged = shutil.copytree(target, tmp_path / f"{target.name}.damaged")
        with open(damaged / "journal-000002.db", "r+b") as file:
            file.truncate(file.seek(0, os.SEEK_END) - 100)
            file.write(bytes(100))
    found = diagnose(str(second))
    assert [(one.first, one.last) for one in found.known_losses] == [(8, 14)]
    assert opens(str(second)) == RECORDS


def test_followers_and_epochs_are_found_where_sqlite_reads_nothing(whole: Path, tmp_path: Path) -> None:
    """They say where somebody has to go on, and which epoch a record was written in."""
    damaged, anew = shutil.copytree(whole, tmp_path / "damaged"), tmp_path / "anew"
    (damaged / "journal-000004.db-wal").write_bytes(b"")
    flip(str(damaged / "journal-000004.db"), 3)
    anew.mkdir()
    found = diagnose(str(damaged))
    with opened(str(damaged)) as copied:
        rebuild(copied, found, str(anew), RealDisk(), base=None, new_epoch=True)
    with inspect(str(anew)) as inspection:
        assert inspection.positions() == {"replicator": RECORDS - 1, "epoch-2-begins": RECORDS}


def test_another_journals_mark_is_not_taken_for_damage(whole: Path, tmp_path: Path) -> None:
    """A whole record under the number of another whole one is another history: a person has to say which one counts."""
    mixed = shutil.copytree(whole, tmp_path / "mixed")
    MarkFile.create(RealDisk(), str(mixed), Mark(4, Head(RECORDS, hashlib.sha256(b"another").digest()))).close()
    found = diagnose(str(mixed))
    assert "from different copies" in found.hopeless


@pytest.mark.parametrize("column", ["instance", "epoch"])
def test_a_flipped_bit_in_whose_it_is_is_turned_back(tmp_path: Path, column: str) -> None:
    """The mark says it, and of all single bits only one gives what it says."""
    directory, anew = tmp_path / "journal", tmp_path / "anew"
    fill(str(directory), 3)
    opens(str(directory))
    with inspect(str(directory)) as inspection:
        identity = inspection.identity
    flipped = {"instance": chr(ord(identity.instance[0]) ^ 2) + identity.instance[1:], "epoch": identity.epoch ^ 64}
    connection = apsw.Connection(str(directory / DATABASE_NAME))
    connection.execute(f"UPDATE identity SET {column} = ?", (flipped[column],))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    found = diagnose(str(directory))
    assert (found.hopeless, found.identity, found.damaged) == ("", identity, True)
    anew.mkdir()
    with opened(str(directory)) as copied:
        assert rebuild(copied, found, str(anew), RealDisk(), base=None, new_epoch=False)[0] == identity
    assert opens(str(anew)) == 3


def test_a_damaged_file_with_records_is_not_taken_for_half_a_rotation(whole: Path, tmp_path: Path) -> None:
    """Without the mark the file before it could pass for the active one, and its records would be gone unseen."""
    damaged = shutil.copytree(whole, tmp_path / "damaged")
    (damaged / "mark").unlink()
    flip(str(damaged / "journal-000004.db"), 3)
    (damaged / "journal-000004.db-wal").write_bytes(b"")
    assert diagnose(str(damaged)).head.sequence == RECORDS


def test_a_log_that_goes_on_behind_a_damaged_frame_says_so_itself(tmp_path: Path) -> None:
    """The mark may be as old as what SQLite still reads: its newer half is damaged as well, or the power went."""
    damaged, anew = tmp_path / "damaged", tmp_path / "anew"
    fill(str(damaged), RECORDS)
    flip(str(damaged / WAL), (damaged / WAL).stat().st_size // 2)
    connection = apsw.Connection(str(shutil.copytree(damaged, tmp_path / "read") / DATABASE_NAME))
    ((seen, hash_),) = connection.execute("SELECT sequence, hash FROM record ORDER BY sequence DESC LIMIT 1")
    connection.close()
    assert 0 < seen < RECORDS
    MarkFile.create(RealDisk(), str(damaged), Mark(1, Head(seen, hash_))).close()
    found = diagnose(str(damaged))
    assert (found.damaged, found.head.sequence) == (True, RECORDS)
    anew.mkdir()
    with opened(str(damaged)) as copied:
        rebuild(copied, found, str(anew), RealDisk(), base=None, new_epoch=False)
    assert opens(str(anew)) == RECORDS
    with inspect(str(anew)) as inspection:
        assert [one.kind for one in inspection.records()] == ["Put"] * RECORDS


def test_other_programs_and_newer_versions_are_refused(whole: Path, tmp_path: Path) -> None:
    """They are told apart from damage: nothing of theirs is to be salvaged."""
    other = tmp_path / "other"
    other.mkdir()
    (other / DATABASE_NAME).write_bytes(b"#!/bin/sh\n" * 1000)
    with pytest.raises(JournalForeign, match="is not a database"):
        diagnose(str(other))
    newer = shutil.copytree(whole, tmp_path / "newer")
    connection = apsw.Connection(str(newer / "journal-000004.db"))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(JournalForeign, match="newer version"):
        diagnose(str(newer))


@given(
    st.lists(st.integers(0, 30_000), min_size=1, max_size=12),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=50),
)
def test_rows_are_read_as_sqlite_wrote_them(sizes: list[int], number: int, text: str) -> None:
    """Every length that a row can have in its page and in others, every integer, any text."""
    connection = apsw.Connection(":memory:")
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER, c TEXT, d BLOB)")
    wanted = {}
    for rowid, size in enumerate(sizes, 1):
        values = (None, number >> (7 * (rowid % 9)), text, random.Random(size).randbytes(size))
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (rowid, *values[1:]))
        wanted[rowid] = values
    images = read_images(memoryview(connection.serialize("main")), memoryview(b""))
    connection.close()
    four = frozenset({4})
    found = {row.rowid: row.values for n, page in images.newest.items() for row in rows_of(images, n, page, four)}
    assert found == wanted


def test_a_log_that_is_broken_in_the_middle_is_told_from_one_that_ends(tmp_path: Path) -> None:
    """What a killed process has left at its end is no damage; a transaction behind a wrong frame is."""
    fill(str(tmp_path), 10)
    log = (tmp_path / WAL).read_bytes()
    frame = PAGE_BYTES + 24
    assert is_whole(memoryview(log))
    assert is_whole(memoryview(b""))
    assert is_whole(memoryview(log[: 32 + 5 * frame + 100]))
    for at in (8, 20, 28, 40, 60, 32 + 3 * frame + 999, len(log) - 3 * frame):
        broken = bytearray(log)
        broken[at] ^= 4
        assert not is_whole(memoryview(broken)), at
    last = len(log) - frame
    assert is_whole(memoryview(log[:-100] + bytes(100))), "its last frame was being written"
    unfinished = bytearray(log)
    unfinished[last + 4 : last + 8] = bytes(4)
    assert is_whole(memoryview(unfinished)), "its last frame commits nothing"


@given(st.integers(0, 2**32), st.binary(max_size=200), st.booleans())
def test_any_bytes_can_be_searched_for_rows(seed: int, start: bytes, leaf: bool) -> None:
    """Whatever the disk has made of a page: there are rows in it or not."""
    page = (b"\x0d" if leaf else b"") + start + random.Random(seed).randbytes(PAGE_BYTES)
    images = read_images(memoryview(page * 2), memoryview(page))
    for number, one in images.newest.items():
        list(rows_of(images, number, one, frozenset(range(12))))


def chain(count: int) -> tuple[Head, dict[int, Record]]:
    origin = head = Head(0, genesis("salvage"))
    records = {}
    for number in range(1, count + 1):
        records[number] = link(head.hash, number, 1000 + number, Entry(f"b/{number}", "Put", b"{}"))
        head = Head(number, records[number].hash)
    return origin, records


@given(st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)), st.booleans())
def test_a_record_is_kept_when_a_neighbour_proves_it(gone: set[int], changed: set[int], end_is_known: bool) -> None:
    """Behind a loss the first record that is kept has its predecessor's hash from the record itself or from nowhere;
    a record that was changed is never kept, and everything that is kept follows.
    """
    origin, records = chain(12)
    found = {
        one: [msgspec.structs.replace(record, kind="Other") if one in changed else record]
        for one, record in records.items()
        if one not in gone
    }
    known = {12: records[12].hash} if end_is_known else {}
    chosen = choose(found, origin, known, 12)
    assert all(chosen.kept[one] == records[one] for one in chosen.kept)
    first_lost = min(gone | changed, default=13)
    assert set(range(1, first_lost)) <= set(chosen.kept)
    previous = origin.hash
    for record in chosen.records(origin):
        assert follows(previous, record)
        previous = record.hash
    assert not end_is_known or chosen.head == Head(12, records[12].hash)


def test_a_hash_that_was_damaged_is_what_its_record_says() -> None:
    """A bit in the hash of a record costs neither it nor the next one."""
    origin, records = chain(5)
    found = {one: [record] for one, record in records.items()}
    found[3] = [msgspec.structs.replace(records[3], hash=bytes(32))]
    chosen = choose(found, origin, {5: records[5].hash}, 5)
    assert (dict(chosen.kept), chosen.holes) == (records, ())


def is_sound(found: Diagnosis) -> bool:
    return not (found.hopeless or found.damaged or found.mark_trouble or found.base_trouble)


def test_a_whole_journal_is_sound(whole: Path) -> None:
    """Nothing is found where nothing is wrong."""
    assert is_sound(diagnose(str(whole)))
