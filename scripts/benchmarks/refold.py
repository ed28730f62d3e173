"""A journal of many records, and how much CPU it takes to fold them into a view that is not there.

A program of its own, so that its memory ends with it, and so that another checkout can be measured with it:
`python refold.py make DIRECTORY MIX COUNT` writes a journal, `python refold.py fold DIRECTORY` folds it and prints one
line of JSON.
"""

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from journal import Entry, Record, SqliteBackend
from journal.record import Head, link
from journal.writer import Committer
from s3d.commands.machine import StateMachine
from s3d.events import CONFIRMED, OUTCOME_STREAM, Confirmation, Confirmed, Mutation, encode
from s3d.values import stream_of
from s3d.view.view import View

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.signing import BUCKET, key_of  # a program of its own has to find its siblings

BATCH = 1000
KEYS = 10_000  # that a site writes over and over
CONFIRMED_AT_ONCE = 100
LAG = {"fold-over": 1_000, "fold-late": 50_000}  # so many objects later the remote has one; of other mixes: never
BODY = b"x" * 128
_DIGEST, _ETAG = hashlib.sha256(BODY).digest(), hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def make(directory: str, mix: str, count: int) -> None:
    """Write a journal with a bucket and `count` objects; mixes are the rows of folding.py."""
    os.makedirs(directory, exist_ok=True)
    backend = SqliteBackend(f"{directory}/journal", ballast_bytes=0, synchronous="OFF")
    head, now_ms, found = backend.open(), time.time_ns() // 1_000_000, _entries(mix, count)
    while entries := list(islice(found, BATCH)):
        records: list[Record] = []
        for entry in entries:
            record = link(head.hash, head.sequence + 1, now_ms, entry)
            head = Head(record.sequence, record.hash)
            records.append(record)
        bodies = {record.sequence: entry.body for record, entry in zip(records, entries, strict=True) if entry.body}
        backend.append(records, bodies, {})
        now_ms += BATCH // 10
    backend.close()


def fold(directory: str) -> dict[str, float]:
    """Records, the seconds of CPU that it took to fold them, and the most memory that this process ever held, in MB."""
    path = f"{directory}/view.db"
    for suffix in ("", "-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    view = View(path, token="bench", trusted=None)
    backend = SqliteBackend(f"{directory}/journal", ballast_bytes=0)
    committer = Committer(backend, StateMachine(view, has_remote=True), lambda: 0)
    committer.head = backend.open()
    began = time.process_time()
    committer.catch_up()
    seconds = time.process_time() - began
    assert view.position == committer.head.sequence, "all of them"
    backend.close()
    view.close(sync=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"records": committer.head.sequence, "cpu_seconds": seconds, "peak_mb": peak}


def _entries(mix: str, count: int) -> Iterator[Entry]:
    yield Entry(BUCKET, "CreateBucket", encode(Mutation()))
    yield _confirmed([1])
    chance = Random(count)
    sequence, last, waiting = 2, dict[str, int](), list[int]()
    for number in range(count):
        key = key_of(chance.randrange(KEYS) if mix == "fold-over" else number)
        sequence += 1
        yield _put(number, key, last.get(key, 0))
        last[key] = sequence
        waiting.append(sequence)
        if mix in LAG and len(waiting) >= LAG[mix] + CONFIRMED_AT_ONCE:
            yield _confirmed(waiting[:CONFIRMED_AT_ONCE])
            sequence += 1
            del waiting[:CONFIRMED_AT_ONCE]


def _put(number: int, key: str, replaces: int) -> Entry:
    mutation = Mutation(
        input={"ContentType": "application/json", "Metadata": {"site": "roof"}},
        caller="AKIDEXAMPLE",
        source="127.0.0.1",
        request=f"{number:016X}",
        size=len(BODY),
        etag=_ETAG,
        checksums={"ChecksumCRC64NVME": "AAAAAAAAAAA="},
        replaces=replaces,
        replaces_etag=_ETAG if replaces else "",
    )
    return Entry(stream_of(BUCKET, key), "PutObject", encode(mutation), BODY, _DIGEST, len(BODY))


def _confirmed(sequences: list[int]) -> Entry:
    told = Confirmed(confirmations=tuple(Confirmation(one, etag=_ETAG) for one in sequences))
    return Entry(OUTCOME_STREAM, CONFIRMED, encode(told))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        print(json.dumps(fold(sys.argv[2])))
