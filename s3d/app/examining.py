"""Look at everything in a data directory without changing any of it, beside a live daemon or over a dead one.

What SQLite would change by opening it is copied first (journal and view); everything else is only read. Of what a live
daemon takes away between two looks nothing is said: what seems to be missing is looked for once more.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from journal.copying import read_mark
from journal.diagnosis import Diagnosis, diagnose
from journal.disk import ReadOnlyDisk
from journal.errors import JournalError
from journal.files import file_number
from journal.mark import MARK_NAME
from journal.salvage import Hole
from s3d.backup.manifest import RESTORING_NAME
from s3d.blobs.files import BlobDamaged, BlobFiles
from s3d.errors import CannotLook
from s3d.recovery.look import NAMED_MAX, PLAN_NAME, BlobsLook, BlobTrouble, DirectoryLook, Look
from s3d.view.looking import ViewCopy, view_copy
from s3d.view.trust import ViewTrust, this_boot

Advance = Callable[[int], object]
_DISK = ReadOnlyDisk()
_START_BYTES = 8 * 1024 * 1024
_NO_JOURNAL_HINT = "DATA_DIR is what `s3d run --data-dir` or S3D_LOCAL_DIR names"


def look_at(
    data_dir: str,
    *,
    deep: bool,
    checking_records: Callable[[int], Advance] = lambda _: lambda _: None,
    reading: Callable[[int], Advance] = lambda _: lambda _: None,
) -> Look:
    """Look at a data directory; `deep` reads every byte. The last two are told how much there is, then what is done.

    Raises CannotLook.
    """
    data_dir = os.path.abspath(data_dir)
    journal_dir = journal_of(data_dir)
    try:
        journal = diagnose(journal_dir, advance=checking_records(_records_at_most(journal_dir)))
        with copied_view(data_dir, journal, live=is_in_use(data_dir)) as view:
            lost = [one for hole in holes_of(journal) for one in view.known_between(hole.first, hole.last)]
            bodies = [view.owner(sequence) for file in journal.files for sequence in file.bodies]
            needed = [one for one in bodies if one.bucket or not view.answers]
            blobs = _look_at_blobs(data_dir, view, deep=deep, reading=reading)
            blobs = _looked_again(data_dir, journal, blobs)
            found = view.look
        return Look(data_dir, _directory(data_dir), journal, found, blobs, tuple(lost[:NAMED_MAX]), tuple(needed))
    except JournalError as error:
        raise CannotLook(error.message, hint=error.hint) from error
    except OSError as error:
        hint = "who may read it? and is there space for copies in TMPDIR?"
        raise CannotLook(f"{error.filename or data_dir}: {error.strerror or error}", hint=hint) from error


def journal_of(data_dir: str) -> str:
    """Where in a data directory the journal is, whatever is left of it. Raises CannotLook."""
    directory = f"{data_dir}/journal"
    try:
        names = os.listdir(directory)
        os.listdir(data_dir)
    except (FileNotFoundError, NotADirectoryError) as error:
        where = data_dir if not os.path.isdir(data_dir) else f"{data_dir} has no directory `journal`: it"
        raise CannotLook(f"{where} is not a data directory of this program", hint=_NO_JOURNAL_HINT) from error
    except OSError as error:
        hint = "call this as the user whom the directory belongs to"
        raise CannotLook(f"{error.filename}: {error.strerror}", hint=hint) from error
    if not any(file_number(name) is not None or name == MARK_NAME for name in names):
        raise CannotLook(f"there is no journal in {directory}", hint=_NO_JOURNAL_HINT)
    return directory


def holes_of(journal: Diagnosis) -> Iterator[Hole]:
    """The losses in all files, in order."""
    for file in journal.files:
        if file.chosen is not None:
            yield from file.chosen.holes


@contextmanager
def copied_view(data_dir: str, journal: Diagnosis, *, live: bool) -> Iterator[ViewCopy]:
    """A private copy of the view. Raises JournalError or OSError."""
    scratch = tempfile.mkdtemp(prefix="view-")
    try:
        trusted = ViewTrust(_DISK, data_dir, *this_boot(data_dir)).trusted()
        identity = journal.identity
        with view_copy(
            f"{data_dir}/view.db",
            scratch,
            trusted=trusted,
            instance=identity.instance if identity is not None else "",
            epoch=identity.epoch if identity is not None else 0,
            live=live,
        ) as view:
            yield view
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _records_at_most(journal_dir: str) -> int:
    mark = read_mark(journal_dir)
    return mark.head.sequence if mark is not None else 0


def _directory(data_dir: str) -> DirectoryLook:
    status, journal = os.stat(data_dir), f"{data_dir}/journal"
    inside = [f"{data_dir}/{name}" for name in os.listdir(data_dir)] + [
        f"{journal}/{name}" for name in os.listdir(journal)
    ]
    strangers = tuple(
        sorted(os.path.relpath(path, data_dir) for path in inside if os.lstat(path).st_uid != status.st_uid)
    )
    ballast = os.path.getsize(f"{journal}/ballast") if os.path.exists(f"{journal}/ballast") else 0
    logs = sum(os.path.getsize(f"{journal}/{name}") for name in os.listdir(journal) if name.endswith("-wal"))
    return DirectoryLook(
        status.st_mode,
        _DISK.free_bytes(data_dir) + ballast,
        logs + _START_BYTES,
        ballast,
        strangers,
        in_use=is_in_use(data_dir),
        under_recovery=os.path.exists(f"{data_dir}/{PLAN_NAME}"),
        under_restore=os.path.exists(f"{data_dir}/{RESTORING_NAME}"),
    )


def is_in_use(data_dir: str) -> bool:
    """Whether a daemon (or a replay) holds one of the locks; nothing is created for asking."""
    for name in ("lock", "journal/lock"):
        try:
            with open(f"{data_dir}/{name}", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue
        except BlockingIOError:
            return True
    return False


def _look_at_blobs(data_dir: str, view: ViewCopy, *, deep: bool, reading: Callable[[int], Advance]) -> BlobsLook:
    files = BlobFiles(_DISK, f"{data_dir}/blobs")
    there = {blob: os.path.getsize(files.path(blob)) for blob in files.ids() if len(blob) == 32}
    needed = view.named_blobs() if view.answers else dict.fromkeys(there, 0)
    total = sum(there.get(blob, 0) for blob in needed)
    advance, troubles = reading(total if deep else 0), list[BlobTrouble]()
    for blob, sequence in needed.items():
        why = _trouble(files, blob, there.get(blob), deep=deep)
        if why:
            troubles.append(BlobTrouble(blob, why, view.owner(sequence)))
        if deep:
            advance(there.get(blob, 0))
    unnamed = tuple((blob, size) for blob, size in there.items() if blob not in needed)
    return BlobsLook(
        len(there),
        sum(there.values()),
        total if deep else -1,
        view.answers,
        tuple(troubles[:NAMED_MAX]),
        len(troubles),
        unnamed,
    )


def _trouble(files: BlobFiles, blob: str, size: int | None, *, deep: bool) -> str:
    """What is wrong with a blob; nothing: as far as was looked it is as it was written."""
    if size is None:
        return "missing"
    try:
        if not files.has_end(blob):
            return "cut off"
        if deep:
            files.check(blob)
    except BlobDamaged:
        return "not what was written"
    except OSError as error:
        return f"not readable ({error.strerror})"
    return ""


def _looked_again(data_dir: str, journal: Diagnosis, blobs: BlobsLook) -> BlobsLook:
    """A live daemon lets go of blobs: those that nothing needs by now were not missing."""
    if not any(one.why == "missing" for one in blobs.troubles) or not is_in_use(data_dir):
        return blobs
    with copied_view(data_dir, journal, live=True) as view:
        needed = view.named_blobs()
    still = tuple(one for one in blobs.troubles if one.blob in needed)
    return msgspec.structs.replace(blobs, troubles=still, troubles_count=len(still))
