"""What a volume holds: what the kernel shows, what is on the platter, and what lies between the two.

Pure: operations go in, and a power cut comes out as a new `Storage`. The model is deliberately harsher than ext4:

- data becomes durable only by a sync of its file, a name only by a sync of its directory; the two know nothing of each
  other, and directory operations may be kept or lost one by one;
- what was not synced may be kept, dropped, reordered, torn between sectors, half-written as garbage within the range
  of its own write, or show up as a longer file full of zeros (delayed allocation);
- after a failed sync the kernel goes on showing the bytes, calls them clean, and no later sync writes them
  (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

import os
import random
from dataclasses import dataclass

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    inode: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sync:
    inode: int


@dataclass(frozen=True, slots=True)
class FailedSync:
    """The sync said EIO; `seed` decides which of the writes reached the platter all the same."""

    inode: int
    seed: int


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    inode: int


@dataclass(frozen=True, slots=True)
class Unlink:
    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    source: str
    target: str
    inode: int  # of the file that moves: the entry names it, whether or not the entry under `source` was kept


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """An operation that failed without effect; it still counts as an I/O."""


Operation = Write | Truncate | Sync | FailedSync | Create | Unlink | Rename | MakeDirectory | SyncDirectory | Nothing
DataOperation = Write | Truncate
NameOperation = Create | Unlink | Rename | MakeDirectory


class Storage:
    """A volume. `shown` is the kernel's view, `kept` the platter's."""

    def __init__(self) -> None:
        self.shown_files: dict[int, bytearray] = {}
        self.kept_files: dict[int, bytearray] = {}
        self.shown_names: dict[str, int] = {}
        self.kept_names: dict[str, int] = {}
        self.shown_directories: set[str] = {"/"}
        self.kept_directories: set[str] = {"/"}
        self.unsynced: dict[int, list[DataOperation]] = {}
        self.unsynced_names: dict[str, list[NameOperation]] = {}
        self.inodes = 0

    def copy(self) -> "Storage":
        """An independent copy, unsynced operations included: what a process that was killed leaves to the next."""
        other = Storage()
        other.shown_files = {inode: content[:] for inode, content in self.shown_files.items()}
        other.kept_files = {inode: content[:] for inode, content in self.kept_files.items()}
        other.shown_names, other.kept_names = dict(self.shown_names), dict(self.kept_names)
        other.shown_directories, other.kept_directories = set(self.shown_directories), set(self.kept_directories)
        other.unsynced = {inode: list(waiting) for inode, waiting in self.unsynced.items()}
        other.unsynced_names = {path: list(waiting) for path, waiting in self.unsynced_names.items()}
        other.inodes = self.inodes
        return other

    def apply(self, operation: Operation) -> None:
        """Do one operation."""
        match operation:
            case Write() | Truncate():
                _change(self.shown_files[operation.inode], operation)
                self.unsynced.setdefault(operation.inode, []).append(operation)
            case Sync(inode):
                for waiting in self.unsynced.pop(inode, ()):
                    _change(self.kept_files[inode], waiting)
            case FailedSync(inode, seed):
                draw = random.Random(seed)
                for waiting in self.unsynced.pop(inode, ()):
                    if seed % 2 and draw.random() < 0.5:
                        _change(self.kept_files[inode], waiting)
            case Create() | Unlink() | Rename() | MakeDirectory():
                if isinstance(operation, Create):
                    self.inodes = max(self.inodes, operation.inode)
                    self.shown_files[operation.inode] = bytearray()
                    self.kept_files[operation.inode] = bytearray()
                _name(self.shown_names, self.shown_directories, operation)
                self.unsynced_names.setdefault(_directory_of(operation), []).append(operation)
            case SyncDirectory(path):
                for named in self.unsynced_names.pop(path, ()):
                    _name(self.kept_names, self.kept_directories, named)
            case Nothing():
                pass

    def after_power_cut(self, draw: random.Random) -> "Storage":
        """What the next boot finds, one of many possibilities."""
        other = Storage()
        other.inodes = self.inodes
        names, directories = self._names_after_cut(draw)
        other.kept_directories = {path for path in directories if _reachable(path, directories)}
        same_style = _style(draw) if draw.random() < 0.5 else None
        for path, inode in names.items():
            if os.path.dirname(path) not in other.kept_directories:
                continue
            other.kept_names[path] = inode
            if inode not in other.kept_files:
                waiting = self.unsynced.get(inode)
                content = self.kept_files[inode][:]
                if waiting:
                    content = damaged(content, waiting, same_style or _style(draw), draw)
                other.kept_files[inode] = content
        other.shown_names, other.shown_directories = dict(other.kept_names), set(other.kept_directories)
        other.shown_files = {inode: content[:] for inode, content in other.kept_files.items()}
        return other

    def _names_after_cut(self, draw: random.Random) -> tuple[dict[str, int], set[str]]:
        names, directories = dict(self.kept_names), set(self.kept_directories)
        for waiting in self.unsynced_names.values():
            chance = draw.choice((0.0, 1.0, 0.5))
            for operation in waiting:
                if draw.random() < chance:
                    _name(names, directories, operation)
        return names, directories


STYLES = ("drop", "keep", "prefix", "subset", "reorder", "torn", "zeros", "garbage")


def damaged(content: bytearray, waiting: list[DataOperation], style: str, draw: random.Random) -> bytearray:
    """A file's content after a power cut: durable content, and some of what was waiting to be synced."""
    chosen: list[DataOperation] = []
    match style:
        case "drop":
            pass
        case "keep":
            chosen = waiting
        case "prefix":
            count = draw.randrange(len(waiting) + 1)
            chosen = [*waiting[:count], *_sectors(waiting[count : count + 1], draw)]
        case "subset" | "zeros" | "garbage":
            chosen = [operation for operation in waiting if draw.random() < 0.5]
        case "reorder":
            chosen = [operation for operation in waiting if draw.random() < 0.8]
            draw.shuffle(chosen)
        case "torn":
            chosen = _sectors(waiting, draw)
    if style == "garbage":
        for operation in waiting:
            if isinstance(operation, Write) and operation not in chosen:
                _change(content, _scrambled(operation, draw))
    for operation in chosen:
        _change(content, operation)
    if style == "zeros":
        end = max(
            (operation.offset + len(operation.data) for operation in waiting if isinstance(operation, Write)), default=0
        )
        content.extend(bytes(max(0, end - len(content))))
    return content


