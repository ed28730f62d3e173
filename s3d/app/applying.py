"""Headquarters: replay a verified bundle to the remote as the site's own daemon would, and say what became of it.

The site's records are folded into a view, and outcomes go into a journal that is the continuation of the site's: so the
very replicator of the daemon can do the work, with its order, its patience and its way of looking before it repeats.
Both lie in a directory of this bundle's. A kill at any time is safe: what is known is durable, the rest is looked for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random

import msgspec

from journal import Head, Identity, Journal, Record, SqliteBackend
from journal.disk import Disk
from s3d.app.probing import ways_of
from s3d.app.replication import DEFAULT_REGION, client_settings
from s3d.app.until_done import Advance, until_done
from s3d.bundle.errors import BundleError
from s3d.bundle.items import Manifest
from s3d.bundle.reader import BundleReader
from s3d.bundle.receipts import RecordReceipt
from s3d.bundle.unpacking import INCOMPLETE_CODE, unpacked
from s3d.clock import Clock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ResumeRecords
from s3d.config.remotes import RemoteSettings
from s3d.events import CONFIRMED, decode_confirmed
from s3d.policy.bucket_map import BucketMap, MappedBucket
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.mapped import MappedRemote
from s3d.remote.seam import ReadableFile, Remote
from s3d.replicator.link import Link
from s3d.replicator.replicator import Replicator
from s3d.replicator.settings import ReplicatorSettings
from s3d.view.questions import Questions
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

FOLD_RECORDS = 1000
MESSAGE_CHARACTERS_MAX = 300
_PAGE = 1000


class Applied(msgspec.Struct, frozen=True):
    """What became of a bundle. `left` are records without a receipt: not sent yet, or behind one that was refused.

    `link_error` says why it ended early; empty: there was nothing more to do.
    """

    receipts: tuple[RecordReceipt, ...]
    confirmed: int
    refused: int
    left: int
    link_error: str = ""


async def apply_bundle(
    reader: BundleReader,
    manifest: Manifest,
    directory: str,
    settings: RemoteSettings,
    buckets: tuple[MappedBucket, ...],
    disk: Disk,
    clock: Clock,
    *,
    retry: bool,
    patience_seconds: float,
    advance: Advance,
) -> Applied:
    """Replay it. `directory` is this bundle's own; `buckets` beats the map that the bundle brings along.

    `retry`: what was refused before is tried again. `patience_seconds`: how long the remote may be out of reach before
    this ends, to be called again. `advance` is told of records that are done. Raises S3dError or JournalError.
    """
    async with _opened(reader, manifest, directory, disk, clock) as (journal, view):
        questions = Questions(view.reader())
        if retry:
            await journal.submit(ResumeRecords(None, "apply"), essential=True)
        found = buckets or manifest.buckets
        region = settings.region or DEFAULT_REGION
        client = AiobotocoreRemote(client_settings(settings, region), _opener(reader))
        remote: Remote = MappedRemote(client, BucketMap(found)) if found else client
        link = Link(remote, clock, Random())
        crashes: list[BaseException] = []
        replicator = Replicator(
            journal,
            questions,
            _no_rows,
            str,
            remote,
            link,
            clock,
            Random(),
            ReplicatorSettings(
                lanes_max=settings.lanes_max,
                ways=ways_of(settings, ()),
                identity_token=settings.identity_token,
                epochs=manifest.epochs,
                region=region,
            ),
            crashed=crashes.append,
        )
        await replicator.taken_out(manifest.last)
        link.start()
        replicator.start()
        try:
            error = await until_done(
                replicator, link, lambda: questions.pending_totals().count, clock, crashes, patience_seconds, advance
            )
        finally:
            await replicator.stop()
            await link.stop()
            await remote.close()
        return _applied(journal, questions, reader, manifest.last, error)


def _applied(journal: Journal, questions: Questions, reader: BundleReader, last: int, error: str) -> Applied:
    receipts: dict[int, RecordReceipt] = {}
    for record in _records(journal, last):
        if record.kind == CONFIRMED:
            for one in decode_confirmed(record.payload).confirmations:
                receipts[one.sequence] = RecordReceipt(
                    one.sequence,
                    reader.hash_of(one.sequence),
                    record.written_at,
                    one.etag,
                    one.version_id,
                    one.existed,
                    one.upload_id,
                )
    confirmed = len(receipts)
    left = questions.pending_totals().count
    for row in questions.parked(left):
        if row.code != INCOMPLETE_CODE:
            message, hash_ = row.message[:MESSAGE_CHARACTERS_MAX], reader.hash_of(row.sequence)
            receipts[row.sequence] = RecordReceipt(row.sequence, hash_, refused=True, code=row.code, message=message)
    refused = len(receipts) - confirmed
    in_order = tuple(receipts[sequence] for sequence in sorted(receipts))
    return Applied(in_order, confirmed, refused, left - refused, error)


def _records(journal: Journal, after: int) -> Iterator[Record]:
    while page := journal.read(after, _PAGE):
        yield from page
        after = page[-1].sequence


@contextlib.asynccontextmanager
async def _opened(
    reader: BundleReader, manifest: Manifest, directory: str, disk: Disk, clock: Clock
) -> AsyncIterator[tuple[Journal, View]]:
    """The journal that continues the site's, and the view of what is still to be done."""
    disk.make_directory(directory)
    lock = disk.lock(f"{directory}/lock")
    if lock is None:
        raise BundleError(f"this bundle is being applied already, in {directory}")
    try:
        _check_owner(disk, directory, manifest.bundle)
        trust = ViewTrust(disk, directory, *this_boot(directory))
        trusted, token = trust.begin()
        view = View(f"{directory}/view.db", token=token, trusted=trusted)
        identity, head = Identity(manifest.instance, manifest.epoch), Head(manifest.last, reader.hash_of(manifest.last))
        await asyncio.to_thread(_fill, view, identity, reader, manifest.last)
        backend = SqliteBackend(f"{directory}/journal", disk=disk, ballast_bytes=0, continues=(identity, head))
        machine = StateMachine(view, has_remote=True, origin=backend)
        journal = await Journal.open(backend, machine, now_ms=lambda: milliseconds(clock.now()))
        try:
            yield journal, view
        finally:
            await journal.close()
            view.close(sync=False)
    finally:
        lock.close()


