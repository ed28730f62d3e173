"""A data directory that has everything in it, and a bundle of its records: made once, damaged many times."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blackout.ledger import Known
from blackout.life import Life, Start
from blackout.recording import RecordedVfs
from blackout.script import ageing, offline, online
from crash.storage import Storage

from journal import Identity, JournalError, Record, SqliteBackend
from journal.behind import verify_older
from journal.disk import RealDisk
from journal.files import BaseInfo
from s3d.blobs.files import BlobDamaged, BlobFiles
from s3d.bundle.errors import BundleError
from s3d.bundle.items import BundledRecord
from s3d.bundle.keys import OwnKey
from s3d.bundle.reader import BundleReader
from s3d.bundle.writer import BundleWriter

SITE, HEADQUARTERS = OwnKey(b"s" * 32), OwnKey(b"h" * 32)
BUNDLE = "bundle.s3d"
LOCK = "lock"


class Noticed(Exception):
    """Something is said not to be sound: when, and as what."""


@dataclass(frozen=True)
class Journaled:
    """What is told from the files of a journal, and bound to its chain or its mark.

    How far a follower has come is not (C8 in docs/failures.md): who has come less far than it was repeats.
    """

    records: tuple[Record, ...]
    bodies: Mapping[int, bytes | None]
    identity: Identity
    files: tuple[tuple[object, ...], ...]
    base: BaseInfo | None


async def _lived(life: Life) -> None:
    await online(life)
    await offline(life)
    await ageing(life)
    life.remote.down = True
    for number in range(60):
        await life.put(f"waiting{number}", life.random.randbytes(10 + 6 * number))


def make(place: Path, seed: int) -> Path:
    """A directory in which a daemon was killed: a base, sealed and closed files, a log, bodies in rows and in files."""
    with RecordedVfs() as vfs:
        life = Life(vfs, place / "site", Start(Storage(), Known(), {}, seed))
        life.run(_lived)
    shutil.move(place / "site" / "data" / "journal", place / "killed")
    shutil.copytree(place / "killed", place / "stopped")
    backend = SqliteBackend(str(place / "stopped"), ballast_bytes=0, rest=lambda: None)
    backend.open()  # puts the log into its database: then no page is in two places
    backend.close()
    _bundle(place / "killed", place)
    return place


def _bundle(journal: Path, place: Path) -> None:
    """Carry away the last records."""
    shutil.copytree(journal, place / "read")
    journaled = read_journal(place / "read")
    writer = BundleWriter(str(place / BUNDLE), HEADQUARTERS.public, SITE, b"b" * 16, 1_000, None)
    records = journaled.records[-40:]
    previous = journaled.records[-41].hash
    for record in records:
        body = journaled.bodies[record.sequence] or b""
        writer.add(BundledRecord(record, previous, len(body)))
        if body:
            writer.write(body)
            writer.end_body()
        previous = record.hash
    writer.finish("0" * 32, 1, ())


def read_journal(directory: Path) -> Journaled:
    """Read everything as a daemon does. Raises Noticed."""
    backend = SqliteBackend(str(directory), ballast_bytes=0, rest=lambda: None)
    try:
        backend.open()
    except JournalError as error:
        raise Noticed(f"refused at the start ({type(error).__name__})") from error
    try:
        return _read(backend)
    except JournalError as error:
        raise Noticed(f"noticed behind, or when it was read ({type(error).__name__})") from error
    finally:
        backend.close()


def _read(backend: SqliteBackend) -> Journaled:
    for _ in verify_older(backend):
        pass
    base = backend.base()
    if base is not None:
        backend.base_path()
    records = tuple(backend.read(backend.origin().sequence, 1_000_000))
    files = tuple((file.number, file.state, file.first, file.last) for file in backend.files())
    bodies = {record.sequence: backend.body(record.sequence) for record in records}
    return Journaled(records, bodies, backend.identity, files, base)


def read_blob(directory: Path, blob: str) -> bytes:
    """As whoever serves or sends it. Raises Noticed."""
    files = BlobFiles(RealDisk(), str(directory))
    try:
        files.check(blob)
        return files.read_whole(blob)
    except BlobDamaged as error:
        raise Noticed("said to be damaged before a byte of it is used") from error


def read_bundle(path: Path) -> tuple[tuple[BundledRecord, ...], tuple[bytes, ...]]:
    """As headquarters does. Raises Noticed."""
    try:
        reader = BundleReader(str(path), HEADQUARTERS)
        try:
            reader.verify([SITE.public], lambda _: None)
            records = tuple(reader.records())
            return records, tuple(reader.read_body(one.record.sequence, one.body_bytes, 0) for one in records)
        finally:
            reader.close()
    except BundleError as error:
        raise Noticed(f"refused before anything of it is used ({type(error).__name__})") from error
