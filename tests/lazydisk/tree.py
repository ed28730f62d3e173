"""Files and directories that forget what was not synced: a second model of a disk, with no code of the first one's.

Each file knows its bytes and what has been written since its last fsync, each directory its names and what has become
of them since its own. A power cut leaves what was synced, and of the rest nothing, a beginning, or some of it.
"""

import stat
from dataclasses import dataclass, field
from random import Random

ROOT = 1


@dataclass
class Node:
    """A file or a directory. `kept` is what a power cut cannot take; `waiting` is in order."""

    mode: int
    seconds: int = 0
    shown: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)  # at an offset; None: cut off there
    names: dict[str, int] = field(default_factory=dict)
    kept_names: dict[str, int] = field(default_factory=dict)
    renamed: list[tuple[tuple[str, int | None], ...]] = field(default_factory=list)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


class Tree:
    """Nodes by number; ROOT is the mount's own directory."""

    def __init__(self) -> None:
        self.nodes = {ROOT: Node(stat.S_IFDIR | 0o755)}
        self._last = ROOT
        self.syncs = 0
        self.lost = 0  # writes and names that cuts have taken

    # what programs do

    def make(self, parent: int, name: str, mode: int) -> int:
        """A new file or directory; its number."""
        self._last += 1
        self.nodes[self._last] = Node(mode)
        self._name(parent, (name, self._last))
        return self._last

    def remove(self, parent: int, name: str) -> None:
        """A name goes; who has the file open keeps it."""
        self._name(parent, (name, None))

    def rename(self, parent: int, name: str, new_parent: int, new_name: str) -> None:
        """Both names change at once where they are in one directory."""
        number = self.nodes[parent].names[name]
        if parent == new_parent:
            self._name(parent, (name, None), (new_name, number))
        else:
            self._name(new_parent, (new_name, number))
            self._name(parent, (name, None))

    def _name(self, parent: int, *changes: tuple[str, int | None]) -> None:
        directory = self.nodes[parent]
        directory.renamed.append(changes)
        _rename(directory.names, changes)

    def write(self, number: int, offset: int, data: bytes) -> None:
        """Bytes that wait."""
        node = self.nodes[number]
        node.waiting.append((offset, data))
        _put(node.shown, offset, data)

    def truncate(self, number: int, size: int) -> None:
        """A length that waits."""
        node = self.nodes[number]
        node.waiting.append((size, None))
        _put(node.shown, size, None)

    def sync(self, number: int) -> None:
        """Of a file its bytes, of a directory its names."""
        node = self.nodes[number]
        self.syncs += 1
        for offset, data in node.waiting:
            _put(node.kept, offset, data)
        for changes in node.renamed:
            _rename(node.kept_names, changes)
        node.waiting, node.renamed = [], []

    # the cut

    def cut(self, draw: Random) -> "Tree":
        """What is there when it is mounted again."""
        after = Tree()
        after.syncs, after.lost, after._last = self.syncs, self.lost, self._last
        mercy = draw.choice((0.0, 0.0, 0.5, 1.0))  # nothing, twice as often; about half; all of it
        after.nodes = {}
        self._keep(ROOT, after, draw, mercy)
        return after

    def _keep(self, number: int, after: "Tree", draw: Random, mercy: float) -> None:
        if number in after.nodes:
            return
        node, names, content = self.nodes[number], dict(self.nodes[number].kept_names), self.nodes[number].kept[:]
        for changes in node.renamed:
            if draw.random() < mercy:
                _rename(names, changes)
            else:
                after.lost += 1
        in_order = draw.random() < 0.5
        for offset, data in node.waiting:
            if draw.random() < mercy:
                _put(content, offset, data if data is None else data[: _torn(data, draw)])
                continue
            after.lost += 1
            if in_order:
                break
        after.nodes[number] = Node(
            node.mode, node.seconds, shown=content, kept=content[:], names=names, kept_names=dict(names)
        )
        for child in names.values():
            self._keep(child, after, draw, mercy)


def _torn(data: bytes, draw: Random) -> int:
    """How much of a write arrives: all, or so many sectors."""
    return len(data) if draw.random() < 0.8 else draw.randrange(len(data) + 1) // 512 * 512


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _rename(names: dict[str, int], changes: tuple[tuple[str, int | None], ...]) -> None:
    for name, number in changes:
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number
