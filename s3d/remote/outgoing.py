"""A body on its way out: pieces of memory and of files, read off the loop, with flat memory.

A body can be iterated more than once, each time from its beginning, and says after each portion that it has moved on,
so that a stalled upload can be told from a slow one. What is held back by a flow of our own is neither.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, FileSlice, Flow, OpenFile, ReadableFile

READ_BYTES = 1024 * 1024
PORTION_BYTES = 64 * 1024  # at 64 kbit/s a portion takes 8 s: well under any sensible stall timeout


class OutgoingBody:
    """What is given to aiobotocore as `Body`. `failure` is set when the bytes could not be read here.

    `progress` is called after each portion, `held` before one waits for the flow; `open_file` opens what a piece names.
    """

    def __init__(
        self,
        content: Content,
        executor: Executor,
        progress: Callable[[], None],
        flow: Flow | None = None,
        held: Callable[[], None] = lambda: None,
        *,
        open_file: OpenFile,
    ) -> None:
        self.content = content
        self.failure: RemoteFailure | None = None
        self._executor = executor
        self._progress = progress
        self._flow = flow
        self._holding = flow is not None and flow.portion_bytes > 0
        self._held = held
        self._portion_bytes = min(PORTION_BYTES, flow.portion_bytes) if flow and self._holding else PORTION_BYTES
        self._sent = 0
        self._open_file = open_file

    @property
    def in_memory(self) -> bool:
        """Whether no file has to be read."""
        return not any(isinstance(piece, FileSlice) for piece in self.content.pieces)

    def joined(self) -> bytes:
        """All of it, when it is in memory."""
        assert self.in_memory, "a body in files is iterated"
        return b"".join(piece for piece in self.content.pieces if isinstance(piece, bytes))

    def read(self, size: int = -1) -> bytes:
        """Exists because botocore's validation asks for it; nobody may block the loop with it."""
        raise TypeError("this body is iterated asynchronously")

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        self._sent = 0
        for piece in self.content.pieces:
            if isinstance(piece, FileSlice):
                async for chunk in self._file_chunks(piece):
                    for portion in _portions(chunk, self._portion_bytes):
                        await self._pass(portion)
                        yield portion
                        self._moved(portion)
                continue
            for portion in _portions(piece, self._portion_bytes):
                await self._pass(portion)
                yield portion
                self._moved(portion)

    def _moved(self, portion: memoryview) -> None:
        self._progress()
        self._sent += len(portion)
        if self._flow is not None:
            self._flow.sent(self._sent)

    async def _pass(self, portion: memoryview) -> None:
        """Wait until it may go: that is our own doing, and no sign of a stalled upload."""
        if self._flow is not None and self._holding:
            self._held()
            await self._flow.take(len(portion))
            self._progress()

    async def _file_chunks(self, piece: FileSlice) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(self._executor, self._open_file, piece.path)
            try:
                offset, left = piece.offset, piece.length
                while left:
                    size = min(left, READ_BYTES)
                    chunk = await loop.run_in_executor(self._executor, file.pread, size, offset)
                    if not chunk:
                        raise OSError(f"{piece.path} ends at {offset}, {left} bytes early")
                    yield chunk
                    offset += len(chunk)
                    left -= len(chunk)
            finally:
                file.close()
        except OSError as error:
            # Not the remote's fault: another attempt reads the same disk. A person is needed (failure case I4).
            self.failure = RemoteFailure(FailureKind.PERMANENT, code="LocalBodyUnreadable", message=str(error))
            raise


def _portions(data: bytes, size: int) -> list[memoryview]:
    view = memoryview(data)
    return [view[start : start + size] for start in range(0, len(view), size)]


class _PlainFile:
    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        os.close(self._descriptor)


def open_plainly(path: str) -> ReadableFile:
    """A file of the operating system's."""
    return _PlainFile(path)
