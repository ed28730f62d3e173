"""The composition root: everything is built here, from the settings, in the order in which data flows.

    disk → view → journal → blobs → upkeep → link, remote, replicator → queries → operations → HTTP → admin

Stopping goes the other way: no new requests, what is in flight finishes, the replicator drains until its deadline, and
the journal closes last.
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial

import structlog
from aiohttp import web

from journal import CommitAmbiguous, Journal, SqliteBackend
from journal.disk import DiskFile, RealDisk
from s3d import garbage
from s3d.anchored import anchored
from s3d.auth.keys import StaticKeys
from s3d.auth.sigv4 import Verifier
from s3d.blobs.checks import BlobChecks
from s3d.blobs.collect import collect
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import SystemClock, milliseconds
from s3d.commands.machine import StateMachine
from s3d.commands.sharing import ShareBuckets
from s3d.config.settings import Settings
from s3d.errors import DataDirectoryError, S3dError
from s3d.http import descriptors
from s3d.http.admin import build_admin
from s3d.http.admission import Admission
from s3d.http.path import RequestPath
from s3d.http.reply import Replier
from s3d.http.server import S3Listener
from s3d.operations.attributes import Attributes
from s3d.operations.bodies import BodyCache
from s3d.operations.bucket_operations import BucketOperations
from s3d.operations.capturing import Capturing
from s3d.operations.copies import Copies
from s3d.operations.limits import Queue
from s3d.operations.listings import Listings
from s3d.operations.object_reads import ObjectReads
from s3d.operations.object_writes import ObjectWrites
from s3d.operations.perform import Operations
from s3d.operations.standing import Standing
from s3d.operations.submitting import Submitter
from s3d.operations.table import handlers
from s3d.operations.tagging import Tagging
from s3d.operations.upload_listings import UploadListings
from s3d.operations.uploads import Uploads
from s3d.policy.rules import Rules
from s3d.protocol.model import compile_service
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Serializer
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket
from s3d.queries.caching import Cache
from s3d.queries.objects import ObjectReader
from s3d.queries.tags import Tags
from s3d.replication import Replication
from s3d.telemetry.metrics import Load, Metrics
from s3d.telemetry.report import PendingSummary
from s3d.telemetry.timed import timed
from s3d.upkeep.decide import Limits
from s3d.upkeep.upkeep import Upkeep
from s3d.values import Extents
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Questions
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

EXIT_DONE, EXIT_FAILED, EXIT_PENDING = 0, 1, 3
SWITCH_INTERVAL_SECONDS = 0.0005  # the default 5 ms is what a commit would wait for the GIL under load
COLLECT_SECONDS = 60.0
REQUESTS_FINISH_SECONDS = 10.0
_log = structlog.get_logger("s3d")


async def serve(settings: Settings, metrics: Metrics | None = None) -> int:
    """Run the daemon until a signal; the exit code. Raises S3dError or JournalError when it cannot start.

    `metrics` are those whose `loop_lag` this loop measures.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Daemon(settings, metrics)
    await daemon.start(stop.set)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):  # whoever asks twice does not want to wait for the remote
        loop.add_signal_handler(number, daemon.hurry)
    return await daemon.stop()


