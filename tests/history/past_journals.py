"""Lives of an edge, drawn from a seed, and their journals: as trails, and as files on a disk."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from edge_state import ORIGIN, Edge, confirm, create, delete, delete_bucket, park, put, resume

from journal import BaseInfo, FileInfo, Record, SqliteBackend
from journal.disk import RealDisk
from journal.record import Head, genesis
from s3d.commands.outcomes import DiscardRecords
from s3d.commands.superseding import SupersedeRecords
from s3d.errors import S3Error
from s3d.view.snapshot import take_snapshot

BUCKETS, KEYS = ("one", "two"), ("a", "a/1", "a/2", "b")


class EdgeTrail:
    """Implements `audit.trail.Trail` over what an edge has written."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.instance, self.epoch = edge.backend.identity.instance, edge.backend.identity.epoch

    @property
    def head(self) -> int:
        return self._edge.backend.open().sequence

    @property
    def files(self) -> Sequence[FileInfo]:
        return self._edge.backend.files()

    def records(self, after: int) -> Iterator[Record]:
        yield from self._edge.backend.read(after, 10**9)

    def record(self, sequence: int) -> Record | None:
        found = self._edge.backend.pick([sequence])
        return found[0] if found else None


def live(edge: Edge, seed: int, steps: int) -> None:
    """So many things happen: writes and deletions of a few keys, and whatever can become of them."""
    chance = random.Random(seed)
    for bucket in BUCKETS:
        edge.do(create(bucket))
    for _ in range(steps):
        edge.now_ms += chance.randrange(3_600_000)
        try:
            _step(edge, chance)
        except S3Error:
            continue


def _step(edge: Edge, chance: random.Random) -> None:
    bucket, key = chance.choice(BUCKETS), chance.choice(KEYS)
    waiting = [row for row in edge.ask.pending_after(0, 1000) if not row.superseded_by]
    parked = [row.sequence for row in waiting if row.parked]
    what = chance.choice(
        ("put", "put", "put", "delete", "confirm", "confirm", "park", "resume", "drop", "supersede", "gone")
    )
    if what == "put":
        edge.do(put(bucket, key, chance.randbytes(chance.randrange(1, 9))))
    elif what == "delete":
        edge.do(delete(bucket, key))
    elif what == "confirm" and (sendable := [row.sequence for row in waiting if not row.parked]):
        edge.do(confirm(*sorted(chance.sample(sendable, min(3, len(sendable)))), etag="remote"))
    elif what == "park" and waiting:
        edge.do(park(chance.choice(waiting).sequence))
    elif what == "resume" and parked:
        edge.do(resume(chance.choice(parked)))
    elif what == "drop" and parked:
        _drop(edge, chance.choice(parked))
    elif what == "supersede":
        of_key = [row.sequence for row in waiting if (row.bucket, row.key) == (bucket, key) and not row.parked]
        if len(of_key) > 1:
            edge.do(SupersedeRecords(tuple(of_key[:-1]), of_key[-1]))
    elif what == "gone" and chance.random() < 0.1:
        edge.do(delete_bucket(bucket, ()))
        edge.do(create(bucket))


def _drop(edge: Edge, sequence: int) -> None:
    before = edge.ask.last_superseded_by(sequence)
    edge.do(DiscardRecords((sequence,), ORIGIN.caller, tuple(edge.backend.pick([before])) if before else ()))


def write_journal(edge: Edge, data_dir: Path, *, file_bytes_max: int = 64 * 1024 * 1024) -> None:
    """The journal of an edge as the daemon's files, with the bodies of its rows."""
    records = edge.backend.read(0, 10**9)
    origin = Head(0, genesis(edge.backend.identity.instance))
    backend = SqliteBackend(
        str(data_dir / "journal"),
        ballast_bytes=0,
        synchronous="OFF",
        file_bytes_max=file_bytes_max,
        continues=(edge.backend.identity, origin),
    )
    backend.open()
    try:
        for record in records:
            body = edge.backend.body(record.sequence)
            backend.append([record], {} if body is None else {record.sequence: body}, {})
            backend.settle(idle=True)
    finally:
        backend.close()


class PastTrail(EdgeTrail):
    """Implements `history.past.PastSource`; `rest` takes the first records away and leaves a base in their place."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge)
        self._base: BaseInfo | None = None
        self._base_path = ""
        self._kept_from = 1

    @property
    def files(self) -> Sequence[FileInfo]:
        (whole,) = self._edge.backend.files()
        return [msgspec.structs.replace(whole, first=self._kept_from)]

    def records(self, after: int) -> Iterator[Record]:
        yield from self._edge.backend.read(max(after, self._kept_from - 1), 10**9)

    def drop_before(self, sequence: int) -> None:
        """From now on nobody has the records before this one, which must not be later than the base."""
        self._kept_from = sequence

    def take_base(self, directory: Path) -> None:
        """What the edge is now, as upkeep snapshots it."""
        position, digest = take_snapshot(self._edge.view.reader(), RealDisk(), str(directory), "base.db")
        self._base = BaseInfo(position, self._edge.backend.pick([position])[0].hash, "base.db", digest)
        self._base_path = str(directory / "base.db")

    def base(self) -> BaseInfo | None:
        return self._base

    def copy_base(self, write: Callable[[bytes], object]) -> None:
        write(Path(self._base_path).read_bytes())
