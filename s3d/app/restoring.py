"""Make a data directory of a backup: verified while it is copied, and in an epoch of its own.

The directory may be a mounted volume, so that it cannot be renamed into place: as long as restoring.json lies in it no
daemon starts on it, and restoring again goes on with the files that are there and are right.

Numbers of records that were written after the backup are used again, hence the new epoch. It is numbered by the time,
because the same backup may have been restored before: what that one wrote must not be taken for what this one writes.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice

import msgspec

from journal import Head, Identity, Journal, SqliteBackend, new_epoch
from journal.disk import Disk, write_durably
from s3d.app.reading_backups import Show
from s3d.backup.copying import Advance, copy_file, digest_of
from s3d.backup.errors import BackupDamaged, BackupError, FileMoved
from s3d.backup.manifest import MANIFEST_NAME, RESTORING_NAME, Manifest, read_manifest, read_sums
from s3d.blobs.files import BlobFiles
from s3d.clock import Clock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.relocation import LetGoObjects
from s3d.view.kept import KeptObject, fetchable_objects
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

LET_GO_AT_ONCE = 256
_OF_MOUNTS = {"lost+found"}  # what a new file system has in it


class Restored(msgspec.Struct, frozen=True):
    """What was restored, as which epoch. `pending` records wait for the remote, `let_go` objects are only there.

    `keys` are in the backup; the bodies in `damaged` files of it were left out.
    """

    manifest: Manifest
    identity: Identity
    head: Head
    pending: int
    let_go: int
    keys: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def restore(
    backup: str,
    data_dir: str,
    disk: Disk,
    clock: Clock,
    show: Show,
    *,
    keys_to: str = "",
    without_damaged: bool = False,
) -> Restored:
    """Restore into a directory that is empty, or not there. Interrupted, it can be called again.

    `keys_to`: where the keys go that are in the backup; empty: they stay where they are. `without_damaged`: a damaged
    body is left out, and its record will be parked; of anything else nothing is left out.
    Raises BackupDamaged when something is not what was written, BackupError, JournalError or OSError.
    """
    manifest = read_manifest(backup)
    _begin(backup, data_dir, manifest, disk)
    with show("restoring") as begin:
        copying = _Copying(backup, data_dir, keys_to, disk, begin(manifest.bytes), without_damaged=without_damaged)
        copying.run(manifest)
    identity, head = new_epoch(f"{data_dir}/journal", at_least=int(clock.now()))
    if head.sequence != manifest.sequence or head.hash.hex() != manifest.head:
        raise BackupDamaged(f"the journal in {backup} is not that of its {MANIFEST_NAME}")
    pending, let_go = asyncio.run(_open(data_dir, disk, clock))
    _give_to_owner(data_dir)
    disk.unlink(f"{data_dir}/{RESTORING_NAME}")
    disk.sync_directory(data_dir)
    return Restored(manifest, identity, head, pending, let_go, tuple(copying.keys), tuple(copying.damaged))


def refuse_unfinished(data_dir: str) -> None:
    """A daemon that starts on a backup would use its sequence numbers again. Raises BackupError."""
    if os.path.exists(f"{data_dir}/{MANIFEST_NAME}"):
        raise BackupError(
            f"{data_dir} is a backup", hint="`s3d backup restore` makes a data directory of it, for a daemon"
        )
    if os.path.exists(f"{data_dir}/{RESTORING_NAME}"):
        raise BackupError(
            f"a backup is being restored to {data_dir}, or that was interrupted",
            hint="call `s3d backup restore` once more: it goes on",
        )


def _begin(backup: str, data_dir: str, manifest: Manifest, disk: Disk) -> None:
    """Say that it is being restored, before anything else is in it."""
    inside = os.path.realpath(backup)
    if os.path.commonpath([os.path.realpath(data_dir), inside]) == inside:
        raise BackupError(f"{data_dir} is inside the backup", hint="a backup is never changed: choose another place")
    parent = os.path.dirname(os.path.abspath(data_dir))
    if not os.path.isdir(parent):
        raise BackupError(f"there is no directory {parent}", hint="is the disk mounted?")
    if os.path.lexists(data_dir) and not os.path.isdir(data_dir):
        raise BackupError(f"{data_dir} is no directory", hint="choose an empty one, or one that is not there")
    disk.make_directory(data_dir)
    there, path = set(os.listdir(data_dir)) - _OF_MOUNTS, f"{data_dir}/{RESTORING_NAME}"
    if RESTORING_NAME not in there and there - {f"{RESTORING_NAME}.new"}:
        raise BackupError(f"{data_dir} is not empty", hint="nothing is overwritten: choose an empty directory")
    if RESTORING_NAME in there and _of(path) != manifest:
        raise BackupError(f"another backup was being restored to {data_dir}", hint="finish that, or empty it")
    if RESTORING_NAME not in there:
        write_durably(disk, path, msgspec.json.encode(manifest))


def _of(path: str) -> Manifest | None:
    with open(path, "rb") as file:
        try:
            return msgspec.json.decode(file.read(), type=Manifest)
        except msgspec.MsgspecError:
            return None


class _Copying:
    """Every file of a backup to where it belongs. `keys` are those that it has; `damaged` what was left out."""

    def __init__(
        self, backup: str, data_dir: str, keys_to: str, disk: Disk, advance: Advance, *, without_damaged: bool
    ) -> None:
        self._backup = backup
        self._data_dir = data_dir
        self._keys_to = keys_to
        self._disk = disk
        self._advance = advance
        self._without_damaged = without_damaged
        self.keys: list[str] = []
        self.damaged: list[str] = []

    def run(self, manifest: Manifest) -> None:
        """Copy, and make it durable; what is there already, and right, stays."""
        shutil.rmtree(f"{self._data_dir}/journal", ignore_errors=True)  # an epoch may have begun in it
        for name in os.listdir(self._data_dir):
            if name.startswith("view."):
                os.unlink(f"{self._data_dir}/{name}")
        for path, sha256 in read_sums(self._backup, manifest):
            if path.startswith("keys/"):
                self._take_key(path, sha256)
            else:
                self._take(path, sha256)
        for folder, _, names in os.walk(self._data_dir, topdown=False):
            for name in names:
                _sync(f"{folder}/{name}")
            self._disk.sync_directory(folder)

    def _take(self, path: str, sha256: str) -> None:
        try:
            self._copy(path, f"{self._data_dir}/{path}", sha256)
        except BackupDamaged:
            if not (self._without_damaged and path.startswith("blobs/")):
                raise
            self.damaged.append(path)

    def _take_key(self, path: str, sha256: str) -> None:
        """A key is never replaced by another one."""
        self.keys.append(path.removeprefix("keys/"))
        target = f"{self._keys_to}/{self.keys[-1]}"
        if not self._keys_to:
            return
        if os.path.exists(target) and digest_of(target) != sha256:
            raise BackupError(f"{target} is there already, and is another one", hint="name another directory for keys")
        self._copy(path, target, sha256)
        _sync(target)
        self._disk.sync_directory(self._keys_to)

    def _copy(self, path: str, target: str, sha256: str) -> None:
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        if os.path.exists(target):
            if digest_of(target) == sha256:
                self._advance(os.path.getsize(target))
                return
            os.unlink(target)
        what = "is not what was written"
        try:
            if copy_file(f"{self._backup}/{path}", target, self._disk, self._advance) == sha256:
                return
            os.unlink(target)
        except FileMoved:
            what = "is missing"
        raise BackupDamaged(
            f"{self._backup}/{path} {what}", hint="`s3d backup verify` names all that is damaged; use another backup"
        )


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _open(data_dir: str, disk: Disk, clock: Clock) -> tuple[int, int]:
    """Fold the journal into a view, and have the journal say which objects are only at the remote now.

    How many records are pending, and how many objects those are.
    """
    trust = ViewTrust(disk, data_dir, *this_boot(data_dir))
    _, token = trust.begin()
    view = View(f"{data_dir}/view.db", token=token, trusted=None)
    backend = SqliteBackend(f"{data_dir}/journal", disk=disk, ballast_bytes=0)
    machine = StateMachine(view, has_remote=True, origin=backend)
    journal = await Journal.open(backend, machine, now_ms=lambda: milliseconds(clock.now()))
    try:
        let_go = await _let_go(journal, view, BlobFiles(disk, f"{data_dir}/blobs"))
        pending = view.backlog.records
    finally:
        await journal.close()
    if view.close(sync=True):
        trust.end_clean(token)
    return pending, let_go


async def _let_go(journal: Journal, view: View, blobs: BlobFiles) -> int:
    number = 0
    with closing(view.reader()) as reader:  # it sees what was there before the first of them is let go of
        objects = _without_bytes(fetchable_objects(reader), lambda blob: os.path.exists(blobs.path(blob)))
        while piece := tuple(islice(objects, LET_GO_AT_ONCE)):
            await journal.submit(LetGoObjects(piece, pinned=True), essential=True)
            number += len(piece)
    return number


def _without_bytes(objects: Iterator[KeptObject], is_here: Callable[[str], bool]) -> Iterator[tuple[str, str, int]]:
    for one in objects:
        if not all(map(is_here, one.blobs)):
            yield one.bucket, one.key, one.sequence


def _give_to_owner(data_dir: str) -> None:
    """Whoever restores as root restores for whom the directory belongs to."""
    if os.geteuid() != 0:
        return
    owner = os.stat(data_dir)
    for folder, _, names in os.walk(data_dir):
        for name in (".", *names):
            os.chown(f"{folder}/{name}", owner.st_uid, owner.st_gid, follow_symlinks=False)
