"""Named places at which a daemon under load kills itself with SIGKILL: the cases of group P in docs/failures.md.

Nothing of this is in the program: the child that runs the daemon wraps one function before it begins (`arm`), or counts
SQLite's writes to one file. Which thread comes there, and in the middle of what, is the load's doing.
"""

import functools
import importlib
import inspect
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

BEFORE, AFTER, INSIDE = "before", "after", "inside"


@dataclass(frozen=True)
class Failpoint:
    """The `nth` time a function is called. `inside` is for one that is given a function: before it goes on behind that.

    `while_starting`: it is a start that is hit; `without`: what of the data directory is taken away before.
    """

    case: str
    name: str
    place: str
    moment: str
    nth: int = 1
    while_starting: bool = False
    without: str = ""


@dataclass(frozen=True)
class WriteTo:
    """The `nth` write of SQLite to a file whose name begins and ends so."""

    case: str
    name: str
    begins: str
    ends: str
    nth: int = 1
    while_starting: bool = False
    without: str = ""


FAILPOINTS: tuple[Failpoint | WriteTo, ...] = (
    Failpoint("P1", "a body has not arrived whole", "s3d.blobs.files.BlobWriter.write", AFTER, 4),
    Failpoint("P2", "a body is written and not synced", "s3d.blobs.files.BlobWriter.finish", BEFORE, 3),
    Failpoint("P3", "a body is synced, its name is not", "s3d.blobs.files.BlobFiles.sync_name", BEFORE, 3),
    Failpoint("P4", "a body is durable and has no record", "s3d.blobs.files.BlobWriter.finish", AFTER, 3),
    Failpoint("P5", "between BEGIN and COMMIT", "journal.sqlite.transact", INSIDE, 25),
    Failpoint(
        "P6", "after COMMIT, before the mark and the answer", "journal.sqlite.SqliteBackend._write_mark", BEFORE, 25
    ),
    Failpoint("P7", "the view is behind a commit", "s3d.view.view.View.publish", BEFORE, 25),
    Failpoint("P8", "the view is rebuilt", "s3d.view.gathered._Gathered.put", BEFORE, 12, True, "view.db"),
    Failpoint("P8", "the rebuilt view is written", "s3d.view.gathered._Gathered._let_go", BEFORE, 1, True, "view.db"),
    Failpoint("P9", "before a record is sent", "s3d.replicator.transfer.Transfer.send", BEFORE, 6),
    Failpoint("P10", "sent, and not confirmed here", "s3d.replicator.outcomes.Outcomes.confirm", BEFORE, 6),
    Failpoint("P11", "between the parts of an upload", "s3d.replicator.uploads.Uploads.part", AFTER, 2),
    Failpoint("P12", "an upload is completed there", "s3d.replicator.uploads.Uploads._complete", AFTER, 1),
    WriteTo("P13", "in the middle of a checkpoint", "journal-", ".db", 4, True),
    Failpoint("P13", "after a checkpoint, before the mark", "journal.opening._new_mark", BEFORE, 1, True),
    Failpoint("P14", "a file is copied to be sealed", "journal.archive.Archive.seal", BEFORE),
    Failpoint("P14", "a file is sealed", "journal.archive.Archive.seal", AFTER),
    Failpoint("P14", "a base is made", "journal.archive.Archive.record_base", BEFORE),
    Failpoint("P14", "a file is dropped", "journal.archive.Archive.drop", AFTER),
    Failpoint("P15", "the next file is made and not named", "journal.sqlite.make_file", AFTER),
    Failpoint("P15", "the next file is in use", "journal.sqlite.SqliteBackend._switch", AFTER),
    WriteTo("P16", "a view of an earlier version is upgraded", "view.db", "", 6, True, "the latest upgrade"),
    Failpoint("P17", "recovery: the log is renewed", "journal.opening.renew_log", AFTER, 1, True),
    Failpoint("P17", "recovery: the view catches up", "s3d.view.view.View.begin", AFTER, 1, True, "view.db"),
    Failpoint("P17", "recovery: the view is stamped", "s3d.view.trust.ViewTrust.begin", AFTER, 1, True),
)


def arm(name: str) -> None:
    """Have this process kill itself there. Called in the child, before the daemon begins."""
    failpoint = next(one for one in FAILPOINTS if one.name == name)
    importlib.import_module("s3d.upkeep.upkeep").IDLE_SECONDS = 0.05  # type: ignore[attr-defined]
    if isinstance(failpoint, WriteTo):
        _count_writes(failpoint)
    else:
        _wrap(failpoint)


def _wrap(failpoint: Failpoint) -> None:
    owner, attribute = _find(failpoint.place)
    wrapped = getattr(owner, attribute)
    is_last = _countdown(failpoint.nth)
    if failpoint.moment == INSIDE:
        wrapper = _inside(wrapped, is_last)
    elif inspect.iscoroutinefunction(wrapped):
        wrapper = _asynchronous(wrapped, failpoint.moment, is_last)
    else:
        wrapper = _synchronous(wrapped, failpoint.moment, is_last)
    setattr(owner, attribute, wrapper)


def _find(place: str) -> tuple[Any, str]:
    """The module or class that has it, and its name there."""
    parts = place.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:-1]:
            owner = getattr(owner, name)
        return owner, parts[-1]
    raise LookupError(place)


def _synchronous(wrapped: Callable[..., Any], moment: str, is_last: Callable[[], bool]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        if moment == BEFORE and is_last():
            _die()
        result = wrapped(*arguments, **named)
        if moment == AFTER and is_last():
            _die()
        return result

    return wrapper


def _asynchronous(wrapped: Callable[..., Any], moment: str, is_last: Callable[[], bool]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        if moment == BEFORE and is_last():
            _die()
        result = await wrapped(*arguments, **named)
        if moment == AFTER and is_last():
            _die()
        return result

    return wrapper


def _inside(wrapped: Callable[..., Any], is_last: Callable[[], bool]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    def wrapper(connection: apsw.Connection, work: Callable[[apsw.Connection], None], *more: Any) -> Any:
        def work_and_die(connection: apsw.Connection) -> None:
            work(connection)
            if is_last():
                _die()

        return wrapped(connection, work_and_die, *more)

    return wrapper


def _count_writes(failpoint: WriteTo) -> None:
    is_last = _countdown(failpoint.nth)

    class File(apsw.VFSFile):
        def xWrite(self, data: Any, offset: int) -> None:
            super().xWrite(data, offset)
            if is_last():
                _die()

    class Counting(apsw.VFS):
        def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
            path = name if isinstance(name, str) else name and name.filename()
            base = os.path.basename(path or "")
            counted = base.startswith(failpoint.begins) and base.endswith(failpoint.ends)
            return (File if counted else apsw.VFSFile)("unix", name, flags)

    _kept.append(Counting("counting", "unix", makedefault=True))


_kept: list[apsw.VFS] = []  # SQLite has only the name


def _countdown(nth: int) -> Callable[[], bool]:
    left, lock = [nth], threading.Lock()

    def is_last() -> bool:
        with lock:
            left[0] -= 1
            return left[0] == 0

    return is_last


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
