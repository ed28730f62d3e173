"""Replay what a data directory holds to the remote, without its daemon and without touching it.

The journal is branched into a directory of the replay's own, and the replicator of the daemon works on the branch: its
order, its patience, its way of looking before it repeats, and outcomes in a journal. So a kill at any time is safe, and
calling it again goes on. Bodies are read where they are.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from random import Random

import msgspec
import structlog

from journal import Journal, Record, SqliteBackend
from journal.branch import held, make_branch
from journal.disk import Disk, ReadOnlyDisk, write_durably
from journal.inspection import inspect
from s3d.app.probing import ways_of
from s3d.app.replication import DEFAULT_REGION, client_settings
from s3d.app.until_done import Advance, Errand, Unfinished, telling_others, until_all_done
from s3d.blobs.checks import BlobChecks
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ResumeRecords
from s3d.commands.superseding import SupersedeRecords
from s3d.config.remotes import RemoteSettings
from s3d.errors import DataDirectoryError
from s3d.events import DEFAULT_REMOTE
from s3d.operations.bodies import BodyCache
from s3d.policy.bucket_map import BucketMap, KnownRemote, MappedBucket
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.mapped import MappedRemote
from s3d.remote.seam import Remote
from s3d.replay.fates import Fate, Outcomes, fates
from s3d.replay.overtaking import overtaking
from s3d.replay.selection import SelectedQuestions, Selection
from s3d.replicator.link import Link
from s3d.replicator.replicator import Replicator
from s3d.replicator.settings import ReplicatorSettings
from s3d.values import BlobBytes, Extents
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

BODY_THREADS = 4
FATES_PAGE = 1000
_log = structlog.get_logger("s3d")


class Source(msgspec.Struct, frozen=True):
    """Whose records are replayed, and up to where: what a branch was made of."""

    instance: str
    epoch: int
    head: int
    head_hash: bytes


class Branch(msgspec.Struct, frozen=True):
    """A branch that is open: its journal with everything that became of the records since, and what is asked of it.

    `among` asks about a part of what is selected.
    """

    source: Source
    journal: Journal
    questions: SelectedQuestions
    among: Callable[[Selection], SelectedQuestions]
    rows: RowBodies
    pool: BlobPool


@contextlib.asynccontextmanager
async def branched(
    data_dir: str, journal_dir: str, state: str, selection: Selection, disk: Disk, clock: Clock
) -> AsyncIterator[Branch]:
    """Branch the journal of a data directory, or go on with the branch that `state` has of it. Nobody else may write.

    Every record is verified before there is a branch. Raises S3dError or JournalError.
    """
    with held(journal_dir):
        os.makedirs(state, exist_ok=True)
        lock = disk.lock(f"{state}/lock")
        if lock is None:
            raise DataDirectoryError(f"another replay uses {state}", hint="wait for it, or choose another --state")
        try:
            source = await asyncio.to_thread(_prepare, journal_dir, state, disk)
            async with _opened(source, data_dir, state, selection, disk, clock) as branch:
                yield branch
        finally:
            lock.close()


class Destination(msgspec.Struct, frozen=True):
    """A remote to send to, what of the selection goes there, and where in it the buckets are (None: as they are).

    `name` is empty for `[remote]`.
    """

    name: str
    settings: RemoteSettings
    selection: Selection
    buckets: BucketMap | None

    def connect(self) -> Remote:
        """Its client; to be closed."""
        client = AiobotocoreRemote(client_settings(self.settings, self.settings.region or DEFAULT_REGION))
        return MappedRemote(client, self.buckets) if self.buckets is not None else client


class Route(msgspec.Struct, frozen=True):
    """Where it all goes; `missing` is what of the selection is for remotes that nobody has named here."""

    destinations: Sequence[Destination]
    missing: Mapping[KnownRemote, Selection]


def route(
    remotes: Mapping[str, RemoteSettings],
    selection: Selection,
    entries: Sequence[MappedBucket],
    known: Sequence[KnownRemote] = (),
) -> Route:
    """By remotes that there are, by name (empty: `[remote]`), and where each bucket is. `known` are the site's own."""
    if not remotes:
        return Route([], {})
    among = BucketMap(entries)
    mentioned = {"", *(one.remote for one in entries), *remotes}
    if mentioned == {""}:
        return Route([Destination("", remotes[""], selection, among if entries else None)], {})

    def part(name: str) -> Selection:
        return msgspec.structs.replace(selection, buckets=among.buckets_at(name))

    endpoints = {one.name: one.endpoint for one in known}
    names = {name: name or DEFAULT_REMOTE for name in sorted(mentioned - remotes.keys())}
    return Route(
        [Destination(name, settings, part(name), among.of(name)) for name, settings in remotes.items()],
        {KnownRemote(called, endpoints.get(called, "URL")): part(name) for name, called in names.items()},
    )


