"""Keep a copy of evidence before anybody repairs anything.

The copies lie in a directory named after their content, so that a daemon that is restarted a thousand times on the same
damage makes one copy, and new damage never hides behind an old one.
"""

import hashlib
from collections.abc import Iterator, Sequence

from journal.disk import Disk

_PIECE_BYTES = 1024 * 1024


def set_aside(disk: Disk, directory: str, names: Sequence[str]) -> str:
    """Copy files of `directory`; a sentence that says where they are, or why there is no copy. Never raises OSError."""
    try:
        present = [name for name in names if disk.exists(f"{directory}/{name}")]
        target = f"{directory}/set-aside/{_fingerprint(disk, directory, present)}"
        disk.make_directory(target)
        for name in present:
            _copy(disk, f"{directory}/{name}", f"{target}/{name}")
        disk.sync_directory(target)
    except OSError as error:  # the refusal that this copy belongs to matters more than the copy
        return f"no copy could be set aside: {error}"
    return f"a copy of {' and '.join(present)} is in {target}"


def _fingerprint(disk: Disk, directory: str, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{disk.size_bytes(f'{directory}/{name}')}\0".encode())
        for piece in _pieces(disk, f"{directory}/{name}"):
            digest.update(piece)
    return digest.hexdigest()[:16]


def write_copy(disk: Disk, source: str, target: str) -> None:
    """Copy a file to a name that may have been left by an earlier try; its bytes are durable then, its name is not."""
    if disk.exists(target):
        disk.unlink(target)
    writing, offset = disk.create(target), 0
    try:
        for piece in _pieces(disk, source):
            writing.pwrite(piece, offset)
            offset += len(piece)
        writing.sync()
    finally:
        writing.close()


def _copy(disk: Disk, source: str, target: str) -> None:
    """Copy under a temporary name first, so that a copy that has its name is whole."""
    if disk.exists(target):
        return
    write_copy(disk, source, f"{target}.new")
    disk.rename(f"{target}.new", target)


def _pieces(disk: Disk, path: str) -> Iterator[bytes]:
    size_bytes = disk.size_bytes(path)
    reading = disk.open(path)
    try:
        for offset in range(0, size_bytes, _PIECE_BYTES):
            yield reading.pread(min(_PIECE_BYTES, size_bytes - offset), offset)
    finally:
        reading.close()
