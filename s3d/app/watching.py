"""Whether a file is another one by now: asked of its directory entry, every now and then.

A ConfigMap is swapped by renaming a symbolic link two levels above the file, an editor renames or writes in place, and
a share over the network tells nobody: who follows a path and looks at what is there sees all of them alike.
"""

import contextlib
import os
from hashlib import sha256

Stamp = tuple[int, int, int, int]


class Watched:
    """A file. `begin`, then ask; both look at the disk, so not on the event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self._told: Stamp | None = None

    def begin(self, digest: str) -> None:
        """What has this SHA-256 (hexadecimal) is known; if it is another one already, the next look says so."""
        before = self._seen = self._stamp()
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            if sha256(file.read()).hexdigest() == digest:
                self._told = before

    def is_another(self) -> bool:
        """Whether it is another one than the last that was told of, and the same as at the last look: complete."""
        now = self._stamp()
        settled, self._seen = now == self._seen, now
        if not settled or now == self._told:
            return False
        self._told = now
        return True

    def _stamp(self) -> Stamp | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