def entries_of(
    typed: Sequence[MappedBucket], configured: Sequence[MappedBucket], kept: Sequence[MappedBucket]
) -> list[MappedBucket]:
    """Where each bucket is: what was typed first, the rest as configured, or else as the site has kept it."""
    named = {entry.name for entry in typed}
    return [*typed, *(entry for entry in configured or kept if entry.name not in named)]


async def replay(
    branch: Branch,
    remotes: Sequence[tuple[Destination, Remote]],
    clock: Clock,
    *,
    retry: bool,
    patience_seconds: float,
    advance: Advance,
) -> dict[str, Unfinished]:
    """Send what is pending to all of them side by side; which of them ended early, by name, and why.

    `retry`: what was refused before is tried again. `patience_seconds`: how long a remote may be out of reach, or take
    nothing, before this ends, to be called again. `advance` is told of records that are done. What cannot be sent
    because damage took its bytes does not keep back a later write of its key. Raises S3dError or JournalError.
    """
    if retry:
        await branch.journal.submit(ResumeRecords(None, "replay"), essential=True)
    while True:
        errands = await _errands(branch, remotes, clock, patience_seconds)
        unfinished = await until_all_done(errands, clock, patience_seconds, advance)
        steps = [] if unfinished or not branch.questions.parked(1) else [*overtaking(branch.questions.selected())]
        commands = [SupersedeRecords(sequences, by, even_parked=True) for sequences, by in steps]
        taken = [(await branch.journal.submit(one, essential=True)).answer for one in commands]
        if not any(taken):
            return unfinished


async def _errands(
    branch: Branch, remotes: Sequence[tuple[Destination, Remote]], clock: Clock, patience_seconds: float
) -> dict[str, Errand]:
    errands: dict[str, Errand] = {}
    for destination, remote in remotes:
        settled = telling_others(errands, destination.name)
        errand = _errand(branch, destination, remote, clock, settled, patience_seconds)
        errands[destination.name] = errand
        # the site may have sent any of them, and not have written it down
        await errand.replicator.taken_out(branch.source.head)
        errand.replicator.resume()  # whoever paused the site has nothing to do with who replays its disk
    return errands


def _errand(
    branch: Branch,
    destination: Destination,
    remote: Remote,
    clock: Clock,
    settled: Callable[[Iterable[int]], None],
    patience_seconds: float,
) -> Errand:
    settings, selection = destination.settings, destination.selection
    link = Link(remote, clock, Random())
    crashes: list[BaseException] = []
    replicator = Replicator(
        branch.journal,
        branch.questions,
        lambda sequence: branch.rows.read(sequence, remember=False),
        branch.pool.files.path,
        remote,
        link,
        clock,
        Random(),
        ReplicatorSettings(
            lanes_max=settings.lanes_max,
            backoff_seconds_max=max(1.0, min(settings.backoff_seconds_max, patience_seconds / 2)),
            ways=ways_of(settings, ()),
            identity_token=settings.identity_token,
            site=settings.site or "",
            region=settings.region or DEFAULT_REGION,
            remote=destination.name,
            buckets=selection.buckets,
        ),
        crashed=crashes.append,
        are_sound=BlobChecks(branch.pool, _tell_of_damage).are_sound,
        settled=settled,
    )
    return Errand(replicator, link, branch.among(selection).selected_totals, crashes)


