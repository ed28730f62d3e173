"""A remote that can be exchanged for one with other credentials while calls are under way.

A call ends where it began: with the credentials that it was signed with. The old remote is closed when the last of its
calls has ended; a body that somebody is still reading counts as one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from s3d.remote.seam import Content, Flow, Remote, RemoteStream


class _Used:
    """A remote, and how many calls it has under way."""

    __slots__ = ("calls", "remote", "retired")

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.calls = 0
        self.retired = False


class ReplaceableRemote:
    """Implements `Remote` over whichever one is current."""

    def __init__(self, remote: Remote) -> None:
        self._used = _Used(remote)
        self._old: set[_Used] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def replace(self, remote: Remote) -> None:
        """Every call from now on goes to this one."""
        old, self._used = self._used, _Used(remote)
        old.retired = True
        self._old.add(old)
        self._close_idle(old)

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`."""
        used = self._used
        used.calls += 1
        try:
            return await used.remote.call(operation, parameters, content, flow)
        finally:
            self._ended(used)

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `Remote.open`."""
        used = self._used
        used.calls += 1
        try:
            return _Stream(await used.remote.open(operation, parameters), partial(self._ended, used))
        except BaseException:
            self._ended(used)
            raise

    async def close(self) -> None:
        """Let go of all of them, whatever is under way."""
        left = [self._used, *self._old]
        self._old.clear()
        for used in left:
            await used.remote.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _ended(self, used: _Used) -> None:
        used.calls -= 1
        if used.retired:
            self._close_idle(used)

    def _close_idle(self, used: _Used) -> None:
        if used.calls or used not in self._old:
            return
        self._old.discard(used)
        task = asyncio.create_task(used.remote.close(), name="remote-retired")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Stream:
    """Implements `RemoteStream`; its remote has a call under way until it is closed."""

    def __init__(self, stream: RemoteStream, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended: Callable[[], None] | None = ended
        self.output = stream.output

    def chunks(self) -> AsyncIterator[bytes]:
        """See `RemoteStream.chunks`."""
        return self._stream.chunks()

    async def close(self) -> None:
        """See `RemoteStream.close`."""
        try:
            await self._stream.close()
        finally:
            ended, self._ended = self._ended, None
            if ended is not None:
                ended()
