"""The threads that hash, write and read large bodies, and the pins that keep a blob alive while somebody needs it.

The pool is ours alone: the loop's default executor is shared with name resolution, and six slow fsyncs would stall it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from s3d.blobs.files import BlobFiles, BlobWriter
from s3d.blobs.hold import Hold
from s3d.values import BlobBytes, Extents

P = ParamSpec("P")
T = TypeVar("T")


class BlobPool:
    """Blob work off the event loop. `pin` and `release` are called on the loop only.

    `hold`: who copies the data directory beside the daemon, if anybody can.
    """

    def __init__(self, files: BlobFiles, threads: int, hold: Hold | None = None) -> None:
        self.files = files
        self._hold = hold
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="body")
        self._pins: Counter[str] = Counter()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call on one of the threads."""
        return await self.start(function, *args, **kwargs)

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin a call on one of the threads; whoever does waits for its end, whatever happens."""
        assert not kwargs, "positional arguments only"
        return asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    async def create(self) -> BlobWriter:
        """Begin a blob that is pinned from the first moment; whoever creates it calls `release` when a record names it.

        Raises OSError.
        """
        writer = self.files.begin()
        self.pin(writer.id)
        making = asyncio.ensure_future(self.run(writer.create))
        try:
            await asyncio.shield(making)
        except BaseException:
            await asyncio.wait([making])  # a thread cannot be cancelled: it may have made the file by now
            await self.run(writer.abort)
            self.release(writer.id)
            raise
        return writer

    def pin(self, blob: str) -> None:
        """Keep a blob that no published record names (yet, or any more)."""
        self._pins[blob] += 1

    def release(self, blob: str) -> None:
        """Undo one `pin`."""
        self._pins[blob] -= 1
        if self._pins[blob] <= 0:
            del self._pins[blob]

    def remove_unused(self, blob: str, in_use: Callable[[str], bool]) -> None:
        """Remove a blob now that was let go of; one that somebody still reads is collected later. Raises OSError."""
        if not self.is_pinned(blob) and not in_use(blob):
            self.files.remove(blob)

    def is_pinned(self, blob: str) -> bool:
        """Whether somebody is writing, sending or copying the blob."""
        return blob in self._pins or self.is_held

    @property
    def is_held(self) -> bool:
        """Whether nothing is to be removed for now: what is let go of is collected later."""
        return self._hold is not None and self._hold.is_on

    def end_hold(self) -> None:
        """The room is needed: whoever holds anything holds it no longer."""
        if self._hold is not None:
            self._hold.give_up()

    @contextlib.contextmanager
    def pinned(self, extents: Extents) -> Iterator[None]:
        """Pin all blobs of an object while its bytes are in use."""
        blobs = [extent.blob for extent in extents if isinstance(extent, BlobBytes)]
        for blob in blobs:
            self.pin(blob)
        try:
            yield
        finally:
            for blob in blobs:
                self.release(blob)

    def close(self) -> None:
        """Wait for what is running, then end the threads."""
        self._executor.shutdown(wait=True)
