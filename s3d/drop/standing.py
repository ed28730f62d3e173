"""What one folder has done and what is wrong with it, for `s3d drop status`, metrics and the log.

Everything is said once when it begins, however often it is met again, and takes bounded memory.
"""

import os

import structlog

from s3d.telemetry.drops import DropReport, RefusedFile

FAILURES_MAX = 1000
NAMED_MAX = 100
_log = structlog.get_logger("s3d.drop")


class Ledger:
    """Counts of one folder since the daemon started. Used on the event loop."""

    def __init__(self, folder: str) -> None:
        self._log = _log.bind(folder=folder)
        self._failures: dict[str, str] = {}
        self._is_cut = False
        self.taken = 0
        self.taken_bytes = 0
        self.trouble = ""
        self._is_watched = True

    def took(self, path: str, size_bytes: int) -> None:
        """A file has become an object."""
        self.taken += 1
        self.taken_bytes += size_bytes
        self._log.debug("took a file", path=path, bytes=size_bytes)

    def failed(self, path: str, reason: str) -> None:
        """A file cannot be taken, or not be removed; it is tried again when the folder is looked through."""
        if self._failures.get(path) == reason:
            return
        if path not in self._failures and len(self._failures) >= FAILURES_MAX:
            if not self._is_cut:
                self._is_cut = True
                self._log.warning("more files cannot be taken than are remembered", remembered=FAILURES_MAX)
            return
        self._failures[path] = reason
        self._log.warning("a file cannot be taken", path=shown(path), reason=reason)

    def settled(self, path: str) -> None:
        """Nothing is wrong with it any more, or it is gone."""
        if self._failures.pop(path, None) is not None:
            self._is_cut = False

    @property
    def failing(self) -> list[str]:
        """The files with which something is wrong."""
        return list(self._failures)

    def troubled(self, reason: str) -> None:
        """Nothing of the folder is taken for now; empty: it goes on."""
        if reason == self.trouble:
            return
        self.trouble = reason
        if reason:
            self._log.warning("the drop folder waits", reason=reason)
        else:
            self._log.info("the drop folder goes on")

    def unwatched(self, reason: str, rescan_seconds: float) -> None:
        """The kernel does not tell of everything. May be called on any thread."""
        if self._is_watched:
            self._is_watched = False
            self._log.warning("the folder is only looked through", reason=reason, every_seconds=rescan_seconds)

    def report(
        self, *, name: str, directory: str, bucket: str, prefix: str, after: str, waiting: int, oldest: float
    ) -> DropReport:
        """How it stands."""
        named = list(self._failures.items())[:NAMED_MAX]
        return DropReport(
            name=name,
            directory=directory,
            bucket=bucket,
            prefix=prefix,
            after=after,
            waiting=waiting,
            oldest_seconds=round(oldest, 3),
            taken=self.taken,
            taken_bytes=self.taken_bytes,
            failed=len(self._failures),
            trouble=self.trouble,
            watched=self._is_watched,
            failures=tuple(RefusedFile(shown(path), reason) for path, reason in named),
        )


def shown(path: str) -> str:
    """A name that may not be UTF-8, as text that is."""
    return os.fsencode(path).decode(errors="backslashreplace")
