"""A backup has every body that only this disk has, whatever happens beside it; and a restore has nothing else."""

import asyncio
import errno
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from edge_state import ORIGIN, confirm, create
from upkeep.site import Site, received

from journal.disk import RealDisk
from s3d.app import backing_up, restoring
from s3d.app.backing_up import Wanted, back_up
from s3d.app.reading_backups import verify_backup
from s3d.app.restoring import Restored, refuse_unfinished, restore
from s3d.backup.errors import BackupDamaged, BackupError, FileMoved
from s3d.backup.manifest import DESTINATIONS_NAME, Manifest
from s3d.cli.backup import backup as command
from s3d.commands.objects import PutObject, ReceivedBody
from s3d.policy.bucket_map import KnownRemote, MappedBucket
from s3d.remote import destinations
from s3d.remote.destinations import Destinations, keep_destinations, kept_destinations
from s3d.values import GONE, BlobBytes

LARGE = 90_000


class QuickDisk(RealDisk):
    """Syncs no names: no power is cut here. `room_files`: so many more can be made."""

    room_files = 10**6

    def create(self, path: str) -> Any:
        self.room_files -= 1
        if self.room_files < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return super().create(path)

    def sync_directory(self, path: str) -> None:
        pass


class Beside:
    """A daemon that does something while it is copied: `what` is called at its turn, once."""

    def __init__(self, turn: int = 0, what: Callable[[], object] = lambda: None) -> None:
        self.turn, self.what, self.turns = turn, what, 0

    def keep(self) -> None:
        self.turns += 1
        if self.turns == self.turn:
            self.what()


