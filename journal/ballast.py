"""A file of written bytes that is given up when the disk is full.

With it gone there is room for what shrinks the problem: deletes, outcomes of the replicator, the checkpoint at start.
It is written out, not merely allocated, because thin volumes give space only to bytes that were written.
"""

from journal.disk import Disk, is_full

BALLAST_NAME = "ballast"
_PIECE_BYTES = 1024 * 1024
_CRUMBS_BYTES = 64 * 1024  # what was too little for the write that met the full disk is no room for the next one


class Ballast:
    """Space in reserve, `size_bytes` of it; 0 switches it off."""

    def __init__(self, disk: Disk, directory: str, size_bytes: int) -> None:
        self._disk = disk
        self._directory = directory
        self._path = f"{directory}/{BALLAST_NAME}"
        self._size_bytes = size_bytes
        self._complete = False

    def is_all_there_is(self) -> bool:
        """Whether what is left on the volume is what this would take: then it is for what makes the problem smaller."""
        if self._complete or self._size_bytes == 0 or self._disk.exists(self._path):
            return False
        return self._disk.free_bytes(self._directory) <= self._size_bytes + _CRUMBS_BYTES

    def release(self) -> None:
        """Give the space back to the volume."""
        if self._disk.exists(self._path):
            self._disk.unlink(self._path)
        self._complete = False

    def restore(self) -> None:
        """Take the space again, once the volume has twice as much free: less would put it back on the brink."""
        if self._complete or self._size_bytes == 0:
            return
        if self._disk.exists(self._path):
            if self._disk.size_bytes(self._path) == self._size_bytes:
                self._complete = True
                return
            self._disk.unlink(self._path)
        if self._disk.free_bytes(self._directory) < 2 * self._size_bytes:
            return
        try:
            self._write()
        except OSError as error:
            if not is_full(error):
                raise
            self._disk.unlink(self._path)

    def _write(self) -> None:
        file = self._disk.create(self._path)
        try:
            piece = bytes(_PIECE_BYTES)
            for offset in range(0, self._size_bytes, _PIECE_BYTES):
                file.pwrite(piece[: self._size_bytes - offset], offset)
            file.sync()
        finally:
            file.close()
        self._complete = True
