"""One running daemon: started in the order in which data flows, stopped in the other.

Stopping: no new requests, what is in flight finishes, the replicator drains until its deadline, and the journal closes
last.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from random import Random

import structlog

from journal import CommitAmbiguous
from journal.disk import RealDisk
from s3d import garbage
from s3d.app.auditing import build_gap_audit
from s3d.app.bundling import build_bundling
from s3d.app.caching import build_cache, build_keeping, build_sparing
from s3d.app.collecting import collect_for_ever
from s3d.app.doors import AdminDoor, S3Door, build_handlers, build_operations, paused_of, resumed_of
from s3d.app.dropping import build_drops
from s3d.app.farewell import (
    EXIT_FAILED,
    find_leftovers,
    name_leftovers,
    say_goodbye,
)
from s3d.app.ground import Ground
from s3d.app.history import history_routes
from s3d.app.loops import Loops
from s3d.app.notarising import build_notarising
from s3d.app.pulse import pulse_of, service_manager
from s3d.app.reloading import Reloading
from s3d.app.remotes import Replications, build_replication
from s3d.app.replication import Replication
from s3d.app.room import beside_local, bounds_of, build_intake, build_recycling, capacity_report, crowded
from s3d.app.rooms import InForce, Rooms, limits_of, policies_of
from s3d.app.underneath import warn_of
from s3d.blobs.checks import BlobChecks
from s3d.blobs.rows import RowBodies
from s3d.clock import SystemClock
from s3d.config.settings import Settings
from s3d.config.source import Loaded
from s3d.drop.surface import DropFolders
from s3d.http import descriptors
from s3d.http.admission import Admission
from s3d.http.audit_routes import audit_routes
from s3d.http.bundles import Bundles
from s3d.http.cache_routes import cache_routes
from s3d.http.configuration_routes import configuration_routes
from s3d.http.gap_routes import gap_routes
from s3d.http.remote_routes import remote_routes
from s3d.http.webhooks import Webhooks
from s3d.operations.bodies import BodyCache
from s3d.operations.durability import Contract
from s3d.operations.exporting import Exporting
from s3d.operations.foreseeing import Foreseeing
from s3d.operations.limits import Queue
from s3d.operations.perform import Handler, Operations
from s3d.operations.standing import Standing
from s3d.operations.submitting import Submitter
from s3d.policy.bucket_map import BucketMap, staying_local
from s3d.policy.rules import Rules
from s3d.queries.asking import Asking
from s3d.remote.remembered import Remembered
from s3d.replicator.held import read_holding
from s3d.telemetry.metrics import Load, Metrics
from s3d.upkeep.recycling import Recycling
from s3d.upkeep.unfinished import UploadExpiry
from s3d.upkeep.upkeep import Upkeep
from s3d.view.questions import Questions

SWITCH_INTERVAL_SECONDS = 0.0005  # the default 5 ms is what a commit would wait for the GIL under load
REQUESTS_FINISH_SECONDS = 10.0
_log = structlog.get_logger("s3d")


async def serve(settings: Settings, metrics: Metrics | None = None, loaded: Loaded | None = None) -> int:
    """Run the daemon until a signal; the exit code. Raises S3dError or JournalError when it cannot start.

    `metrics` are those whose `loop_lag` this loop measures. `loaded` says where the settings are from, so that SIGHUP
    can have them read again; None: they stay as they are.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Daemon(settings, metrics, loaded)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    await daemon.start(stop.set)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):  # whoever asks twice does not want to wait for the remote
        loop.add_signal_handler(number, daemon.hurry)
    return await daemon.stop()