def _style(draw: random.Random) -> str:
    return draw.choice(STYLES)


def _sectors(operations: list[DataOperation], draw: random.Random) -> list[DataOperation]:
    """Cut writes at sector boundaries, and keep some of the pieces."""
    pieces: list[DataOperation] = []
    for operation in operations:
        if isinstance(operation, Truncate):
            pieces.append(operation)
            continue
        start, end = operation.offset, operation.offset + len(operation.data)
        while start < end:
            stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
            if draw.random() < 0.5:
                data = operation.data[start - operation.offset : stop - operation.offset]
                pieces.append(Write(operation.inode, start, data))
            start = stop
    return pieces


def _scrambled(write: Write, draw: random.Random) -> Write:
    start = draw.randrange(len(write.data)) if write.data else 0
    size = draw.randrange(len(write.data) - start + 1)
    return Write(write.inode, write.offset + start, draw.randbytes(size))


def _change(content: bytearray, operation: DataOperation) -> None:
    if isinstance(operation, Truncate):
        del content[operation.size_bytes :]
        content.extend(bytes(operation.size_bytes - len(content)))
        return
    if operation.offset > len(content):
        content.extend(bytes(operation.offset - len(content)))
    content[operation.offset : operation.offset + len(operation.data)] = operation.data


def _name(names: dict[str, int], directories: set[str], operation: NameOperation) -> None:
    match operation:
        case Create(path, inode):
            names[path] = inode
        case Unlink(path):
            names.pop(path, None)
        case Rename(source, target, inode):
            names.pop(source, None)
            names[target] = inode
        case MakeDirectory(path):
            directories.add(path)


def _directory_of(operation: NameOperation) -> str:
    path = operation.source if isinstance(operation, Rename) else operation.path
    return os.path.dirname(path)


def _reachable(path: str, directories: set[str]) -> bool:
    while path != "/":
        if path not in directories:
            return False
        path = os.path.dirname(path)
    return True
