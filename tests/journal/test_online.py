"""A copy of the active file as of one moment, while its writer goes on; and of one that nobody writes."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from rotating_journals import grow, rotating

from journal import Head, JournalShortened, inspect, new_epoch
from journal.disk import RealDisk
from journal.epochs import epochs_of
from journal.errors import JournalDamaged, JournalForeign
from journal.mark import MarkFile
from journal.online import copy_active


def target_of(directory: str, name: str) -> str:
    """An empty directory beside it."""
    path = f"{os.path.dirname(directory)}/{name}"
    os.mkdir(path)
    return path


def complete(directory: str, target: str, older: tuple[str, ...]) -> None:
    for name in older:
        shutil.copyfile(f"{directory}/{name}", f"{target}/{name}")


def test_what_was_acknowledged_before_is_in_it(tmp_path: Path) -> None:
    """The writer goes on and checkpoints all the time; every copy verifies, and none is behind its beginning."""
    directory = str(tmp_path / "journal")
    backend = rotating(directory, checkpoint_wal_bytes=50_000, synchronous="OFF")
    head, ending, older = [grow(backend, backend.open(), 3)], threading.Event(), ()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            while not ending.is_set():
                head[0] = grow(backend, head[0], 1)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(older) < 2 and not failures:
            before = head[0].sequence
            target = target_of(directory, f"copy{before}")
            copied = copy_active(directory, target, RealDisk(), live=True)
            complete(directory, target, copied.older)
            with inspect(target) as inspection:
                assert inspection.head == copied.head
                assert inspection.verify() == copied.head.sequence >= before
            older = copied.older
            while head[0].sequence == before and not failures:
                time.sleep(0.001)
    finally:
        ending.set()
        writer.join(60)
        backend.close()
    assert failures == []


def test_one_that_nobody_writes_is_copied_with_its_log(tmp_path: Path) -> None:
    """Nothing in the directory changes; without its log the mark tells that records are missing."""
    directory = str(tmp_path / "journal")
    backend = rotating(directory)
    head = grow(backend, backend.open(), 4)
    backend.close()
    before = {path: path.read_bytes() for path in Path(directory).iterdir()}
    copied = copy_active(directory, target_of(directory, "copy"), RealDisk(), live=False)
    assert {path: path.read_bytes() for path in Path(directory).iterdir()} == before
    assert copied.head == head
    with inspect(str(tmp_path / "copy")) as inspection:
        assert inspection.verify() == head.sequence
    assert sorted(os.listdir(tmp_path / "copy")) == ["journal-000001.db", "mark"]
    os.unlink(f"{directory}/journal-000001.db-wal")
    with pytest.raises((JournalShortened, JournalForeign, JournalDamaged)):
        copy_active(directory, target_of(directory, "other"), RealDisk(), live=False)
    os.unlink(f"{directory}/mark")
    with pytest.raises(JournalDamaged, match="no readable mark"):
        copy_active(directory, target_of(directory, "third"), RealDisk(), live=False)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_epoch_says_where_it_began_and_is_as_late_as_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after later ones, in the next file, and when it was cut short."""
    directory = str(tmp_path / "journal")
    backend = rotating(directory)
    grow(backend, backend.open(), 3)
    backend.close()
    assert new_epoch(directory)[0].epoch == 2
    assert new_epoch(directory, at_least=5000)[0].epoch == 5000
    backend = rotating(directory)
    last = grow(backend, backend.open(), 9)
    assert len(backend.files()) > 1
    backend.close()
    with monkeypatch.context() as cut:
        cut.setattr(MarkFile, "create", interrupt)  # between the epoch and the mark
        with pytest.raises(KeyboardInterrupt):
            new_epoch(directory, at_least=5050)
    identity, head = new_epoch(directory, at_least=70)
    assert (identity.epoch, head) == (5051, Head(last.sequence, last.hash))
    backend = rotating(directory)
    backend.open()
    positions = backend.positions()
    backend.close()
    assert epochs_of(positions) == ((2, 3), (5000, 3), (5050, 12), (5051, 12))
    assert epochs_of({"epoch-x-begins": 1, "epoch-3": 2, "epoch-٣-begins": 4}) in {(), ((3, 4),)}