class Daemon:
    """`start` builds it, `stop` takes it down and says how it ended."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None, loaded: Loaded | None = None) -> None:
        self._settings = settings
        self._loaded = loaded
        self._clock = SystemClock()
        self._rules = Rules(settings.rules)
        self._policies = policies_of(settings, self._rules)
        self._buckets = BucketMap(settings.buckets) if settings.buckets else None
        self._local = staying_local(settings.buckets)
        self._metrics = metrics or Metrics()
        self._disk = RealDisk()
        self._failed = False
        self._loops = Loops(self._crashed)
        self._replication: Replication | Replications | None = None
        self._reloading: Reloading | None = None
        self._reload_is_due = False
        self._drops: DropFolders | None = None
        self._asking: Asking | None = None
        self._draining: asyncio.Future[bool] | None = None

    async def start(self, give_up: Callable[[], object]) -> None:
        """Recover, then listen. `give_up` is called when the process must end.

        Raises S3dError or JournalError: no request was answered, and the process should end.
        """
        self._give_up = give_up
        http = self._settings.http
        connections_max = descriptors.reserve(http.connections_max, http.large_bodies_max)
        self._ground = Ground(
            self._settings,
            self._disk,
            self._clock,
            self._metrics,
            self._policies,
            self._journal_failed,
        )
        await self._ground.open()
        journal, pool = self._ground.journal, self._ground.pool
        questions = self._ground.questions()
        bodies = BodyCache(self._settings.cache.body_memory_bytes)
        self._rows = RowBodies(journal.body, questions.relocated, pool, bodies)
        self._checks = BlobChecks(pool, self._blob_damaged)
        self._recycling = self._build_recycling(questions)
        self._upkeep = self._build_upkeep()
        self._contract = Contract(
            questions,
            self._rules if self._rules.speak_of_durability else None,
            self._clock,
            journal.identity.epoch,
            has_remote=self._settings.remote.configured,
            local=self._local,
        )
        self._metrics.watch_waiting(lambda: self._contract.waiting)
        self._build_replication(questions)
        self._cache = build_cache(
            self._settings.cache,
            self._ground,
            questions,
            self._checks,
            self._replication,
            self._recycling,
            self._clock,
            self._metrics,
        )
        self._writes = Queue(http.writes_waiting_max, self._metrics.refused)
        submitter = Submitter(journal.submit, self._asking, self._writes)
        view, volume = self._ground.view, self._bounds.volume
        self._intake = build_intake(self._settings, volume, submitter, view, self._metrics, self._rules)
        self._foreseeing = self._build_foreseeing()
        handlers = partial(
            build_handlers,
            self._settings,
            journal,
            pool,
            self._rows,
            bodies,
            self._checks,
            self._asking,
            self._cache,
            submitter,
            self._intake,
            self._clock,
        )
        operations = build_operations(
            handlers(questions, self._rules), journal, self._settings.auth.account, self._contract, self._buckets
        )
        self._admission = Admission(
            memory_bytes_max=http.memory_bytes_max,
            large_bodies_max=http.large_bodies_max,
            refused=self._metrics.refused,
        )
        self._notarising = build_notarising(self._settings, self._ground, self._replication, self._clock)
        self._door = S3Door(
            self._settings,
            operations,
            pool,
            self._rows,
            journal.identity.epoch,
            self._admission,
            connections_max,
            self._metrics,
            self._clock,
            self._notarising.refused,
        )
        await self._door.open()
        self._drops = build_drops(
            self._settings,
            operations,
            self._ground,
            questions,
            self._clock,
            self._metrics,
            partial(self._crashed, "a drop folder"),
        )
        self._standing = self._build_standing(questions)
        self._audit = build_gap_audit(
            self._settings.gaps,
            self._ground,
            questions,
            self._asking,
            self._rows,
            self._checks,
            self._rules,
            self._clock,
        )
        self._bundling = build_bundling(
            self._settings, self._ground, questions, self._rows, self._replication, self._buckets
        )
        self._keeping = build_keeping(
            self._settings,
            self._ground,
            questions,
            self._cache,
            self._rows,
            self._recycling,
            self._clock,
        )
        self._webhooks = self._build_webhooks()
        past = (questions, self._rows, self._checks, self._intake, submitter, self._clock)
        more = [*Bundles(self._bundling).routes(), *cache_routes(self._keeping), *history_routes(self._ground, *past)]
        more += audit_routes(self._notarising)
        more += gap_routes(self._audit) if self._audit is not None else []
        more += remote_routes(self._replication.probing) if self._replication is not None else []
        if self._loaded is not None:
            rooms = self._rooms(questions, handlers, operations)
            self._reloading = Reloading(self._loaded, rooms, self._clock, self._metrics, self._adopt)
            more += configuration_routes(self._reloading)
        self._admin = AdminDoor(self._settings, self._standing, self._clock, more, self._notarising.refused)
        await self._admin.open()
        await self._begin(questions)
        _log.info(
            "ready",
            listen=self._door.url,
            admin=f"http://127.0.0.1:{self._admin.port}",
            remote=self._settings.remote.endpoint or "none: everything stays pending",
            pending=self._ground.view.backlog.records,
        )
        warn_of(self._settings.data_dir, ephemeral=self._settings.shutdown.ephemeral)
        if self._reload_is_due:
            self.reload_soon()

    def reload_soon(self) -> None:
        """Somebody has sent SIGHUP: have the configuration read again, as soon as there is what could go by it."""
        if self._reloading is not None:
            self._reloading.reload_soon("SIGHUP")
        self._reload_is_due = self._reloading is None

    async def stop(self) -> int:
        """Stop accepting, finish, drain, close; the exit code."""
        if self._reloading is not None:
            await self._reloading.close()
        shutdown = self._settings.shutdown
        self._pulse.stopping()
        self._standing.stopping = True
        self._contract.close()
        if self._drops is not None:
            await self._drops.close()
        await self._door.listener.close(REQUESTS_FINISH_SECONDS)
        await self._loops.end()
        if self._replication is not None and not self._failed:
            drain = self._replication.drain(shutdown.drain_seconds, patient=shutdown.ephemeral)
            self._draining = asyncio.ensure_future(drain)
            await asyncio.wait([self._draining])
        left = await self._standing.summary()
        if shutdown.ephemeral and left is not None:
            name_leftovers(await find_leftovers(self._standing), left.count, self._standing.epoch, self._clock)
        if self._cache is not None:
            await self._cache.close()
        await self._end_sending()
        await self._webhooks.stop()
        await self._admin.close()
        self._standing.close()
        if self._audit is not None:
            self._audit.close()
        self._bundling.close()
        self._keeping.close()
        await self._upkeep.close()
        self._recycling.close()
        await self._ground.close(sync=not self._failed)
        if self._failed:
            return EXIT_FAILED
        return say_goodbye(left, replicates=self._replication is not None, ephemeral=shutdown.ephemeral)

    async def _end_sending(self) -> None:
        """Sign what has happened, and let go of the remote."""
        if not self._failed:
            await self._notarising.finish()
        if self._replication is not None:
            await self._replication.stop()

    def hurry(self) -> None:
        """Do not wait for the remote any longer: what is pending is safe here."""
        if self._draining is not None:
            self._draining.cancel()

    # building

    def _build_recycling(self, questions: Questions) -> Recycling:
        ground, settings = self._ground, self._settings
        self._bounds = bounds_of(settings, self._disk)
        return build_recycling(
            settings,
            self._bounds,
            ground.journal,
            ground.view,
            ground.pool,
            questions,
            self._disk,
            self._clock,
        )

    def _build_upkeep(self) -> Upkeep:
        ground = self._ground
        self._expiry = UploadExpiry(ground.journal, ground.view.reader, self._clock, self._rules)
        return Upkeep(
            ground.journal,
            ground.view.reader,
            ground.pool,
            self._rows,
            self._disk,
            self._clock,
            limits_of(self._settings),
            is_low=self._recycling.is_low,
            sparing=build_sparing(ground, self._rows, self._recycling, self._clock),
        )

    def _build_foreseeing(self) -> Foreseeing:
        journal, view, replication = self._ground.journal, self._ground.view, self._replication
        return Foreseeing(
            self._clock,
            self._intake.cap,
            lambda: (view.backlog, view.flow) if journal.state_is_current else None,
            lambda: replication is not None and replication.sends,
            beside_local(self._intake, self._recycling.spare_bytes),
        )

    def _build_replication(self, questions: Questions) -> None:
        journal = self._ground.journal
        self._replication = build_replication(
            self._settings,
            journal,
            questions,
            self._ground.pool,
            self._rows,
            self._checks,
            self._clock,
            self._metrics,
            partial(self._crashed, "the replicator"),
            self._contract.settled,
            self._buckets,
            self._rules,
            Remembered(self._disk, self._settings.data_dir),
        )
        if self._replication is not None:
            self._asking = Asking(self._replication.upstream, questions, journal.submit, self._clock)

    def _build_standing(self, questions: Questions) -> Standing:
        replication = self._replication
        self._pulse = pulse_of(self._ground.journal, self._clock, service_manager())
        return Standing(
            settings=self._settings,
            journal=self._ground.journal,
            connect=self._ground.view.reader,
            link=replication.link if replication is not None else None,
            sender=replication.sender if replication is not None else None,
            flow=replication.flow if replication is not None else None,
            uploads=replication.uploads if replication is not None else lambda _: (),
            resumed=resumed_of(replication),
            paused=paused_of(replication),
            follow=partial(
                read_holding, self._ground.journal, are_apart=self._buckets.are_apart if self._buckets else None
            ),
            submitter=Submitter(self._ground.journal.submit, self._asking, self._writes),
            exporting=Exporting(self._ground.journal, questions, self._rows, self._ground.pool),
            metrics=self._metrics,
            clock=self._clock,
            listen=self._door.url,
            files=self._upkeep.standing,
            crowded=lambda: crowded(self._settings.capacity, self._ground.view.backlog),
            capacity=lambda cached_bytes: capacity_report(
                self._bounds.volume, self._intake, self._rules, self._foreseeing.forecast(cached_bytes)
            ),
            load=self._load,
            drops=self._drops.reports if self._drops is not None else tuple,
            pinned_bytes=lambda: self._recycling.pins.pinned_bytes,
            several=replication.several if replication is not None else None,
            configuration=lambda: self._reloading.report() if self._reloading is not None else None,
            audit=self._notarising.standing,
            stalled=self._pulse.stalled,
        )

    def _build_webhooks(self) -> Webhooks:
        follow, count = self._ground.journal.follow, self._metrics.webhook_delivery
        return Webhooks(self._settings.webhooks, self._standing, follow, self._clock, Random(), count)

    def _rooms(
        self,
        questions: Questions,
        handlers: Callable[[Questions, Rules], Mapping[str, Handler]],
        operations: Operations,
    ) -> Rooms:
        """What can go by other settings while it runs."""
        return Rooms(
            ground=self._ground,
            questions=questions,
            handlers=handlers,
            operations=operations,
            door=self._door,
            contract=self._contract,
            intake=self._intake,
            foreseeing=self._foreseeing,
            volume_bytes=self._bounds.volume,
            upkeep=self._upkeep,
            expiry=self._expiry,
            standing=self._standing,
            webhooks=self._webhooks,
            replication=self._replication,
            audit=self._audit,
        )

    def _adopt(self, after: InForce) -> None:
        """What is asked for here when it is needed."""
        self._settings, self._rules = after.settings, after.rules
        self._admin.know(after.settings)

    # running

    async def _begin(self, questions: Questions) -> None:
        """What goes on by itself."""
        collecting = collect_for_ever(self._ground, questions, self._clock)
        self._loops.go_on("the collection of bodies that nothing names", collecting)
        self._loops.go_on("the upkeep of the journal's files", self._upkeep.run_for_ever())
        self._loops.go_on("the verification of older journal files", self._upkeep.verify_older_files())
        self._loops.go_on("the expiry of unfinished uploads", self._expiry.run_for_ever())
        self._loops.go_on("the forecast of room and backlog", self._foreseeing.run_for_ever())
        self._loops.go_on("the recycling of cached bytes", self._recycling.run_for_ever())
        if self._replication is not None:
            await self._replication.start()
        if self._audit is not None:
            self._loops.go_on("the gap audit", self._audit.run_for_ever())
        for name, loop in self._notarising.loops():
            self._loops.go_on(name, loop)
        self._webhooks.start()
        if self._reloading is not None:
            self._reloading.start()
        if self._drops is not None:
            self._drops.start()
        garbage.put_aside()
        tending = garbage.tend(self._door.listener.requests, self._clock.monotonic, self._clock.sleep)
        self._loops.go_on("the collection of garbage in memory", tending)
        self._loops.go_on("the pulse", self._pulse.run_for_ever())
        asyncio.get_running_loop().call_soon(self._metrics.loop_lag.forget)

    def _journal_failed(self, error: CommitAmbiguous) -> None:
        """A COMMIT was ambiguous: end, and reconcile at the next start. Going on would be a guess."""
        _log.error("the journal has failed; the daemon ends", error=error.message, hint=error.hint)
        self._failed = True
        self._give_up()

    def _blob_damaged(self, blob: str, reason: str) -> None:
        _log.error("a body on this disk is damaged", blob=blob, error=reason)
        self._metrics.body_damaged()

    def _crashed(self, what: str, error: BaseException) -> None:
        """Never half alive: a daemon that acknowledges and does not replicate, or leaves files where they lie, looks
        healthy and is not.
        """
        _log.error(f"{what} has ended by a bug; the daemon ends", error=repr(error))
        self._failed = True
        self._give_up()

    def _load(self) -> Load:
        admission = self._admission
        return Load(self._door.listener.connections, admission.large_bodies, admission.held_bytes, self._writes.records)