def _fill(view: View, identity: Identity, reader: BundleReader, last: int) -> None:
    """Fold what the bundle has, unless that was done before."""
    view.bind(identity.instance, identity.epoch)
    if view.position >= last:
        return
    view.discard()
    view.bind(identity.instance, identity.epoch)
    view.begin()
    for number, record in enumerate(unpacked(reader.records(), last), start=1):
        view.fold(record)
        if number % FOLD_RECORDS == 0 and record.sequence < last:
            view.publish()
            view.begin()
    view.publish()


def _check_owner(disk: Disk, directory: str, bundle: str) -> None:
    """Whose the directory is: one of another bundle must not be mistaken for this one's."""
    path = f"{directory}/bundle"
    if disk.exists(path):
        file = disk.open(path)
        try:
            found = file.pread(64, 0).decode(errors="replace")
        finally:
            file.close()
        if found != bundle:
            raise BundleError(f"{directory} belongs to another bundle", hint="choose another with --state")
        return
    if disk.exists(f"{path}.new"):
        disk.unlink(f"{path}.new")
    file = disk.create(f"{path}.new")
    try:
        file.pwrite(bundle.encode(), 0)
        file.sync()
    finally:
        file.close()
    disk.rename(f"{path}.new", path)
    disk.sync_directory(directory)


class _BodyFile:
    """One record's bytes; its path is its number."""

    def __init__(self, reader: BundleReader, path: str) -> None:
        self._reader = reader
        self._sequence = int(path)

    def pread(self, size: int, offset: int) -> bytes:
        try:
            return self._reader.read_body(self._sequence, size, offset)
        except BundleError as error:
            raise OSError(error.message) from error

    def close(self) -> None:
        pass


def _opener(reader: BundleReader) -> Callable[[str], ReadableFile]:
    return lambda path: _BodyFile(reader, path)


async def _no_rows(sequence: int) -> bytes | None:
    """In a bundle no body is in a row."""
    return None