class Noon:
    """The time, and a second more each time."""

    def __init__(self) -> None:
        self.seconds = 1_900_000_000.0

    def now(self) -> float:
        self.seconds += 1
        return self.seconds

    def monotonic(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


@contextmanager
def silent(_name: str) -> Iterator[Callable[[int], Callable[[int], object]]]:
    yield lambda _total: lambda _done: None


class Bodies:
    """`beside` is called when it comes to the bodies, the first time."""

    def __init__(self, beside: Callable[[], object]) -> None:
        self._beside = [beside]

    def __call__(self, name: str) -> Any:
        while name == "copying bodies" and self._beside:
            self._beside.pop()()
        return silent(name)


def make(
    site: Site,
    target: Path,
    *,
    disk: RealDisk | None = None,
    beside: Beside | None = None,
    show: Any = silent,
    **more: Any,
) -> Manifest:
    wanted = Wanted(str(site.directory), str(target), **more)
    return back_up(wanted, beside or Beside(), disk or QuickDisk(), show, lambda: 1_800_000_000.0)


async def put_back(backup: Path, data_dir: Path, clock: Noon | None = None, **more: Any) -> Restored:
    return await asyncio.to_thread(restore, str(backup), str(data_dir), QuickDisk(), clock or Noon(), silent, **more)


async def put_large(site: Site, key: str) -> tuple[int, str]:
    """An object in a blob; its record, and the blob."""
    data = os.urandom(LARGE)
    writer = await site.pool.create()
    await site.pool.run(writer.write, data)
    await site.pool.run(writer.finish)
    extents = (BlobBytes(writer.id, 0, LARGE),)
    body = ReceivedBody(LARGE, hashlib.md5(data).hexdigest(), hashlib.sha256(data).digest(), {}, None, extents)
    (record,) = await site.run(PutObject("left", key, {}, body, ORIGIN))
    site.pool.release(writer.id)
    return record.sequence, writer.id


def blobs_in(backup: Path) -> set[str]:
    return {path.name for path in (backup / "blobs").rglob("*") if path.is_file()}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Files that were dropped and sealed, a base, one that is closed, moved bodies, and what only this disk has."""
    (tmp_path / "site").mkdir()
    found = await Site(tmp_path / "site").open()
    (record,) = await found.run(create("left", remote_has_it=False))
    await found.run(confirm(record.sequence))
    for number in range(22):
        (record,) = await found.run(PutObject("left", f"k{number}", {}, received(os.urandom(4000)), ORIGIN))
        if number != 12:
            await found.run(confirm(record.sequence))
    await found.tend()
    for number in range(9):
        await found.run(PutObject("left", f"pending{number}", {}, received(os.urandom(4000)), ORIGIN))
    states = {file.state for file in found.journal.files()}
    assert states == {"sealed", "closed", "active"}
    assert found.journal.files()[0].first > 1
    assert found._reader.execute("SELECT count(*) FROM relocated").fetchone() == (1,)
    yield found
    await found.close()


async def reopened(site: Site, data_dir: Path) -> Site:
    again = Site(data_dir)
    again.expected = site.expected
    return await again.open()


async def test_a_restored_site_is_what_it_was(site: Site, tmp_path: Path) -> None:
    """Every pending body, every object; only those that the remote has are let go of, in an epoch of its own."""
    pending, _ = await put_large(site, "mine")
    fetchable, blob = await put_large(site, "theirs")
    await site.run(confirm(fetchable))
    rows = [row.sequence for row in site.ask.pending_after(0, 1000)]
    manifest = make(site, tmp_path / "backup")
    assert manifest.sequence == site.journal.head.sequence
    assert blob not in blobs_in(tmp_path / "backup")
    assert verify_backup(str(tmp_path / "backup"), silent) == (manifest, [])
    assert os.stat(tmp_path / "backup" / "backup.json").st_mode & 0o777 == 0o600
    restored = await put_back(tmp_path / "backup", tmp_path / "again")
    assert restored.let_go == 1
    assert restored.identity.epoch > 1_900_000_000
    again = await reopened(site, tmp_path / "again")
    assert again.journal.epochs() == ((restored.identity.epoch, manifest.sequence),)
    assert [row.sequence for row in again.ask.pending_after(0, 1000)] == rows
    assert pending in rows
    theirs = again.ask.object("left", "theirs")
    assert theirs is not None
    assert [one.blob for one in theirs.extents if isinstance(one, BlobBytes)] == [GONE]
    await again.check()
    await again.close()


async def test_where_each_bucket_is_travels_along(site: Site, tmp_path: Path) -> None:
    """Whoever replays the backup, or what was restored of it, has nothing else that says it; it is checked."""
    assert destinations.NAME == DESTINATIONS_NAME
    known = Destinations(
        (KnownRemote("default", "http://store.example"), KnownRemote("city", "http://city.example")),
        (
            MappedBucket(name="left", remote_bucket="company", prefix="site-7/"),
            MappedBucket(name="photos", remote="city"),
        ),
    )
    keep_destinations(RealDisk(), str(site.directory), known)
    backup, again = tmp_path / "backup", tmp_path / "again"
    manifest = make(site, backup)
    assert kept_destinations(str(backup)) == known
    assert verify_backup(str(backup), silent) == (manifest, [])
    await put_back(backup, again)
    assert kept_destinations(str(again)) == known
    flip(backup / DESTINATIONS_NAME, 20)
    assert [one.path for one in verify_backup(str(backup), silent)[1]] == [DESTINATIONS_NAME]
    with pytest.raises(BackupDamaged, match="is not what was written"):
        await put_back(backup, tmp_path / "another")


async def test_with_the_cache_nothing_is_let_go_of(site: Site, tmp_path: Path) -> None:
    """Also the files of objects that the remote has are in it."""
    sequence, blob = await put_large(site, "theirs")
    await site.run(confirm(sequence))
    assert make(site, tmp_path / "backup", with_cache=True).with_cache
    assert blob in blobs_in(tmp_path / "backup")
    assert (await put_back(tmp_path / "backup", tmp_path / "again")).let_go == 0


async def test_what_is_let_go_of_meanwhile_has_another_moment_taken(site: Site, tmp_path: Path) -> None:
    """A body was overwritten, confirmed and collected before its turn: a later moment does not need it any more."""
    await put_large(site, "stays")
    (large, blob), before = await put_large(site, "mine"), site.journal.head.sequence
    loop = asyncio.get_running_loop()

    async def overwrite() -> None:
        (record,) = await site.run(PutObject("left", "mine", {}, received(b"small"), ORIGIN))
        for sequence in (large, record.sequence):
            await site.run(confirm(sequence))
        await site.collect()

    def beside() -> None:
        asyncio.run_coroutine_threadsafe(overwrite(), loop).result(60)

    manifest = await asyncio.to_thread(make, site, tmp_path / "backup", show=Bodies(beside))
    assert manifest.lost == ()
    assert manifest.sequence == site.journal.head.sequence > before
    assert blob not in blobs_in(tmp_path / "backup")
    assert verify_backup(str(tmp_path / "backup"), silent) == (manifest, [])


async def test_what_is_nowhere_is_said_to_be_lost(site: Site, tmp_path: Path) -> None:
    """A later moment needs it as well: it has gone, and the backup says so."""
    _, blob = await put_large(site, "mine")
    path = site.directory / "blobs" / blob[:2] / blob
    assert make(site, tmp_path / "backup", show=Bodies(path.unlink)).lost == (blob,)
    assert make(site, tmp_path / "second").lost == (blob,)


async def test_a_file_that_was_replaced_has_another_moment_taken(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal file was sealed between the look at the catalogue and its turn."""
    real, gone = backing_up.copy_file, []

    def copy_file(source: str, *rest: Any) -> str:
        if "journal-" in source and not gone:
            gone.append(source)
            raise FileMoved(f"{source} is gone")
        return real(source, *rest)

    monkeypatch.setattr(backing_up, "copy_file", copy_file)
    manifest = make(site, tmp_path / "backup")
    assert gone
    assert verify_backup(str(tmp_path / "backup"), silent) == (manifest, [])


async def test_damage_in_the_source_is_said_and_kept_apart(site: Site, tmp_path: Path) -> None:
    """The backup is there, and says which body was no more what was written when it was copied."""
    _, blob = await put_large(site, "mine")
    path = tmp_path / "site" / "blobs" / blob[:2] / blob
    flip(path, 1000)
    manifest = make(site, tmp_path / "backup")
    assert manifest.lost == (blob,)
    assert verify_backup(str(tmp_path / "backup"), silent) == (manifest, [])


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


async def test_every_kind_of_damage_is_named_and_not_restored(site: Site, tmp_path: Path) -> None:
    """Changed, cut, gone, added; of a body whose it is, too."""
    sequence, blob = await put_large(site, "mine")
    make(site, tmp_path / "sound")
    body = f"blobs/{blob[:2]}/{blob}"
    sealed = next(file.name for file in site.journal.files() if file.state == "sealed")

    def damaged(name: str, harm: Callable[[Path], object]) -> Path:
        copy = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tmp_path / "sound", copy)
        harm(copy / name)
        return copy

    named = damaged(body, lambda path: flip(path, 77))
    _, (found,) = verify_backup(str(named), silent)
    assert (found.path, found.holds) == (body, (f"left/mine (record {sequence})",))
    without = await put_back(named, tmp_path / "without", without_damaged=True)
    assert without.damaged == (body,)
    assert not (tmp_path / "without" / body).exists()
    for name, harm in (
        (f"journal/{sealed}", lambda path: flip(path, 5000)),
        (body, lambda path: os.truncate(path, 10)),
        (body, lambda path: path.unlink()),
        ("journal/mark", lambda path: path.unlink()),
    ):
        copy = damaged(name, harm)
        _, (found,) = verify_backup(str(copy), silent)
        assert found.path == name
        with pytest.raises(BackupDamaged):
            await put_back(copy, tmp_path / f"of-{copy.name}", without_damaged=name.startswith("journal"))
        with pytest.raises(BackupError, match="interrupted"):
            refuse_unfinished(str(tmp_path / f"of-{copy.name}"))
    for name, harm in (
        ("SHA256SUMS", lambda path: flip(path, 3)),
        ("SHA256SUMS", lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))),
        ("backup.json", lambda path: path.write_text("{")),
        ("journal/stranger", lambda path: path.write_text("")),
    ):
        with pytest.raises(BackupDamaged):
            verify_backup(str(damaged(name, harm)), silent)


