"""Bits flip in the files of a data directory; where is known, so that whoever judges knows what they hit."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from random import Random

WEIGHTS = {"journal": 4, "log": 4, "sealed": 2, "body": 4, "mark": 1, "base": 1, "view": 2}
HOW_MANY = (1, 4, 16, 64)
Flips = Mapping[Path, frozenset[int]]  # by path below the directory: which bytes are not what they were


def flip(directory: Path, random: Random) -> Flips:
    """Flip bits, one or many. Mostly in what the journal consists of."""
    targets: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(directory.rglob("*")):
        kind = kind_of(path)
        if kind and path.is_file() and path.stat().st_size:
            targets[kind].append(path)
    kinds = sorted(targets)
    flips: defaultdict[Path, set[int]] = defaultdict(set)
    for _ in range(random.choice(HOW_MANY)):
        path = random.choice(targets[random.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]])
        at = random.randrange(path.stat().st_size)
        if at not in flips[path.relative_to(directory)]:  # twice the same bit would be none
            _flip_bit(path, at, random.randrange(8))
            flips[path.relative_to(directory)].add(at)
    return {path: frozenset(places) for path, places in flips.items()}


def kind_of(path: Path) -> str:
    """What a file of a data directory is, in a word; empty: nothing that is tried here."""
    name = path.name
    if path.parent.name == "journal" and ".db" in name and not name.endswith(("-shm", "-journal")):
        if name.startswith("base-"):
            return "base"
        return "sealed" if ".sealed." in name else "log" if name.endswith("-wal") else "journal"
    if path.parent.parent.name == "blobs":
        return "body"
    return "mark" if name == "mark" else "view" if name in {"view.db", "view.db-wal"} else ""


def _flip_bit(path: Path, at: int, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (found,) = file.read(1)
        file.seek(at)
        file.write(bytes([found ^ 1 << bit]))
