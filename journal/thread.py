"""The thread that feeds the committer: it is alive and committing, or it says that it has failed. Never in between."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from journal.backend import Backend
from journal.errors import CommitAmbiguous, JournalClosed, JournalError
from journal.record import Head
from journal.writer import Appended, Committer, Outcome, Submission

BATCH_COMMANDS_MAX = 256
WAIT_SECONDS = 0.05  # after a batch: soon enough for the mark's sync
WAIT_IDLE_SECONDS = 1.0  # when nothing is going on there is only the ballast to look after
_log = logging.getLogger(__name__)

Deliver = Callable[[list[Outcome], Head], None]


class Errand(msgspec.Struct, gc=False):
    """Something that only this thread may do, between two batches; its answer goes out as a command's would."""

    function: Callable[[], None]
    token: Any


class WriterThread(threading.Thread):
    """Feeds a Committer from a queue and hands back each batch's outcomes at once.

    `deliver` and `failed` are called on this thread, `failed` once at most; every later command is refused. The thread
    goes on refusing until it is stopped, so that nobody waits for an answer that nobody will give.
    """

    def __init__(
        self,
        committer: Committer,
        backend: Backend,
        deliver: Deliver,
        failed: Callable[[CommitAmbiguous], None],
        observe: Callable[[int, int], None] | None = None,
        waited: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(name="journal-writer", daemon=True)
        self._committer = committer
        self._backend = backend
        self._deliver = deliver
        self._failed = failed
        self._observe = observe
        self._waited = waited
        self._oldest = 0.0  # when the first commands of this batch were handed over
        self._queue: queue.SimpleQueue[tuple[float, Sequence[Submission] | Errand | None]] = queue.SimpleQueue()
        self._errands: list[Errand] = []
        self._stopping = False
        self._told = False

    def put(self, submissions: Sequence[Submission] | Errand) -> None:
        """Hand over commands or an errand, from any thread."""
        self._queue.put((time.perf_counter(), submissions))

    def stop(self) -> None:
        """Finish what is queued, then end; wait with `join`."""
        self._queue.put((time.perf_counter(), None))

    def run(self) -> None:
        wait_seconds = WAIT_SECONDS
        while not self._stopping:
            submissions = self._next_batch(wait_seconds)
            for first in range(0, len(submissions), BATCH_COMMANDS_MAX):
                self._run_batch(submissions[first : first + BATCH_COMMANDS_MAX])
            while self._errands:
                self._run_errand(self._errands.pop(0))
            if not submissions:
                self._committer.mend()
            self._settle(idle=not submissions)
            wait_seconds = WAIT_SECONDS if submissions else WAIT_IDLE_SECONDS
        self._settle(idle=True)

    def _next_batch(self, wait_seconds: float) -> list[Submission]:
        """Wait for commands, then take all that have gathered, up to about a batch."""
        try:
            self._oldest, taken = self._queue.get(timeout=wait_seconds)
        except queue.Empty:
            return []
        batch: list[Submission] = []
        while True:
            if taken is None:
                self._stopping = True
                return batch
            if isinstance(taken, Errand):
                self._errands.append(taken)
                return batch
            batch.extend(taken)
            if len(batch) >= BATCH_COMMANDS_MAX:
                return batch
            try:
                _, taken = self._queue.get_nowait()
            except queue.Empty:
                return batch

    def _run_batch(self, submissions: Sequence[Submission]) -> None:
        try:
            outcomes = self._committer.run(submissions)
        except BaseException as error:  # noqa: BLE001 - a bug of ours: say so, and stop being a journal
            outcomes = [(submission.token, self._crashed(error)) for submission in submissions]
        try:
            self._deliver(outcomes, self._committer.head)
            if self._waited is not None and submissions:
                self._waited(time.perf_counter() - self._oldest)
            if self._observe is not None:
                self._observe(len(submissions), self._committer.head.sequence)
        except BaseException as error:  # noqa: BLE001 - somebody may be waiting for ever now
            self._crashed(error)
        self._tell()

    def _run_errand(self, errand: Errand) -> None:
        outcome: Appended | BaseException = Appended((), None)
        try:
            if self._committer.failure is not None:
                raise JournalClosed("the journal has stopped after a failed COMMIT")
            errand.function()
        except CommitAmbiguous as error:
            self._committer.failure = outcome = error
        except JournalError as error:
            outcome = error
        except BaseException as error:  # noqa: BLE001 - a bug of ours: say so, and stop being a journal
            outcome = self._crashed(error)
        self._deliver([(errand.token, outcome)], self._committer.head)
        self._tell()

    def _settle(self, *, idle: bool) -> None:
        if self._committer.failure is not None:
            return
        try:
            self._backend.settle(idle=idle)
        except CommitAmbiguous as error:
            self._committer.failure = error
        except BaseException as error:  # noqa: BLE001 - a bug of ours: say so, and stop being a journal
            self._crashed(error)
        self._tell()

    def _crashed(self, error: BaseException) -> CommitAmbiguous:
        if self._committer.failure is None:
            _log.error("the writer thread has failed", exc_info=error)
            failure = CommitAmbiguous(f"the writer thread has failed: {error!r}", hint="the daemon ends; report this")
            failure.__cause__ = error
            self._committer.failure = failure
        return self._committer.failure

    def _tell(self) -> None:
        if self._committer.failure is not None and not self._told:
            self._told = True
            self._failed(self._committer.failure)
