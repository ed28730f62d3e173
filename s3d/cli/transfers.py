"""Bytes of an object on their way into a file: it appears whole, and is what it was said to be."""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from s3d.errors import S3dError

Advance = Callable[[int], None]


class Arriving:
    """Takes an object's pieces; `finish` raises S3dError where they are not all, or others than the ETag says."""

    def __init__(self, target: BinaryIO, size: int, etag: str, advance: Advance) -> None:
        self._target = target
        self._left = size
        self._etag = etag.strip('"')
        self._advance = advance
        self._digest = hashlib.md5(usedforsecurity=False)

    def write(self, piece: bytes) -> None:
        """The next piece."""
        self._target.write(piece)
        self._digest.update(piece)
        self._left -= len(piece)
        self._advance(len(piece))

    def finish(self) -> None:
        """That was all."""
        is_md5 = "-" not in self._etag and len(self._etag) == 32
        if self._left or (is_md5 and self._etag != self._digest.hexdigest()):
            raise S3dError("the object arrived incomplete or damaged", hint="try again; nothing was kept")


@contextlib.contextmanager
def target_file(file: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears whole; what is no ordinary file (a pipe, /dev/null) is written to."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.exists(file) and not os.path.isfile(file):
        with open(file, "wb") as target:
            yield target
        return
    directory, name = os.path.split(os.path.abspath(file))
    descriptor, beside = tempfile.mkstemp(prefix=f".{name[:100]}.", dir=directory)
    try:
        with open(descriptor, "wb") as target:
            yield target
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, file)
    except BaseException:
        os.unlink(beside)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def progress(name: str, size: int | None, *, quiet: bool) -> Iterator[Advance]:
    """Bytes, rate and time left on a terminal, nothing elsewhere or where the terminal shows the object itself."""
    if not sys.stderr.isatty() or (quiet and sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from s3d.cli.showing import printable

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(name), total=size)
        yield lambda count: bar.advance(task, count)
