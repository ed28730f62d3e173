"""Headquarters: replay a verified bundle to the remote as the site's own daemon would, and say what became of it.

The site's records are folded into a view, and outcomes go into a journal that is the continuation of the site's: so the
very replicator of the daemon can do the work, with its order, its patience and its way of looking before it repeats.
Both lie in a directory of this bundle's. A kill at any time is safe: what is known is durable, the rest is looked for.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from random import Random

import msgspec

from journal import Head, Identity, Journal, Record, SqliteBackend
from journal.disk import Disk, write_durably
from s3d.app.probing import ways_of
from s3d.app.replication import DEFAULT_REGION, client_settings
from s3d.app.until_done import Advance, Errand, Unfinished, telling_others, until_all_done
from s3d.bundle.errors import BundleError
from s3d.bundle.items import Manifest
from s3d.bundle.reader import BundleReader
from s3d.bundle.receipts import RecordReceipt
from s3d.bundle.unpacking import INCOMPLETE_CODE, unpacked
from s3d.clock import Clock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ResumeRecords
from s3d.config.remotes import RemoteSettings
from s3d.errors import ConfigurationError
from s3d.events import CONFIRMED, DEFAULT_REMOTE, decode_confirmed
from s3d.policy.bucket_map import BucketMap, KnownRemote, MappedBucket
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.mapped import MappedRemote
from s3d.remote.seam import ReadableFile, Remote
from s3d.replicator.link import Link
from s3d.replicator.replicator import Replicator
from s3d.replicator.settings import ReplicatorSettings
from s3d.values import BucketSet
from s3d.view.questions import Questions
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

FOLD_RECORDS = 1000
MESSAGE_CHARACTERS_MAX = 300
_PAGE = 1000


class Applied(msgspec.Struct, frozen=True):
    """What became of a bundle. `left` are records without a receipt: not sent yet, or behind one that was refused.

    `unfinished` says of each remote, by its name, why it ended early; there may be nothing more to do at any.
    `elsewhere` are the remotes that some of it is for and that nobody has named here, with how much is.
    """

    receipts: tuple[RecordReceipt, ...]
    confirmed: int
    refused: int
    left: int
    unfinished: dict[str, Unfinished] = {}
    elsewhere: dict[KnownRemote, int] = {}


async def apply_bundle(
    reader: BundleReader,
    manifest: Manifest,
    directory: str,
    remotes: Mapping[str, RemoteSettings],
    buckets: tuple[MappedBucket, ...],
    disk: Disk,
    clock: Clock,
    *,
    retry: bool,
    patience_seconds: float,
    advance: Advance,
) -> Applied:
    """Replay it. `directory` is this bundle's own; `buckets` beats the map that the bundle brings along. `remotes` are
    those that there are, by name (empty: `[remote]`). What is for others is left.

    `retry`: what was refused before is tried again. `patience_seconds`: how long a remote may be out of reach, or take
    nothing, before this ends, to be called again. `advance` is told of records that are done. Raises S3dError or
    JournalError.
    """
    places, elsewhere = _places(manifest, remotes, buckets)
    async with _opened(reader, manifest, directory, disk, clock) as (journal, view):
        questions = Questions(view.reader())
        if retry:
            await journal.submit(ResumeRecords(None, "apply"), essential=True)
        errands: dict[str, Errand] = {}
        async with contextlib.AsyncExitStack() as stack:
            for place in places:
                remote = place.connect(_opener(reader))
                stack.push_async_callback(remote.close)
                settled = telling_others(errands, place.name)
                errand = _errand(place, remote, journal, questions, manifest.epochs, clock, settled)
                errands[place.name] = errand
                await errand.replicator.taken_out(manifest.last)
            unfinished = await until_all_done(errands, clock, patience_seconds, advance)
        waiting = {remote: questions.pending_totals_among(own).count for remote, own in elsewhere.items()}
        return _applied(journal, questions, reader, manifest.last, unfinished, waiting)


class _Place(msgspec.Struct, frozen=True):
    """A remote that something of a bundle is for; `own` are the buckets that are there, None: all."""

    name: str
    settings: RemoteSettings
    buckets: BucketMap | None
    own: BucketSet | None

    def connect(self, open_file: Callable[[str], ReadableFile]) -> Remote:
        """Its client, which reads bodies from the bundle; to be closed."""
        region = self.settings.region or DEFAULT_REGION
        client = AiobotocoreRemote(client_settings(self.settings, region), open_file)
        return MappedRemote(client, self.buckets) if self.buckets is not None else client


def _places(
    manifest: Manifest, remotes: Mapping[str, RemoteSettings], buckets: tuple[MappedBucket, ...]
) -> tuple[list[_Place], dict[KnownRemote, BucketSet]]:
    """Where it goes, and what of it cannot go anywhere from here. Raises ConfigurationError when that is all of it."""
    if not manifest.remotes:
        found = tuple(one for one in buckets if not one.remote) or manifest.buckets
        if "" not in remotes:
            raise ConfigurationError("there is no remote to send to", hint="name it with --remote URL")
        return [_Place("", remotes[""], BucketMap(found) if found else None, None)], {}
    among = BucketMap(buckets or manifest.buckets)
    wanted = {"" if one.name == DEFAULT_REMOTE else one.name: one for one in manifest.remotes}
    places = [_Place(name, remotes[name], among.of(name), among.buckets_at(name)) for name in wanted if name in remotes]
    if not places:
        names, first = ", ".join(one.name for one in manifest.remotes), manifest.remotes[0]
        raise ConfigurationError(
            f"the bundle is for the remote {names}, and nothing is named so here",
            hint=f"name it with --remote {first.name}={first.endpoint}, or as [[other_remote]] in --config",
        )
    return places, {one: among.buckets_at(name) for name, one in wanted.items() if name not in remotes}


def _errand(
    place: _Place,
    remote: Remote,
    journal: Journal,
    questions: Questions,
    epochs: tuple[tuple[int, int], ...],
    clock: Clock,
    settled: Callable[[Iterable[int]], None],
) -> Errand:
    settings, own = place.settings, place.own
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
            epochs=epochs,
            region=settings.region or DEFAULT_REGION,
            remote=place.name,
            buckets=own,
        ),
        crashed=crashes.append,
        settled=settled,
    )
    totals = questions.pending_totals if own is None else partial(questions.pending_totals_among, own)
    return Errand(replicator, link, totals, crashes)


def _applied(
    journal: Journal,
    questions: Questions,
    reader: BundleReader,
    last: int,
    unfinished: dict[str, Unfinished],
    elsewhere: dict[KnownRemote, int],
) -> Applied:
    receipts: dict[int, RecordReceipt] = {}
    for record in _records(journal, last):
        if record.kind == CONFIRMED:
            confirmed_record = decode_confirmed(record.payload)
            for one in confirmed_record.confirmations:
                receipts[one.sequence] = RecordReceipt(
                    one.sequence,
                    reader.hash_of(one.sequence),
                    record.written_at,
                    one.etag,
                    one.version_id,
                    one.existed,
                    one.upload_id,
                    confirmed_record.remote,
                )
    confirmed = len(receipts)
    left = questions.pending_totals().count
    for row in questions.parked(left):
        if row.code != INCOMPLETE_CODE:
            message, hash_ = row.message[:MESSAGE_CHARACTERS_MAX], reader.hash_of(row.sequence)
            receipts[row.sequence] = RecordReceipt(row.sequence, hash_, refused=True, code=row.code, message=message)
    refused = len(receipts) - confirmed
    in_order = tuple(receipts[sequence] for sequence in sorted(receipts))
    some = {remote: count for remote, count in elsewhere.items() if count}
    return Applied(in_order, confirmed, refused, left - refused, unfinished, some)


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
    records = unpacked(reader.records(), last)
    while piece := list(itertools.islice(records, FOLD_RECORDS)):
        if piece[-1].sequence == last:
            piece += records  # what else is told at the end: a view that is there is whole
        view.begin()
        view.fold_all(piece)
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
    write_durably(disk, path, bundle.encode())


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
