"""Tasks that run as long as their owner does, and what becomes of a bug in one."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator

from journal import CommitAmbiguous, JournalClosed

_log = logging.getLogger(__name__)


class Tasks:
    """`crashed` is told of a bug that ended one."""

    def __init__(self, crashed: Callable[[BaseException], None] | None) -> None:
        self._crashed = crashed
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        """Those that run now."""
        return iter(tuple(self._tasks))

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Begin one."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Cut off all of them."""
        tasks = tuple(self)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, (JournalClosed, CommitAmbiguous)):
            _log.warning("%s ended with the journal: %s", task.get_name(), error)
            return  # whoever opened the journal is told by the journal itself
        _log.error("%s ended by a bug", task.get_name(), exc_info=error)
        if self._crashed is not None:
            self._crashed(error)
