"""Make a backup: a data directory of its own, of one moment, with a manifest of every byte.

It is made beside the daemon, in a process of its own. The daemon only keeps what it would let go of (blobs/hold.py);
that makes this quick, not right. What makes it right is that the copy is asked, not the daemon: the journal's copy is
verified and folded, and the fold says which bodies have to be there. Where one is gone, the daemon has let go of it
since; then a later moment is taken, until nothing is missing that the moment needs.

Until everything is on the disk and was read from there again, it is called TARGET.partial.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from journal import inspect
from journal.disk import Disk, write_durably
from journal.online import Copied, copy_active
from s3d.app.reading_backups import Show, fold_of
from s3d.backup.checking import damaged_files, size_of
from s3d.backup.copying import Advance, copy_file, digest_of, no_room
from s3d.backup.earlier import Earlier
from s3d.backup.errors import BackupDamaged, BackupError, FileMoved
from s3d.backup.manifest import (
    DESTINATIONS_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    Manifest,
    SumsWriter,
    can_be_named,
    encoded,
    read_manifest,
)
from s3d.backup.places import SCRATCH, check_place, partial_of, stopped
from s3d.blobs.files import BlobDamaged, BlobFiles
from s3d.view.kept import KeptBlob, kept_blobs
from s3d.view.questions import Connection

ATTEMPTS = 10


class Holder(Protocol):
    """The daemon that is copied, as far as it has to know of it."""

    def keep(self) -> None:
        """Called all the time: have everything held a while longer, when that is due. Raises S3dError."""


class Wanted(msgspec.Struct, frozen=True):
    """What is to be copied, and where to.

    `with_cache`: bodies that the remote has as well. `previous`: an earlier backup, whose unchanged files are shared.
    `keys`: files that lie elsewhere, such as the configuration and the keys that it names.
    """

    data_dir: str
    target: str
    with_cache: bool = False
    previous: str = ""
    keys: tuple[str, ...] = ()


class Stopped:
    """Nobody runs there, and nobody has to know."""

    def keep(self) -> None:
        """Nothing to do."""


def back_up(wanted: Wanted, holder: Holder | None, disk: Disk, show: Show, now: Callable[[], float]) -> Manifest:
    """Make a backup of a data directory; what is in it. `holder`: the daemon that runs on it; None: none does.

    Interrupted anywhere, there is nothing at the target. Raises S3dError, JournalError or OSError.
    """
    check_place(wanted.target, wanted.data_dir)
    with stopped(wanted.data_dir) if holder is None else nullcontext(), partial_of(wanted.target) as partial:
        making = _Making(wanted, partial, holder, disk, show, now)
        manifest = making.fill()
        making.settle(manifest)
        os.rename(partial, wanted.target)
        disk.sync_directory(os.path.dirname(os.path.abspath(wanted.target)))
    return manifest


class _Making:
    """A backup in the making, in the directory `partial`."""

    def __init__(
        self, wanted: Wanted, partial: str, holder: Holder | None, disk: Disk, show: Show, now: Callable[[], float]
    ) -> None:
        self._wanted = wanted
        self._partial = partial
        self._is_live = holder is not None
        self._keep = (holder or Stopped()).keep
        self._disk = disk
        self._show = show
        self._now = now
        self._blobs = BlobFiles(disk, f"{partial}/blobs")
        self._gone: set[str] = set()

    def fill(self) -> Manifest:
        """Copy all of one moment. Raises S3dError, JournalError or OSError."""
        for _ in range(ATTEMPTS):
            try:
                return self._fill()
            except FileMoved as moved:
                if not self._is_live:
                    raise BackupDamaged(
                        moved.message, hint="is the data directory whole? `s3d journal verify`"
                    ) from None
                self._keep()
        raise BackupError(
            "what was to be copied was let go of all the time", hint="is the disk full? the daemon's log says why"
        )

    def settle(self, manifest: Manifest) -> None:
        """Make everything durable, read it from the disk again, and only then call it a backup."""
        with self._show("verifying") as begin:
            damaged = next(damaged_files(self._partial, manifest, begin(manifest.bytes), settle=True), None)
        if damaged is not None:
            raise BackupError(f"{self._partial}/{damaged.path} {damaged.sha256}", hint="check the disk it is on")
        for folder, _, _ in os.walk(self._partial, topdown=False):
            self._disk.sync_directory(folder)
        write_durably(self._disk, f"{self._partial}/{MANIFEST_NAME}", encoded(manifest))

    def _fill(self) -> Manifest:
        earlier = self._earlier()
        self._clear()
        with open(f"{self._partial}/{SUMS_NAME}", "wb", opener=_private) as file:
            sums = SumsWriter(file)
            copied = self._copy_journal(sums, earlier)
            self._copy_destinations(sums)
            self._copy_keys(sums)
            with inspect(f"{self._partial}/journal", scratch=f"{self._partial}/{SCRATCH}") as inspection:
                inspection.verify()
                view = fold_of(inspection, f"{self._partial}/journal", f"{self._partial}/{SCRATCH}", self._keep)
            with closing(view.reader()) as connection:
                lost = self._copy_blobs(connection, sums, earlier, copied)
            view.close(sync=False)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(f"{self._partial}/{SCRATCH}")
        return Manifest(
            instance=copied.identity.instance,
            epoch=copied.identity.epoch,
            sequence=copied.head.sequence,
            head=copied.head.hash.hex(),
            made_at=datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds"),
            files=sums.files,
            bytes=size_of(self._partial) - os.path.getsize(f"{self._partial}/{SUMS_NAME}"),
            sums=sums.sha256,
            with_cache=self._wanted.with_cache,
            lost=tuple(lost),
        )

    def _earlier(self) -> Earlier | None:
        previous = self._wanted.previous
        return Earlier(previous, read_manifest(previous)) if previous else None

    def _clear(self) -> None:
        """An attempt begins with nothing, but for what cannot be another one in the next: blobs are written once."""
        shutil.rmtree(f"{self._partial}/keys", ignore_errors=True)
        with suppress(FileNotFoundError):
            os.unlink(f"{self._partial}/{DESTINATIONS_NAME}")
        for name in ("journal", SCRATCH):
            shutil.rmtree(f"{self._partial}/{name}", ignore_errors=True)
            os.mkdir(f"{self._partial}/{name}", 0o700)

    # the journal

    def _copy_journal(self, sums: SumsWriter, earlier: Earlier | None) -> Copied:
        source, target = f"{self._wanted.data_dir}/journal", f"{self._partial}/journal"
        try:
            copied = copy_active(source, target, self._disk, live=self._is_live, rest=self._keep)
        except OSError as error:
            raise no_room(error, target) from error
        names = [*copied.older, *([copied.base.name] if copied.base is not None else [])]
        size = sum(os.path.getsize(f"{source}/{name}") for name in names if os.path.exists(f"{source}/{name}"))
        with self._show("copying the journal") as begin:
            advance = self._advancing(begin(size))
            for name in names:
                sha256 = self._copy(f"journal/{name}", earlier, copied, advance)
                if copied.base is not None and name == copied.base.name and sha256 != copied.base.sha256.hex():
                    raise BackupDamaged(f"{source}/{name} is not the base that was written", hint="check the disk")
                sums.add(f"journal/{name}", sha256)
        for name in (copied.active, "mark"):
            sums.add(f"journal/{name}", digest_of(f"{target}/{name}"))
        return copied

    def _copy(self, path: str, earlier: Earlier | None, copied: Copied, advance: Advance) -> str:
        target = f"{self._partial}/{path}"
        if earlier is not None:
            linked = earlier.take(path, target, copied.identity.instance, copied.identity.epoch)
            if linked is not None:
                advance(os.path.getsize(target))
                return linked
        return copy_file(f"{self._wanted.data_dir}/{path}", target, self._disk, advance)

    def _copy_destinations(self, sums: SumsWriter) -> None:
        """At which remote each bucket is, for whoever replays the backup; the daemon replaces that file as a whole."""
        source, target = f"{self._wanted.data_dir}/{DESTINATIONS_NAME}", f"{self._partial}/{DESTINATIONS_NAME}"
        with suppress(FileMoved):  # a disk that no daemon has started on since there is such a file
            sums.add(DESTINATIONS_NAME, copy_file(source, target, self._disk, lambda _: None))

    def _copy_keys(self, sums: SumsWriter) -> None:
        for path in self._wanted.keys:
            name = f"keys/{os.path.basename(path)}"
            if not can_be_named(name):
                raise BackupError(f"{path} cannot be named in a backup", hint="letters, digits, and . _ - in its name")
            os.makedirs(f"{self._partial}/keys", 0o700, exist_ok=True)
            try:
                sums.add(name, copy_file(path, f"{self._partial}/{name}", self._disk, lambda _: None))
            except FileMoved:
                raise BackupError(f"there is no {path}") from None
            except FileExistsError:
                raise BackupError(f"two keys are called {os.path.basename(path)}", hint="name each once") from None

    # bodies

    def _copy_blobs(
        self, connection: Connection, sums: SumsWriter, earlier: Earlier | None, copied: Copied
    ) -> list[str]:
        """Every body that is needed; those that are not what was written, or nowhere."""
        size = self._size(connection)
        lost, gone = list[str](), set[str]()
        with self._show("copying bodies") as begin:
            advance = self._advancing(begin(size))
            for one in self._needed(connection):
                path = f"blobs/{one.blob[:2]}/{one.blob}"
                try:
                    sha256 = self._copy_blob(path, earlier, copied, advance)
                    self._blobs.check(one.blob)
                except FileMoved:
                    gone |= set() if one.fetchable else {one.blob}
                    continue
                except BlobDamaged:
                    lost.append(one.blob)
                sums.add(path, sha256)
        if gone - self._gone and self._is_live:
            self._gone = gone  # what is needed a moment later as well, and gone then as before, is lost
            raise FileMoved("bodies were let go of meanwhile")
        if self._gone:
            self._drop_others(connection)
        return sorted({*lost, *gone})

    def _copy_blob(self, path: str, earlier: Earlier | None, copied: Copied, advance: Advance) -> str:
        target = f"{self._partial}/{path}"
        if os.path.exists(target):  # an earlier attempt has copied it
            return digest_of(target, advance)
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        return self._copy(path, earlier, copied, advance)

    def _needed(self, connection: Connection) -> Iterator[KeptBlob]:
        return (one for one in kept_blobs(connection) if self._wanted.with_cache or not one.fetchable)

    def _size(self, connection: Connection) -> int:
        """Of what is to be copied. Raises BackupError when there is no room for that."""
        size = 0
        for one in self._needed(connection):
            path = f"blobs/{one.blob[:2]}/{one.blob}"
            if not os.path.exists(f"{self._partial}/{path}"):
                try:
                    size += os.path.getsize(f"{self._wanted.data_dir}/{path}")
                except FileNotFoundError:
                    continue
        free = self._disk.free_bytes(self._partial)
        if size > free and not self._wanted.previous:
            raise BackupError(
                f"the bodies are {size:,} bytes, and {free:,} are free where {self._wanted.target} is to be",
                hint="free space there, or choose another place",
            )
        return size

    def _drop_others(self, connection: Connection) -> None:
        """What an earlier attempt has copied and this one does not need."""
        needed = self._needed(connection)
        wanted = next(needed, None)
        for blob in sorted(self._blobs.ids()):
            while wanted is not None and wanted.blob < blob:
                wanted = next(needed, None)
            if wanted is None or wanted.blob != blob:
                self._blobs.remove(blob)

    def _advancing(self, advance: Advance) -> Advance:
        def done(size: int) -> None:
            self._keep()
            advance(size)

        return done


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
