"""A branch: a journal in a directory of its own that goes on where another one stands, which is not touched.

The active file, its log and the mark are copied. The files before it and the base are linked, since nobody writes them.
So the branch is opened with every check that the journal itself would be, and what is appended to it stays in it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from journal.copying import active_path, copy_consistently, read_mark
from journal.errors import JournalError, JournalLocked
from journal.mark import MARK_NAME
from journal.opening import LOCK_NAME


@contextmanager
def held(directory: str) -> Iterator[None]:
    """Nobody else opens the journal in this directory meanwhile; read-only media will do. Raises JournalLocked."""
    try:
        lock = open(f"{directory}/{LOCK_NAME}", "rb")  # noqa: SIM115 - closed below; a copy may be without one
    except FileNotFoundError:
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalLocked(
                f"the journal in {directory} is open in another process",
                hint="a running daemon sends its records itself: stop it first, or let it",
            ) from None
        yield


def make_branch(source: str, target: str, older: Sequence[str]) -> None:
    """Branch the journal in `source`, which is `held`, into `target`, which is not there yet.

    `older` are the names of the files before the active one, and of the base. Interrupted, there is no `target`.
    Raises JournalError or OSError.
    """
    making = f"{target}.new"
    if os.path.lexists(making):
        shutil.rmtree(making)
    os.makedirs(making)
    mark = read_mark(source)
    copied = copy_consistently(active_path(source, mark), making)
    if mark is not None:
        shutil.copyfile(f"{source}/{MARK_NAME}", f"{making}/{MARK_NAME}")
    for name in older:
        if not os.path.exists(f"{source}/{name}"):
            raise JournalError(f"{source}/{name} is missing", hint="is the copy of the data directory whole?")
        _link(os.path.abspath(f"{source}/{name}"), f"{making}/{name}")
    for path in (copied, f"{copied}-wal", f"{making}/{MARK_NAME}", making):
        _sync(path)
    os.rename(making, target)
    _sync(os.path.dirname(os.path.abspath(target)))


def _link(path: str, target: str) -> None:
    try:
        os.symlink(path, target)
    except OSError:  # a file system that has none
        shutil.copyfile(path, target)


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
