"""Where a backup is made: a place of its own, and until it is finished under another name."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from journal import JournalLocked
from journal.branch import held
from s3d.backup.errors import BackupError
from s3d.backup.manifest import MANIFEST_NAME, SUMS_NAME

SCRATCH = "scratch"
_OURS = {"journal", "blobs", "keys", SCRATCH, MANIFEST_NAME, SUMS_NAME}


def check_place(target: str, source: str) -> None:
    """Whether something new can be made there. Raises BackupError."""
    if os.path.lexists(target):
        raise BackupError(f"{target} is there already", hint="each backup is a new directory: choose another name")
    parent, inside = os.path.dirname(os.path.abspath(target)), os.path.realpath(source)
    if not os.path.isdir(parent):
        raise BackupError(f"there is no directory {parent}", hint="is the disk mounted?")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise BackupError(f"{parent} cannot be written to", hint="whose is it?")
    if os.path.commonpath([os.path.realpath(parent), inside]) == inside:
        raise BackupError(
            f"{target} is inside {source}", hint="choose another place; another disk, if it is to survive this one"
        )


@contextmanager
def stopped(data_dir: str) -> Iterator[None]:
    """Nobody starts there meanwhile."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(f"{data_dir}/journal"))
        except JournalLocked:
            raise BackupError(
                f"a daemon runs on {data_dir}", hint="leave --data-dir out: it is backed up while it runs"
            ) from None
        yield


@contextmanager
def partial_of(target: str) -> Iterator[str]:
    """The directory that it is made in: nobody else's, and gone when it does not come to an end."""
    partial = f"{target}.partial"
    if os.path.lexists(partial):
        if not os.path.isdir(partial) or set(os.listdir(partial)) - _OURS:
            raise BackupError(f"{partial} is in the way", hint="it is not a backup that was interrupted: move it")
        with _alone(partial):
            shutil.rmtree(partial)
    os.mkdir(partial, 0o700)
    try:
        with _alone(partial):
            yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError(f"another backup is being made in {directory}", hint="wait for it") from None