def fates_of(branch: Branch, selection: Selection) -> Iterator[Fate]:
    """What has become of every record that the journal still has. Blocks on the disk, for a moment each page."""
    journal, head, blobs = branch.journal, branch.source.head, branch.pool.files
    origin = journal.files()[0].first
    outcomes = Outcomes(origin, head)
    for record in _records(journal, origin - 1, journal.head.sequence):
        outcomes.take(record)

    def are_here(extents: Extents) -> bool:
        return all(os.path.exists(blobs.path(one.blob)) for one in extents if isinstance(one, BlobBytes))

    base = journal.base()
    known_through = base.position if base is not None else 0
    records = _records(journal, origin - 1, head)
    yield from fates(records, outcomes, branch.questions, selection, are_here, known_through)


def _records(journal: Journal, after: int, last: int) -> Iterator[Record]:
    while after < last and (page := journal.read(after, FATES_PAGE)):
        yield from (record for record in page if record.sequence <= last)
        after = page[-1].sequence


def _prepare(journal_dir: str, state: str, disk: Disk) -> Source:
    known = _known_source(state, disk)
    with inspect(journal_dir) as inspection:
        identity, head = inspection.identity, inspection.head
        found = Source(identity.instance, identity.epoch, head.sequence, head.hash)
        if known is not None:
            if found != known:
                raise DataDirectoryError(
                    f"{state} is the state of a replay of other records", hint="choose another directory with --state"
                )
            return known
        inspection.verify(bodies=False)  # one that is damaged is refused when its turn comes, alone
        base = inspection.base()
        older = [file.name for file in inspection.files()[:-1]] + ([base.name] if base is not None else [])
    make_branch(journal_dir, f"{state}/journal", older)
    write_durably(disk, f"{state}/source", msgspec.json.encode(found))
    return found


def _known_source(state: str, disk: Disk) -> Source | None:
    """What the branch in this directory is of; None: there is none, or its making was interrupted."""
    if disk.exists(f"{state}/source"):
        with open(f"{state}/source", "rb") as file:
            return msgspec.json.decode(file.read(), type=Source)
    if disk.exists(f"{state}/journal"):
        for name in disk.names(f"{state}/journal"):
            disk.unlink(f"{state}/journal/{name}")
        os.rmdir(f"{state}/journal")
    elif strangers := set(disk.names(state)) - {"lock", "journal.new"}:
        raise DataDirectoryError(
            f"{state} has other files in it, such as {min(strangers)}", hint="choose another directory with --state"
        )
    return None


@contextlib.asynccontextmanager
async def _opened(
    source: Source, data_dir: str, state: str, selection: Selection, disk: Disk, clock: Clock
) -> AsyncIterator[Branch]:
    trust = ViewTrust(disk, state, *this_boot(state))
    trusted, token = trust.begin()
    view = View(f"{state}/view.db", token=token, trusted=trusted)
    backend = SqliteBackend(f"{state}/journal", disk=disk, ballast_bytes=0)
    machine = StateMachine(view, has_remote=True, origin=backend)
    journal = await Journal.open(backend, machine, now_ms=lambda: milliseconds(clock.now()))
    pool = BlobPool(BlobFiles(ReadOnlyDisk(), f"{data_dir}/blobs"), BODY_THREADS)
    try:

        def among(part: Selection) -> SelectedQuestions:
            return SelectedQuestions(view.reader(), part)

        questions = among(selection)
        rows = RowBodies(journal.body, questions.relocated, pool, BodyCache(0))
        yield Branch(source, journal, questions, among, rows, pool)
    finally:
        pool.close()
        await journal.close()
        if view.close(sync=True):
            trust.end_clean(token)


def _tell_of_damage(blob: str, reason: str) -> None:
    _log.error("a body is damaged", blob=blob, reason=reason)