async def test_an_interrupted_backup_is_none(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a full disk. What a kill has left is taken over by the next one; what is somebody's own is not."""
    await put_large(site, "mine")
    target = tmp_path / "backup"
    for room in range(7):
        disk = QuickDisk()
        disk.room_files = room
        with pytest.raises((BackupError, OSError)):
            make(site, target, disk=disk)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["site"], room
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if it had been killed
    with pytest.raises(KeyboardInterrupt):
        make(site, target, beside=Beside(3, interrupt))
    monkeypatch.undo()
    assert (tmp_path / "backup.partial" / "journal").exists()
    make(site, target)
    assert not (tmp_path / "backup.partial").exists()
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "thesis.doc").write_text("x")
    for place in (target, tmp_path / "other", tmp_path / "site" / "inside", tmp_path / "nowhere" / "backup"):
        with pytest.raises(BackupError):
            make(site, place)
    assert (tmp_path / "other.partial" / "thesis.doc").exists()


def interrupt() -> None:
    raise KeyboardInterrupt


async def test_an_interrupted_restore_goes_on(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon starts on it before; nothing is restored over something else, and each restore has its own epoch."""
    await put_large(site, "mine")
    make(site, tmp_path / "backup")
    again, clock, copies = tmp_path / "again", Noon(), list[str]()
    real = restoring.copy_file

    def copy_file(source: str, *rest: Any) -> str:
        copies.append(source)
        if len(copies) == 4:
            raise KeyboardInterrupt
        return real(source, *rest)

    monkeypatch.setattr(restoring, "copy_file", copy_file)
    with pytest.raises(KeyboardInterrupt):
        await put_back(tmp_path / "backup", again, clock)
    for step in ("_open", "_give_to_owner"):  # a new epoch has begun by then
        with monkeypatch.context() as patch:
            patch.setattr(restoring, step, lambda *_: refuse_unfinished(str(again)))
            with pytest.raises(BackupError, match="interrupted"):
                await put_back(tmp_path / "backup", again, clock)
    first = await put_back(tmp_path / "backup", again, clock)
    refuse_unfinished(str(again))
    second = await put_back(tmp_path / "backup", tmp_path / "third", clock)
    assert second.identity.epoch > first.identity.epoch
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("x")
    for place in ("again", "full", "backup", "backup/inside", "nowhere/again"):
        with pytest.raises(BackupError):
            await put_back(tmp_path / "backup", tmp_path / place)
    with pytest.raises(BackupError, match="is a backup"):
        refuse_unfinished(str(tmp_path / "backup"))
    found = await reopened(site, again)
    await found.check()
    await found.close()


async def test_what_has_not_changed_is_shared_with_an_earlier_backup(site: Site, tmp_path: Path) -> None:
    """It is another name for the same bytes, which are read and verified all the same."""
    _, blob = await put_large(site, "mine")
    make(site, tmp_path / "first")
    _, new = await put_large(site, "more")
    manifest = make(site, tmp_path / "second", previous=str(tmp_path / "first"))
    assert verify_backup(str(tmp_path / "second"), silent) == (manifest, [])
    path, other = f"blobs/{blob[:2]}/{blob}", f"blobs/{new[:2]}/{new}"
    assert (tmp_path / "first" / path).samefile(tmp_path / "second" / path)
    assert (tmp_path / "second" / other).stat().st_nlink == 1
    assert not (tmp_path / "first" / "journal" / "mark").samefile(tmp_path / "second" / "journal" / "mark")
    flip(tmp_path / "first" / path, 500)
    with pytest.raises(BackupError, match="not what was written"):
        make(site, tmp_path / "third", previous=str(tmp_path / "first"))
    assert not (tmp_path / "third").exists()


async def test_keys_come_along_only_when_they_are_named(site: Site, tmp_path: Path) -> None:
    """For their owner's eyes; put back where somebody says, over nothing else."""
    key, other = tmp_path / "site.toml", tmp_path / "other" / "site.toml"
    other.parent.mkdir()
    for path in (key, other):
        path.write_text("[remote]\n")
    assert not (make_named(site, tmp_path / "without") / "keys").exists()
    backup = make_named(site, tmp_path / "backup", keys=(str(key),))
    assert (backup / "keys" / "site.toml").stat().st_mode & 0o777 == 0o600
    restored = await put_back(backup, tmp_path / "again")
    assert restored.keys == ("site.toml",)
    assert not (tmp_path / "again" / "keys").exists()
    await put_back(backup, tmp_path / "beside", keys_to=str(tmp_path / "beside"))
    assert (tmp_path / "beside" / "site.toml").read_text() == "[remote]\n"
    keys = tmp_path / "keys"
    await put_back(backup, tmp_path / "third", keys_to=str(keys))
    assert (keys / "site.toml").stat().st_mode & 0o777 == 0o600
    (keys / "site.toml").write_text("another")
    with pytest.raises(BackupError, match="another one"):
        await put_back(backup, tmp_path / "fourth", keys_to=str(keys))
    for wrong in ((str(key), str(other)), (str(tmp_path / "nothing"),), (str(tmp_path / "a b"),)):
        with pytest.raises(BackupError):
            make(site, tmp_path / "fifth", keys=wrong)


def make_named(site: Site, target: Path, **more: Any) -> Path:
    make(site, target, **more)
    return target


async def test_a_stopped_directory_is_backed_up_as_it_lies(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is in the log only, and without a change; not while a daemon runs on it."""
    await put_large(site, "mine")
    stopped = tmp_path / "stopped"
    shutil.copytree(site.directory, stopped)  # as a kill leaves it: the log has what the database has not
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    arguments = [str(tmp_path / "backup"), "--data-dir", str(stopped), "--json"]
    assert command.main(arguments, standalone_mode=False) == 0
    manifest = json.loads(capsys.readouterr().out)["manifest"]
    assert manifest["sequence"] == site.journal.head.sequence
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before
    assert command.main(["verify", str(tmp_path / "backup")], standalone_mode=False) == 0
    assert "all as written" in capsys.readouterr().out
    with pytest.raises(Exception, match="a daemon runs on"):
        command.main([str(tmp_path / "other"), "--data-dir", str(site.directory)], standalone_mode=False)
    for log in stopped.glob("journal/*-wal"):
        log.unlink()
    with pytest.raises(Exception, match="were acknowledged and are missing"):
        command.main([str(tmp_path / "other"), "--data-dir", str(stopped)], standalone_mode=False)
    assert not (tmp_path / "other").exists()
