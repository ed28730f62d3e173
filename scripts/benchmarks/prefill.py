"""A data directory with many objects in it, made by the journal and the view themselves: as the daemon would have
made it, and without its requests.

A program of its own, `python prefill.py DIRECTORY COUNT BODY_BYTES [grouped]`, so that its memory ends with it. The
daemon that starts on the directory finds what a clean stop of a daemon without a remote leaves behind: every record
pending.
"""

import sys
import time
from pathlib import Path

from msgspec.structs import replace

from journal import SqliteBackend
from journal.disk import RealDisk
from journal.writer import Committer, Submission
from s3d.checksums import digest_whole
from s3d.commands.buckets import CreateBucket
from s3d.commands.machine import StateMachine
from s3d.commands.objects import Origin, PutObject, ReceivedBody
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.signing import BUCKET, key_of  # a program of its own has to find its siblings

BATCH = 2000
GROUP = 1000  # numbers from which every tenth object is in one order group: all side by side, then a barrier
_ORIGIN = Origin("bench", "127.0.0.1", "0000000000000001", 0)


def fill(directory: str, count: int, body_bytes: int, *, grouped: bool = False) -> None:
    """Make the bucket and `count` objects `key_of(number)`, each of `body_bytes` times `x`."""
    origin_of = _grouped if grouped else lambda _: _ORIGIN
    disk = RealDisk()
    disk.make_directory(directory)
    trust = ViewTrust(disk, directory, *this_boot(directory))
    trusted, token = trust.begin()
    view = View(f"{directory}/view.db", token=token, trusted=trusted)
    backend = SqliteBackend(f"{directory}/journal", disk=disk)
    committer = Committer(
        backend, StateMachine(view, has_remote=False, origin=backend), lambda: time.time_ns() // 1_000_000
    )
    committer.open()
    _run(committer, [CreateBucket(BUCKET, {}, _ORIGIN, None)])
    body = _body(body_bytes)
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        _run(committer, [PutObject(BUCKET, key_of(number), {}, body, origin_of(number)) for number in numbers])
        backend.settle(idle=False)
    backend.close()
    if view.close(sync=True):
        trust.end_clean(token)


def _run(committer: Committer, commands: list[CreateBucket] | list[PutObject]) -> None:
    for _, outcome in committer.run([Submission(command, None) for command in commands]):
        if isinstance(outcome, BaseException):
            raise outcome


def _grouped(number: int) -> Origin:
    if number % 10:
        return _ORIGIN
    return replace(_ORIGIN, group=f"batch-{number // GROUP}", barrier=number % GROUP == GROUP - 10)


def _body(size_bytes: int) -> ReceivedBody:
    data = b"x" * size_bytes
    digests = digest_whole(data)
    named = {f"Checksum{name}": value for name, value in digests.checksums.items()}
    return ReceivedBody(size_bytes, digests.md5_hex, digests.sha256, named, data)


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), grouped="grouped" in sys.argv[4:])