class Daemon:
    """One running daemon. `start` builds it, `stop` takes it down and says how it ended."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._rules = Rules(settings.rules)
        self._is_shared = self._rules.is_shared if settings.rules else None
        self._metrics = metrics or Metrics()
        self._disk = RealDisk()
        self._failed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._replication: Replication | None = None
        self._draining: asyncio.Future[bool] | None = None
        self.port = 0
        self.admin_port = 0

    async def start(self, give_up: Callable[[], object]) -> None:
        """Recover, then listen. `give_up` is called when the process must end.

        Raises S3dError or JournalError; then nothing runs and nothing was changed.
        """
        self._give_up = give_up
        http = self._settings.http
        self._connections_max = descriptors.reserve(http.connections_max, http.large_bodies_max)
        self._admission = Admission(
            memory_bytes_max=http.memory_bytes_max,
            large_bodies_max=http.large_bodies_max,
            refused=self._metrics.refused,
        )
        self._lock = self._take_directory()
        view = await self._open_state()
        if self._settings.remote.configured:
            await self._share_after_restore()
        questions = Questions(view.reader(), self._journal.distrust_state, self._is_shared)
        self._bodies = BodyCache(self._settings.cache.body_memory_bytes)
        self._rows = RowBodies(self._journal.body, questions.relocated, self._pool, self._bodies)
        self._checks = BlobChecks(self._pool, self._blob_damaged)
        self._upkeep = self._build_upkeep(view)
        self._build_replication(questions)
        operations = self._build_operations(questions)
        await self._listen(operations)
        await self._listen_admin(view)
        self._tasks.append(asyncio.create_task(self._collect_for_ever(questions)))
        self._tasks.append(asyncio.create_task(self._upkeep.run_for_ever()))
        self._tasks[-1].add_done_callback(self._upkeep_ended)
        self._tasks.append(asyncio.create_task(self._upkeep.verify_older_files()))
        self._tasks[-1].add_done_callback(self._upkeep_ended)
        if self._replication is not None:
            await self._replication.start()
        garbage.put_aside()
        self._tasks.append(
            asyncio.create_task(garbage.tend(self._listener.requests, self._clock.monotonic, self._clock.sleep))
        )
        asyncio.get_running_loop().call_soon(self._metrics.loop_lag.forget)
        _log.info(
            "ready",
            listen=self._listen_url(),
            admin=f"http://127.0.0.1:{self.admin_port}",
            remote=self._settings.remote.endpoint or "none: everything stays pending",
            pending=left.count if (left := await self._standing.summary()) is not None else "not known yet",
        )

    async def stop(self) -> int:
        """Stop accepting, finish, drain, close; the exit code."""
        self._standing.stopping = True
        await self._listener.close(REQUESTS_FINISH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._replication is not None and not self._failed:
            self._draining = asyncio.ensure_future(self._replication.drain(self._settings.shutdown.drain_seconds))
            await asyncio.wait([self._draining])
        left = await self._standing.summary()
        if self._replication is not None:
            await self._replication.stop()
        await self._admin.cleanup()
        self._standing.close()
        await self._upkeep.close()
        self._pool.close()
        await self._journal.close()
        if self._view.close(sync=not self._failed):
            self._end_clean()
        self._lock.close()
        return self._say_goodbye(left)

    def hurry(self) -> None:
        """Do not wait for the remote any longer: what is pending is safe here."""
        if self._draining is not None:
            self._draining.cancel()

    def _end_clean(self) -> None:
        try:
            self._trust.end_clean(self._token)
        except OSError as error:  # a full disk: on this boot the view is believed without it
            _log.warning("the view's stamp could not be written", error=str(error))

    # building

    def _take_directory(self) -> DiskFile:
        directory = self._settings.data_dir
        try:
            self._disk.make_directory(directory)
            lock = self._disk.lock(f"{directory}/lock")
        except OSError as error:
            raise DataDirectoryError(
                f"the data directory {directory} cannot be used: {error.strerror}",
                hint="check --data-dir and who owns it",
            ) from error
        if lock is None:
            raise DataDirectoryError(
                f"another daemon uses the data directory {directory}",
                hint="one daemon per data directory: stop the other, or choose another --data-dir",
            )
        return lock

    async def _open_state(self) -> View:
        """The view as it was left, if it can be believed, and the journal, which brings it up to date."""
        settings, directory = self._settings, self._settings.data_dir
        self._trust = ViewTrust(self._disk, directory, *this_boot(directory))
        trusted, self._token = self._trust.begin()
        self._view = View(f"{directory}/view.db", token=self._token, trusted=trusted, is_shared=self._is_shared)
        backend = SqliteBackend(
            f"{directory}/journal",
            disk=self._disk,
            mark_strict=settings.journal.mark == "strict",
            ballast_bytes=settings.journal.ballast_bytes,
            file_bytes_max=settings.journal.file_bytes_max,
        )
        self._journal = await Journal.open(
            timed(anchored(backend, directory, ("lock", "journal/lock")), self._clock.monotonic, self._metrics.commit),
            StateMachine(self._view, has_remote=settings.remote.configured, origin=backend),
            now_ms=lambda: milliseconds(self._clock.now()),
            failed=self._journal_failed,
            waited=self._metrics.writer_lag.observe,
        )
        files = BlobFiles(self._disk, f"{directory}/blobs", has_room=backend.has_room)
        files.prepare()
        self._pool = BlobPool(files, settings.http.body_threads)
        return self._view

    async def _share_after_restore(self) -> None:
        """Once in each epoch but the first: the remote may have what this journal has lost."""
        epoch = self._journal.identity.epoch
        begun = self._journal.follow(f"epoch-{epoch}")
        if epoch == 1 or begun.position:
            return
        shared = await self._journal.submit(ShareBuckets(), essential=True)
        await begun.advance(self._journal.head.sequence)
        _log.warning("records were lost: the remote is asked for what is not here", epoch=epoch, buckets=shared.answer)

    def _build_upkeep(self, view: View) -> Upkeep:
        settings = self._settings.journal
        limits = Limits(
            keep_unsealed_bytes=settings.keep_unsealed_bytes,
            retain_files=settings.retain_files,
            retain_bytes=settings.retain_bytes,
            retain_days=settings.retain_days,
            has_remote=self._settings.remote.configured,
        )
        return Upkeep(self._journal, view.reader, self._pool, self._rows, self._disk, self._clock, limits)

    def _build_replication(self, questions: Questions) -> None:
        self._asking: Asking | None = None
        if not self._settings.remote.configured:
            return
        self._replication = Replication(
            self._settings.remote,
            self._journal,
            questions,
            self._pool,
            self._rows,
            self._checks,
            self._clock,
            self._metrics,
            self._replicator_crashed,
        )
        self._asking = Asking(self._replication.upstream, questions, self._journal.submit, self._clock)

    def _build_operations(self, questions: Questions) -> Operations:
        settings, asking = self._settings, self._asking
        self._writes = writes = Queue(settings.http.writes_waiting_max, self._metrics.refused)
        submitter = Submitter(self._journal.submit, asking, writes)
        reader = ObjectReader(
            questions, asking, self._clock, self._are_here, self._checks.are_sound, self._rules.fresh_ms
        )
        cache = Cache(self._pool, questions, self._journal.submit, self._clock, settings.cache.capacity_bytes)
        uploads, tags = Uploads(submitter, questions), Tags(asking)
        return Operations(
            handlers(
                BucketOperations(submitter, questions, asking, settings.region),
                ObjectWrites(submitter, self._bodies, partial(existing_bucket, questions, asking)),
                ObjectReads(reader, cache.keep if asking is not None else None),
                Copies(submitter, Capturing(reader, self._pool, self._rows, self._digest_of), uploads, tags),
                Listings(questions, asking),
                uploads,
                UploadListings(questions, asking),
                Tagging(submitter, reader, tags),
                Attributes(reader),
            ),
            lambda: self._journal.state_is_current,
            settings.auth.account,
            self._journal.distrust_state,
        )

    def _are_here(self, extents: Extents) -> bool:
        return self._rows.are_here(extents) and not self._checks.has_damage(extents)

    def _digest_of(self, sequence: int) -> bytes:
        records = self._journal.pick([sequence])
        return records[0].body_digest if records else b""

    async def _listen(self, operations: Operations) -> None:
        settings = self._settings
        service = compile_service()
        keys = None
        if settings.auth.access_key is not None and settings.auth.secret_key is not None:
            keys = StaticKeys({settings.auth.access_key: settings.auth.secret_key})
        path = RequestPath(
            router=Router(service),
            parser=Parser(service),
            verifier=Verifier(keys, None, allow_unsigned_payload=settings.auth.allow_unsigned_payload),
            operations=operations,
            replier=Replier(Serializer(service), self._pool, self._rows, self._journal.identity.epoch, self._admission),
            pool=self._pool,
            clock=self._clock,
            observer=self._metrics,
            inline_bytes_max=settings.journal.inline_bytes_max,
            object_bytes_max=settings.http.object_bytes_max,
            admission=self._admission,
            idle_seconds=settings.http.idle_seconds,
            base_domains=settings.http.base_domains,
        )
        self._listener = S3Listener(
            path.handle,
            admission=self._admission,
            keepalive_seconds=settings.http.keepalive_seconds,
            connections_max=self._connections_max,
            head_seconds=settings.http.head_seconds,
            idle_seconds=settings.http.idle_seconds,
        )
        address = settings.address
        try:
            self.port = await self._listener.listen(address.host, address.port)
        except OSError as error:
            raise S3dError(
                f"cannot listen on {settings.listen}: {error.strerror or error}",
                hint="is another program there? choose another --listen",
            ) from error

    async def _listen_admin(self, view: View) -> None:
        address = self._settings.admin.address
        replication = self._replication
        self._standing = Standing(
            settings=self._settings,
            journal=self._journal,
            connect=view.reader,
            link=replication.link if replication is not None else None,
            sender=replication.sender if replication is not None else None,
            resumed=replication.resumed if replication is not None else lambda _: None,
            metrics=self._metrics,
            clock=self._clock,
            listen=self._listen_url(),
            files=self._upkeep.standing,
            load=self._load,
        )
        self._admin = web.AppRunner(build_admin(self._standing, self._clock), access_log=None)
        await self._admin.setup()
        site = web.TCPSite(self._admin, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise S3dError(
                f"cannot listen on {self._settings.admin.listen}: {error.strerror or error}",
                hint="is another daemon there? choose another --admin",
            ) from error
        self.admin_port = self._admin.addresses[0][1]

    # running

    def _journal_failed(self, error: CommitAmbiguous) -> None:
        """A COMMIT was ambiguous: end, and reconcile at the next start. Going on would be a guess."""
        _log.error("the journal has failed; the daemon ends", error=error.message, hint=error.hint)
        self._failed = True
        self._give_up()

    def _blob_damaged(self, blob: str, reason: str) -> None:
        _log.error("a body on this disk is damaged", blob=blob, error=reason)
        self._metrics.body_damaged()

    def _replicator_crashed(self, error: BaseException) -> None:
        """Never half alive: a daemon that acknowledges and does not replicate looks healthy and is not."""
        _log.error("the replicator has ended by a bug; the daemon ends", error=repr(error))
        self._failed = True
        self._give_up()

    def _upkeep_ended(self, task: asyncio.Task[None]) -> None:
        """Never half alive: without it the disk fills up, in weeks."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("upkeep has ended by a bug; the daemon ends", error=repr(error))
            self._failed = True
            self._give_up()

    async def _collect_for_ever(self, questions: Questions) -> None:
        while True:
            try:
                if self._journal.state_is_current and (removed := await collect(self._pool, questions.blob_in_use)):
                    _log.info("removed bodies that nothing names", blobs=removed)
            except (OSError, ViewDamaged) as error:
                _log.warning("bodies could not be collected", error=str(error))
            await self._clock.sleep(COLLECT_SECONDS)

    def _load(self) -> Load:
        admission = self._admission
        return Load(self._listener.connections, admission.large_bodies, admission.held_bytes, self._writes.records)

    def _listen_url(self) -> str:
        return f"http://{self._settings.address.host}:{self.port}"

    def _say_goodbye(self, left: PendingSummary | None) -> int:
        if self._failed:
            return EXIT_FAILED
        if left is None:
            _log.warning("stopped while the view was being rebuilt; what is pending is safe on this disk")
            return EXIT_PENDING
        if not left.count:
            _log.info("stopped; nothing is pending")
            return EXIT_DONE
        _log.info(
            "stopped; pending records are safe on this disk",
            pending=left.count,
            bytes=left.bytes,
            oldest_seconds=round(left.oldest_seconds),
            parked=left.parked,
        )
        return EXIT_PENDING if self._replication is not None else EXIT_DONE
