"""The files of one folder on disk: looking at them, finding them, and what becomes of them in the end.

A folder belongs to its devices, and may be full of traps: links that point out of it, pipes that block whoever opens
them, directories that turn into links in between. So everything is opened from the folder's own descriptor downwards,
name by name, and no link is followed. All methods block; they are called on threads.
"""

import ctypes
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from s3d.drop.names import ASIDE, is_ignored, is_text
from s3d.drop.settling import Look, Signature

PAGE_FILES = 64  # what the loop looks up in the view in one turn
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_NO_FLAGS = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
_INODE_MASK = 2**63 - 1  # SQLite's integers have a sign
_COPIES_MAX, _ASIDE_MAX = 1000, 10
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Odd:
    """Something that cannot be taken, and why."""

    reason: str


@dataclass(slots=True)
class Page:
    """Some of what is in a folder."""

    files: list[tuple[str, Signature]] = field(default_factory=list)
    odd: list[tuple[str, Odd]] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) + len(self.odd) + len(self.aside)


class FolderFiles:
    """One folder. `is_wanted` says of a path in it whether it is to be taken at all."""

    def __init__(self, directory: str, is_wanted: Callable[[str], bool], move_to: str | None = None) -> None:
        self._directory = directory
        self._is_wanted = is_wanted
        self._move_to = move_to

    # looking

    def look_all(self, paths: Sequence[str]) -> list[Look | Odd | None]:
        """`look` for each."""
        return [self.look(path) for path in paths]

    def look(self, path: str) -> Look | Odd | None:
        """What a file is like now; None: it is not there (any more)."""
        if not is_text(path):
            return Odd("its name is not UTF-8, which keys are")
        try:
            with self._parent(path) as (parent, name):
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    return None if stat.S_ISDIR(status.st_mode) else Odd(_kind(status.st_mode))
                descriptor = os.open(name, _FILE, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Odd(f"it cannot be opened: {error.strerror}")
        try:
            return Look(signature_of(os.fstat(descriptor)), is_open_for_writing(descriptor))
        finally:
            os.close(descriptor)

    def open(self, path: str) -> int:
        """A descriptor for reading. Raises OSError."""
        with self._parent(path) as (parent, name):
            return os.open(name, _FILE, dir_fd=parent)

    def are_there(self, paths: Sequence[str]) -> list[bool]:
        """Whether there is something under each path. Raises OSError when that cannot be told."""
        return [self._is_there(path) for path in paths]

    def _is_there(self, path: str) -> bool:
        try:
            with self._parent(path) as (parent, name):
                os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            with self._root():  # the file is gone, not the whole folder
                return False
        return True

    # finding

    def scan(self, start: str, entered: Callable[[str, str], None]) -> Iterator[Page]:
        """Everything below `start` (empty: the folder), in pages. `entered` is told of each directory, its path on disk
        and in the folder, before it is read. Raises OSError when `start` cannot be read.
        """
        waiting, page = [start], Page()
        while waiting:
            directory = waiting.pop()
            try:
                descriptor = self._open_directory(directory)
            except OSError as error:
                if directory == start:
                    raise
                page.odd.append((directory, Odd(f"it cannot be read: {error.strerror}")))
                continue
            try:
                entered(os.path.join(self._directory, directory) if directory else self._directory, directory)
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        self._sort(entry, directory, page, waiting)
                        if len(page) >= PAGE_FILES:
                            yield page
                            page = Page()
            finally:
                os.close(descriptor)
        yield page

    def _sort(self, entry: "os.DirEntry[str]", directory: str, page: Page, waiting: list[str]) -> None:
        path = f"{directory}/{entry.name}" if directory else entry.name
        if entry.name.startswith(ASIDE):
            page.aside.append(path)
            return
        if is_ignored(entry.name):
            return
        if entry.is_dir(follow_symlinks=False):
            waiting.append(path)
            return
        if not self._is_wanted(path):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return  # it is gone already
        if not is_text(path):
            page.odd.append((path, Odd("its name is not UTF-8, which keys are")))
        elif stat.S_ISREG(status.st_mode):
            page.files.append((path, signature_of(status)))
        else:
            page.odd.append((path, Odd(_kind(status.st_mode))))

    # the end of a file

    def finish(self, path: str, signature: Signature) -> bool | Odd:
        """Delete or move a file that was taken; False: it is another one by now, and stays.

        It gets another name first. So nobody can open it any more, and what is then found under that name is what is
        deleted: a file that a device put in its place in the meantime is not.
        """
        try:
            with self._parent(path) as (parent, name):
                return self._finish(parent, name, path, signature)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            return Odd(f"it was taken, but cannot be {'moved' if self._move_to else 'deleted'}: {error.strerror}")

    def _finish(self, parent: int, name: str, path: str, signature: Signature) -> bool:
        aside = self._put_aside(parent, name)
        try:
            is_same = _is_still(parent, aside, signature)
            if is_same and self._move_to is not None:
                self._move(parent, aside, path)
            elif is_same:
                os.unlink(aside, dir_fd=parent)
        except OSError:
            self._put_back(parent, aside, name)
            raise
        if not is_same:
            self._put_back(parent, aside, name)
        return is_same

    def _put_aside(self, parent: int, name: str) -> str:
        """Names are numbered: of a killed daemon one may be left that cannot be put back yet."""
        for number in range(_ASIDE_MAX):
            aside = f"{ASIDE}{number}~{name}"
            try:
                _rename(parent, name, parent, aside)
            except FileExistsError:
                continue
            return aside
        raise OSError(errno.EEXIST, f"there are {_ASIDE_MAX} files beside it that begin with {ASIDE}")

    def restore(self, path: str) -> None:
        """A file was found under the name that `finish` gives it: whoever did that was killed. Raises OSError."""
        with self._parent(path) as (parent, aside):
            self._put_back(parent, aside, original_of(aside))

    def sync(self, paths: Sequence[str]) -> None:
        """Make durable that these are gone. Raises OSError."""
        for directory in {os.path.dirname(path) for path in paths}:
            try:
                descriptor = self._open_directory(directory)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _put_back(self, parent: int, aside: str, name: str) -> None:
        try:
            _rename(parent, aside, parent, name)
        except FileExistsError:
            pass  # a newer file has its name: it is put back when that one has gone

    def _move(self, parent: int, aside: str, path: str) -> None:
        assert self._move_to is not None
        directory, name = os.path.split(os.path.join(self._move_to, path))
        os.makedirs(directory, exist_ok=True)
        target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for number in range(_COPIES_MAX):
                try:
                    _rename(parent, aside, target, f"{name}~{number}" if number else name)
                except FileExistsError:
                    continue
                return
            raise OSError(errno.EEXIST, f"there are {_COPIES_MAX} files of its name in {directory}")
        finally:
            os.close(target)

    # going down

    @contextmanager
    def _root(self) -> Iterator[int]:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_directory(self, path: str) -> int:
        """Raises OSError, also where a link is on the way."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in path.split("/") if path else ():
            try:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        directory, _, name = path.rpartition("/")
        descriptor = self._open_directory(directory)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)


def original_of(aside: str) -> str:
    """The name of a file that `finish` has put aside; with directories before it, or without."""
    directory, slash, name = aside.rpartition("/")
    return directory + slash + name.removeprefix(ASIDE).partition("~")[2]


def signature_of(status: os.stat_result) -> Signature:
    """What is remembered of a file."""
    return Signature(status.st_ino & _INODE_MASK, status.st_size, status.st_mtime_ns)


def is_open_for_writing(descriptor: int) -> bool:
    """Whether anybody, in any container, has this file open for writing (False where the kernel does not tell).

    It is what decides whether a read lease (fcntl(2), F_SETLEASE) is given, which is handed back at once. A writer who
    comes in that moment has the kernel signal us: SIGURG, which nobody minds, not SIGIO, which ends a process. The
    kernel gives leases on files of our own, or to CAP_LEASE, and on local file systems.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_still(parent: int, name: str, signature: Signature) -> bool:
    descriptor = os.open(name, _FILE, dir_fd=parent)
    try:
        return signature_of(os.fstat(descriptor)) == signature and not is_open_for_writing(descriptor)
    finally:
        os.close(descriptor)


def _rename(source_directory: int, source: str, target_directory: int, target: str) -> None:
    """Rename, never over something. Raises FileExistsError, or another OSError."""
    names = (ctypes.c_char_p(os.fsencode(source)), ctypes.c_char_p(os.fsencode(target)))
    result = _libc.renameat2(source_directory, names[0], target_directory, names[1], _RENAME_NOREPLACE)
    if result == 0:
        return
    number = ctypes.get_errno()
    if number not in _NO_FLAGS:
        raise OSError(number, os.strerror(number), source)
    try:  # a file system that cannot promise it: nobody but us uses such names
        os.stat(target, dir_fd=target_directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "it is a symbolic link, which is not followed"
    if stat.S_ISFIFO(mode):
        return "it is a pipe"
    if stat.S_ISSOCK(mode):
        return "it is a socket"
    return "it is not a regular file"
