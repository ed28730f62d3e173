"""What a daemon stands on: its data directory, and in it the view, the journal and the bodies.

Opened in this order, since each needs the one before; closed in the other.
"""

from collections.abc import Callable

import structlog

from journal import CommitAmbiguous, Journal, SqliteBackend
from journal.disk import Disk
from s3d.anchored import anchored
from s3d.app.restoring import refuse_unfinished
from s3d.blobs.files import BlobFiles
from s3d.blobs.hold import Hold
from s3d.blobs.pool import BlobPool
from s3d.clock import Clock, milliseconds
from s3d.commands.configuring import Policies
from s3d.commands.local_buckets import SettleLocalBuckets
from s3d.commands.machine import StateMachine
from s3d.commands.sharing import ShareBuckets
from s3d.config.remotes import known_remotes
from s3d.config.settings import Settings
from s3d.errors import ConfigurationError, DataDirectoryError
from s3d.policy.bucket_map import staying_local
from s3d.recovery.look import PLAN_NAME
from s3d.remote.destinations import Destinations, keep_destinations
from s3d.telemetry.metrics import Metrics
from s3d.telemetry.timed import timed
from s3d.view.losses import Losses
from s3d.view.questions import Questions
from s3d.view.trust import ViewTrust, this_boot
from s3d.view.view import View

_log = structlog.get_logger("s3d")


class Ground:
    """`open` it; then its members are there. `failed` is called when a COMMIT was ambiguous."""

    view: View
    journal: Journal
    pool: BlobPool
    hold: Hold

    def __init__(
        self,
        settings: Settings,
        disk: Disk,
        clock: Clock,
        metrics: Metrics,
        policies: Policies,
        failed: Callable[[CommitAmbiguous], None],
    ) -> None:
        self._settings = settings
        self._disk = disk
        self._clock = clock
        self._metrics = metrics
        self._policies = policies
        self._failed = failed
        self._local = staying_local(settings.buckets)
        self._losses = Losses(has_remote=settings.remote.configured)
        self._directory = settings.data_dir

    async def open(self) -> None:
        """Recover. Raises S3dError or JournalError; then nothing was changed."""
        self._take_directory()
        self._trust = ViewTrust(self._disk, self._directory, *this_boot(self._directory))
        trusted, self._token = self._trust.begin()
        self.view = View(
            f"{self._directory}/view.db",
            token=self._token,
            trusted=trusted,
            is_shared=self._policies.is_shared,
            by_key=self._policies.by_key,
            local=self._local,
            losses=self._losses,
        )
        await self._open_journal()
        await self._settle_local_buckets()
        self._keep_destinations()
        if self._settings.remote.configured:
            await self._share_after_restore()
        self._tell_losses()

    def questions(self) -> Questions:
        """For the event loop's thread, as the policies of the start have it."""
        is_shared, distrust = self._policies.is_shared, self.journal.distrust_state
        return Questions(self.view.reader(), distrust, is_shared, self._local, self._losses)

    async def close(self, *, sync: bool) -> None:
        """`sync` says whether the view may be believed at the next start without being asked."""
        self.pool.close()
        await self.journal.close()
        if self.view.close(sync=sync):
            self._end_clean()
        self._lock.close()

    def _take_directory(self) -> None:
        directory = self._directory
        refuse_unfinished(directory)
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
        if self._disk.exists(f"{directory}/{PLAN_NAME}"):
            lock.close()
            raise DataDirectoryError(
                f"a recovery of the data directory {directory} has begun, and not ended",
                hint=f"`s3d recover {directory}` goes on with it",
            )
        self._lock = lock

    async def _open_journal(self) -> None:
        """The journal brings the view up to date."""
        settings = self._settings
        backend = SqliteBackend(
            f"{self._directory}/journal",
            disk=self._disk,
            mark_strict=settings.journal.mark == "strict",
            ballast_bytes=settings.journal.ballast_bytes,
            file_bytes_max=settings.journal.file_bytes_max,
        )
        at_its_place = anchored(backend, self._directory, ("lock", "journal/lock"))
        self.journal = await Journal.open(
            timed(at_its_place, self._clock.monotonic, self._metrics.commit),
            StateMachine(
                self.view,
                has_remote=settings.remote.configured,
                origin=backend,
                policies=self._policies,
                local=self._local,
            ),
            now_ms=lambda: milliseconds(self._clock.now()),
            failed=self._failed,
            waited=self._metrics.writer_lag.observe,
        )
        files = BlobFiles(self._disk, f"{self._directory}/blobs", has_room=backend.has_room)
        files.prepare()
        self.hold = Hold(self._clock.monotonic, self._directory)
        self.pool = BlobPool(files, settings.http.body_threads, self.hold)

    async def _settle_local_buckets(self) -> None:
        try:
            settled = await self.journal.submit(SettleLocalBuckets(), essential=True)
        except ConfigurationError:
            await self.close(sync=False)
            raise
        for record in settled.records:
            made = record.kind == "CreateBucket"
            _log.info(
                "made a bucket that stays local" if made else "removed a bucket that stayed local", bucket=record.stream
            )

    def _keep_destinations(self) -> None:
        """For whoever replays this disk one day."""
        settings = self._settings
        try:
            keep_destinations(
                self._disk,
                self._directory,
                Destinations(known_remotes(settings.remote, settings.other_remotes), settings.buckets),
            )
        except OSError as error:  # a full disk: nothing here needs it
            _log.warning("where the buckets are could not be written down", error=str(error))

    async def _share_after_restore(self) -> None:
        """Once in each epoch but the first: the remote may have what this journal has lost."""
        epoch = self.journal.identity.epoch
        begun = self.journal.follow(f"epoch-{epoch}")
        if epoch == 1 or begun.position:
            return
        shared = await self.journal.submit(ShareBuckets(), essential=True)
        await begun.advance(self.journal.head.sequence)
        _log.warning("records were lost: the remote is asked for what is not here", epoch=epoch, buckets=shared.answer)

    def _tell_losses(self) -> None:
        if self._losses.hides(stays_local=bool(self._local)):
            _log.warning(
                "records were lost, and there is nobody to ask: what is not here is unknown, until `s3d losses accept`",
                through=self._losses.through,
            )

    def _end_clean(self) -> None:
        try:
            self._trust.end_clean(self._token)
        except OSError as error:  # a full disk: on this boot the view is believed without it
            _log.warning("the view's stamp could not be written", error=str(error))
