"""A journal that acknowledges only while its directory is still where it was opened.

A directory that is renamed, deleted or unmounted under a running daemon goes on taking writes through the files that
are open: they would be durable where the next start does not look. So after each COMMIT, and whenever nothing is going
on, the names are held against the files that they were at the start.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

from journal import Backend, CommitAmbiguous, Head, Record


def anchored(backend: Backend, directory: str, names: Sequence[str]) -> Backend:
    """The same backend, whose `append` and `settle` raise CommitAmbiguous once a name is another file or none."""
    return cast("Backend", _Anchored(backend, directory, names))


class _Anchored:
    """Only what writes is its own: whatever else a backend promises goes straight through."""

    def __init__(self, backend: Backend, directory: str, names: Sequence[str]) -> None:
        self._backend = backend
        self._directory = directory
        self._paths = [f"{directory}/{name}" for name in names]
        self._files: list[tuple[int, int] | None] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def open(self) -> Head:
        head = self._backend.open()
        self._files = [_file_at(path) for path in self._paths]
        return head

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self._backend.append(records, bodies, positions)
        self._check()

    def settle(self, *, idle: bool) -> None:
        self._check()
        self._backend.settle(idle=idle)

    def _check(self) -> None:
        for path, file in zip(self._paths, self._files, strict=True):
            if file is None or _file_at(path) != file:
                raise CommitAmbiguous(
                    f"the data directory {self._directory} is not there any more, or is another one",
                    hint="was it renamed, deleted or unmounted? put it back, and start again: what was acknowledged"
                    " is in the directory that was there",
                )


def _file_at(path: str) -> tuple[int, int] | None:
    """Device and inode of what has this name; None: nothing that can be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
