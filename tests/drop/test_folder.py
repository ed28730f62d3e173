"""What is taken from a folder, when, and how often."""

import asyncio
import contextlib
import os
import socket
from functools import partial

import pytest
from drop_site import INLINE_BYTES, Failpoint, Killed, Site, killable

from journal import DiskFull
from journal.disk import RealDisk
from s3d.blobs.files import BlobFiles
from s3d.errors import S3Error, slow_down


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Pauses that are for people and for slow machines."""
    for name, seconds in (("SCAN_PAUSE", 0.01), ("TROUBLE", 0.05), ("HELD", 0.02)):
        monkeypatch.setattr(f"s3d.drop.folder.{name}_SECONDS", seconds)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """One directory for all: making and syncing its 256 is half a second."""
    files = BlobFiles(RealDisk(), str(tmp_path_factory.mktemp("blobs")))
    files.prepare()
    return files


@pytest.fixture
async def site_of(tmp_path, blobs):
    """Makes a site with these settings, and starts it."""
    made = []

    async def make(*, started=True, **settings):
        site = Site(tmp_path, blobs, **settings)
        if started:
            await site.start()
            made.append(site)
        return site

    yield make
    for site in made:
        await site.stop()
        assert site.crashes == []


async def test_a_file_becomes_an_object_once(site_of):
    """Small and large, in directories too; looking again and starting again change nothing."""
    site = await site_of(prefix="raw/")
    site.write("a", b"a" * 10)
    site.write("deep/er/b", b"b" * (INLINE_BYTES + 1))
    site.write("empty", b"")
    await site.until(lambda: len(site.records) == 3)
    assert {(key, size) for key, size, _ in site.records} == {
        ("raw/a", 10),
        ("raw/deep/er/b", INLINE_BYTES + 1),
        ("raw/empty", 0),
    }
    for fresh_view in (False, True):
        await site.restart(fresh_view=fresh_view)
        await site.quiet()
        assert len(site.records) == 3


async def test_a_file_that_is_written_again_is_taken_again(site_of):
    """Each content once, as versions of one key."""
    site = await site_of()
    site.write("a", b"one")
    await site.until(lambda: len(site.records) == 1)
    site.write("a", b"two!")
    await site.until(lambda: len(site.records) == 2)
    assert [size for _, size, _ in site.records] == [3, 4]


async def test_a_growing_file_is_never_taken_half(site_of):
    """However long it takes, open all the time or opened for each piece; a pause below the settle time is no end."""
    site = await site_of()
    kept_open, opened_again = site.directory / "open", site.directory / "again"
    with kept_open.open("ab") as file:
        for _ in range(8):
            file.write(b"x" * 500)
            file.flush()
            with opened_again.open("ab") as again:
                again.write(b"y" * 500)
            await asyncio.sleep(0.02)
        await site.until(lambda: "again" in site.keys)
        await asyncio.sleep(0.3)
        assert "open" not in site.keys, "somebody has it open for writing"
    await site.until(lambda: "open" in site.keys)
    assert sorted((key, size) for key, size, _ in site.records) == [("again", 4000), ("open", 4000)]


async def test_what_is_renamed_to_its_name_is_taken_at_once(site_of):
    """That is how a writer says that it is done."""
    site = await site_of(settle_seconds=3600.0)
    await site.watching()
    site.write("a")
    await site.until(lambda: site.keys == ["a"])


async def test_work_in_progress_and_what_is_not_wanted_is_left_alone(site_of):
    """Hidden names, usual names of unfinished files, and what `match` does not fit."""
    site = await site_of(match="*.jpg")
    for name in (".a.jpg", "b.jpg.part", "c.tmp", "d.png", ".hidden/e.jpg", "f.part/g.jpg"):
        site.directory.joinpath(name).parent.mkdir(exist_ok=True)
        site.directory.joinpath(name).write_bytes(b"x")
    site.write("z/y.jpg")
    await site.until(lambda: site.keys == ["z/y.jpg"])
    await site.quiet()
    assert site.keys == ["z/y.jpg"]
    assert site.report.failed == 0


async def test_what_cannot_be_taken_is_said_once_and_holds_up_nothing(site_of, tmp_path, caplog):
    """Links are not followed, nobody hangs on a pipe, and names have to be text."""
    site = await site_of(started=False)
    directory = site.directory
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    (directory / "link").symlink_to(tmp_path / "secret/key")
    (directory / "linked").symlink_to(tmp_path / "secret")
    os.mkfifo(directory / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / "socket"))
    (directory / os.fsdecode(b"bad\xff")).write_bytes(b"x")
    (directory / "large").write_bytes(b"x" * 100_001)
    site.write("good")
    await site.start()
    try:
        await site.until(lambda: site.keys == ["good"] and site.report.failed == 6)
        await site.quiet()
        reasons = {one.path: one.reason for one in site.report.failures}
        assert site.keys == ["good"]
        assert reasons == {
            "link": "it is a symbolic link, which is not followed",
            "linked": "it is a symbolic link, which is not followed",
            "pipe": "it is a pipe",
            "socket": "it is a socket",
            "bad\\xff": "its name is not UTF-8, which keys are",
            "large": "EntityTooLarge: The file is larger than http.object_bytes_max",
        }
        (directory / "pipe").unlink()
        await site.quiet()
        assert "pipe" not in {one.path for one in site.report.failures}
    finally:
        await site.stop()


async def test_a_directory_that_turns_into_a_link_leads_nowhere(site_of, tmp_path):
    """Between finding a file and opening it: what is behind the link is not taken."""
    site = await site_of(settle_seconds=0.5)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    (site.directory / "d").mkdir()
    (site.directory / "d/key").write_bytes(b"harmless")
    await site.until(lambda: site.report.waiting == 1)
    (site.directory / "d").rename(tmp_path / "gone")
    (site.directory / "d").symlink_to(tmp_path / "secret")
    await site.until(lambda: site.report.waiting == 0)
    assert site.keys == []


async def test_a_directory_that_is_moved_in_is_taken_whole(site_of, tmp_path):
    """Also what is below it, and what is written into it afterwards."""
    site = await site_of()
    (tmp_path / "out/e").mkdir(parents=True)
    for name in ("out/a", "out/e/b"):
        (tmp_path / name).write_bytes(b"x")
    await site.watching()
    (tmp_path / "out").rename(site.directory / "d")
    await site.until(lambda: sorted(site.keys) == ["d/a", "d/e/b"])
    site.write("d/e/c")
    await site.until(lambda: "d/e/c" in site.keys)


async def test_back_pressure_waits_and_goes_on(site_of):
    """A full disk or a full backlog: nothing is lost, and nobody has to do anything."""
    site = await site_of()

    def full(_):
        raise slow_down("Too much waits for the remote; nothing was kept.")

    site.refuse = full
    for number in range(30):
        site.write(f"{number}")
    await site.until(lambda: "Too much waits" in site.report.trouble and not site.folder._busy)
    most = 0

    def look_on(call):
        nonlocal most
        most = max(most, len(site.folder._busy))
        full(call)

    site.refuse = look_on
    await site.until(lambda: most > 0)
    await asyncio.sleep(0.3)
    assert most == 1, "one tries for all"
    site.refuse = lambda _: None
    await site.until(lambda: len(site.keys) == 30)
    assert site.report.trouble == ""


async def test_an_answer_that_was_lost_is_not_a_second_version(site_of):
    """InternalError may mean that it was kept: the decision knows the file again."""
    site = await site_of()
    real, tried = site.folder._perform, []

    async def losing(call):
        reply = await real(call)
        tried.append(reply.sequence)
        if len(tried) == 1:
            raise S3Error("InternalError", "lost")
        return reply

    site.folder._perform = losing
    site.write("a")
    await site.until(lambda: site.report.trouble == "" and not site.report.waiting and bool(tried))
    await site.until(lambda: not site.report.waiting)
    assert site.keys == ["a"]


async def test_a_file_under_another_inode_is_the_same_file(site_of):
    """File systems without inodes number them anew at each mount; other content is another file all the same."""
    site = await site_of(started=False)
    site.write("a", b"same")
    site.write("b", b"same")
    await site.start()
    try:
        await site.until(lambda: len(site.records) == 2)
        for name, data in (("a", b"same"), ("b", b"else")):
            path = site.directory / name
            before = path.stat()
            site.write(f"{name}.tmp", data).rename(site.directory / f".{name}")
            os.utime(site.directory / f".{name}", ns=(before.st_mtime_ns, before.st_mtime_ns))
            (site.directory / f".{name}").rename(path)
        await site.until(lambda: len(site.records) == 3)
        await site.quiet()
        assert site.keys[-1] == "b"
        assert len(site.records) == 3
    finally:
        await site.stop()


async def test_what_was_removed_is_forgotten_and_what_is_unmounted_is_not(site_of):
    """A folder that is empty may be one whose disk is not there."""
    site = await site_of()
    for name in ("a", "b", "c"):
        site.write(name)
    await site.until(lambda: site.remembered == ["a", "b", "c"])
    (site.directory / "b").unlink()
    site.folder._scan_whole()
    await site.until(lambda: site.remembered == ["a", "c"])
    site.directory.rename(site.home / "elsewhere")
    site.directory.mkdir()
    await site.restart()
    await site.quiet()
    assert site.remembered == ["a", "c"]
    site.directory.rmdir()
    (site.home / "elsewhere").rename(site.directory)
    await site.until(lambda: site.report.trouble == "")
    await site.quiet()
    assert sorted(site.keys) == ["a", "b", "c"]


async def test_a_folder_that_is_not_there_is_waited_for(site_of):
    """A disk that is mounted later."""
    site = await site_of(started=False)
    site.directory.rmdir()
    await site.start()
    try:
        await site.until(lambda: "cannot be read: No such file" in site.report.trouble)
        site.directory.mkdir()
        (site.directory / "a").write_bytes(b"x")
        await site.until(lambda: site.keys == ["a"])
        assert site.report.trouble == ""
    finally:
        await site.stop()


async def test_more_files_than_are_waited_for_are_all_taken(site_of, monkeypatch):
    """Memory is bounded; the rest is found when there is room."""
    monkeypatch.setattr("s3d.drop.folder.WAITING_MAX", 7)
    site = await site_of()
    for number in range(40):
        (site.directory / f"{number}").write_bytes(b"x")
    most = 0

    def done():
        nonlocal most
        most = max(most, len(site.folder._waiting))
        return len(site.records) == 40

    await site.until(done)
    assert most <= 7
    assert len(set(site.keys)) == 40


@pytest.mark.parametrize("after", ["delete", "move"])
async def test_a_file_that_was_taken_goes(site_of, tmp_path, after):
    """And is forgotten, so that the next one of its name is another file."""
    out = tmp_path / "out"
    site = await site_of(after=after, move_to=str(out) if after == "move" else None)
    for number in (1, 2):
        site.write("d/a", f"{number}".encode())
        await site.until(partial(_is_through, site, number))
    await site.quiet()
    await site.until(lambda: site.remembered == [])
    assert sorted(path.name for path in (tmp_path / "out").rglob("a*")) == (["a", "a~1"] if after == "move" else [])


async def test_what_took_the_place_of_a_taken_file_stays(site_of):
    """A file that is replaced between its object and its end is another file, and is taken, too."""
    site = await site_of(after="delete")
    real = site.folder._perform

    async def replaced_meanwhile(call):
        reply = await real(call)
        if reply.sequence and len(site.records) == 1:
            site.write("a", b"the second")
        return reply

    site.folder._perform = replaced_meanwhile
    site.write("a", b"first")
    await site.until(lambda: len(site.records) == 2 and not list(site.directory.iterdir()))
    assert [size for _, size, _ in site.records] == [5, 10]


@pytest.mark.parametrize("after", ["delete", "move"])
async def test_a_kill_at_any_step_loses_nothing_and_takes_nothing_twice(tmp_path, blobs, monkeypatch, after):
    """Between finding, record, renaming, removing and forgetting: at every border, with the view kept or rebuilt."""
    step = 0
    while await _killed_at(step, tmp_path / f"{step}", blobs, monkeypatch, after):
        step += 1
    assert step > 10, "there are more borders than that"


async def _killed_at(step, home, blobs, monkeypatch, after):
    """Whether there was such a step."""
    home.mkdir()
    out = home / "out"
    site = Site(home, blobs, after=after, move_to=str(out) if after == "move" else None)
    site.write("d/small", b"small")
    site.write("large", b"l" * (INLINE_BYTES + 1))
    failpoint = site.failpoint = Failpoint(step)
    with killable(monkeypatch, site):
        await site.start()
        await site.until(lambda: failpoint.has_killed or not _left(site))
        if not failpoint.has_killed:
            with contextlib.suppress(Killed):
                await site.folder._sweep(1)
        await site.folder.close()
    site.failpoint = Failpoint()
    await site.restart(fresh_view=step % 2 == 0)
    await site.until(lambda: not _left(site))
    await site.quiet()
    assert sorted((key, size) for key, size, _ in site.records) == [("d/small", 5), ("large", INLINE_BYTES + 1)]
    if after == "move":
        moved = sorted(str(one.relative_to(out)) for one in out.rglob("*") if one.is_file())
        assert moved == ["d/small", "large"]
    await site.stop()
    return failpoint.has_killed


def _left(site):
    """What is in the folder, under any name."""
    return [path for path in site.directory.rglob("*") if path.is_file()]


def _is_through(site, number):
    return len(site.records) == number and not _left(site)


async def test_what_cannot_be_forgotten_now_is_forgotten_later(site_of, monkeypatch):
    """A journal that cannot write has nothing to do with the file: nothing is wrong with it."""
    monkeypatch.setattr("s3d.drop.folder.FORGOTTEN_AT_ONCE", 1)
    site = await site_of(after="delete")
    real = site.folder._forget_files

    async def full(_):
        raise DiskFull("no space")

    site.folder._forget_files = full
    site.write("a")
    await site.until(lambda: site.keys == ["a"] and not _left(site))
    await site.until(lambda: not site.report.waiting)
    assert (site.report.failed, site.remembered) == (0, ["a"])
    site.folder._forget_files = real
    (site.directory / ".hidden").write_bytes(b"")
    await site.folder._sweep(1)
    assert site.remembered == []


async def test_new_directories_do_not_put_off_the_look_at_everything(site_of):
    """However many come: what the kernel did not tell of is found in time."""
    site = await site_of(rescan_seconds=0.3)
    await site.watching()
    before = site.begun
    for number in range(40):
        (site.directory / f"{number}").mkdir()
        await asyncio.sleep(0.02)
    assert site.begun > before
