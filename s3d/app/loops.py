"""What goes on by itself for as long as the daemon runs. Part of the composition root."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Loops:
    """`crashed` is told of one that has ended by a bug, by its name, and with what.

    Without some of them the disk fills up, in weeks, and nobody would know why.
    """

    def __init__(self, crashed: Callable[[str, BaseException], None]) -> None:
        self._crashed = crashed
        self.tasks: list[asyncio.Task[None]] = []

    def go_on(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """A loop that ends with the daemon and not before; `name` is what a person is told it was."""
        task = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Cut all of them off."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(task.get_name(), error)
