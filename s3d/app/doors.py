"""The ways in: the operations that every surface performs, the S3 listener in front of them, and the admin listener."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aiohttp import web

from journal import Journal
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.auth.keys import StaticKeys
from s3d.auth.operators import Operators
from s3d.auth.sigv4 import Verifier
from s3d.blobs.checks import BlobChecks
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock
from s3d.config.settings import Settings
from s3d.errors import S3dError
from s3d.http.admin import build_admin
from s3d.http.admission import Admission
from s3d.http.operators import OperatorGate
from s3d.http.path import Refused, RequestPath
from s3d.http.reply import Replier
from s3d.http.server import S3Listener
from s3d.operations.attributes import Attributes
from s3d.operations.bodies import BodyCache
from s3d.operations.bucket_operations import BucketOperations
from s3d.operations.capturing import Capturing
from s3d.operations.copies import Copies
from s3d.operations.durability import Contract
from s3d.operations.intake import Intake
from s3d.operations.listings import Listings
from s3d.operations.object_reads import ObjectReads
from s3d.operations.object_writes import ObjectWrites
from s3d.operations.perform import Handler, Operations
from s3d.operations.standing import Standing
from s3d.operations.submitting import Submitter
from s3d.operations.table import handlers
from s3d.operations.tagging import Tagging
from s3d.operations.upload_listings import UploadListings
from s3d.operations.uploads import Uploads
from s3d.operations.versions import Versions
from s3d.policy.bucket_map import BucketMap
from s3d.policy.rules import Rules
from s3d.protocol.model import compile_service
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Serializer
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket
from s3d.queries.caching import Cache
from s3d.queries.merging import Memory
from s3d.queries.objects import ObjectReader
from s3d.queries.tags import Tags
from s3d.telemetry.metrics import Metrics
from s3d.values import Extents
from s3d.view.questions import Questions


def build_handlers(
    settings: Settings,
    journal: Journal,
    pool: BlobPool,
    rows: RowBodies,
    bodies: BodyCache,
    checks: BlobChecks,
    asking: Asking | None,
    cache: Cache | None,
    submitter: Submitter,
    intake: Intake,
    clock: Clock,
    questions: Questions,
    rules: Rules,
) -> Mapping[str, Handler]:
    """Who does what a surface may ask for, by these rules. `asking` is None where no remote is configured."""

    def are_here(extents: Extents) -> bool:
        return rows.are_here(extents) and not checks.has_damage(extents)

    def digest_of(sequence: int) -> bytes:
        records = journal.pick([sequence])
        return records[0].body_digest if records else b""

    def memory_of(bucket: str, prefix: str) -> Memory:
        fresh_ms, partial = rules.fresh_ms(bucket, prefix), rules.may_list_partially(bucket, prefix)
        return Memory(settings.cache.listed_keys_max, fresh_ms, partial)

    reader = ObjectReader(questions, asking, clock, are_here, checks.are_sound, rules.fresh_ms, cache)
    uploads, tags = Uploads(submitter, intake, questions), Tags(asking)
    listings = Listings(questions, asking, memory_of, settings.region)
    versions = Versions(questions, asking, listings)
    return handlers(
        BucketOperations(submitter, questions, asking, settings.region),
        ObjectWrites(submitter, intake, bodies, partial(existing_bucket, questions, asking), versions.are_none),
        ObjectReads(reader),
        Copies(intake, Capturing(reader, pool, rows, digest_of), uploads, tags),
        listings,
        uploads,
        UploadListings(questions, asking),
        Tagging(submitter, reader, tags),
        Attributes(reader),
        versions,
    )


def build_operations(
    given: Mapping[str, Handler], journal: Journal, account: str, contract: Contract, buckets: BucketMap | None
) -> Operations:
    """The one way in."""
    return Operations(
        given,
        lambda: journal.state_is_current,
        account,
        journal.distrust_state,
        contract,
        buckets.key_bytes_max if buckets is not None else None,
    )


class S3Door:
    """The S3 listener. `port` is where it listens."""

    def __init__(
        self,
        settings: Settings,
        operations: Operations,
        pool: BlobPool,
        rows: RowBodies,
        epoch: int,
        admission: Admission,
        connections_max: int,
        metrics: Metrics,
        clock: Clock,
        refused: Refused,
    ) -> None:
        self._settings = settings
        service = compile_service()
        self._path = path = RequestPath(
            router=Router(service),
            parser=Parser(service),
            verifier=_verifier(settings),
            operations=operations,
            replier=Replier(Serializer(service), pool, rows, epoch, admission),
            pool=pool,
            clock=clock,
            observer=metrics,
            inline_bytes_max=settings.journal.inline_bytes_max,
            object_bytes_max=settings.http.object_bytes_max,
            admission=admission,
            idle_seconds=settings.http.idle_seconds,
            base_domains=settings.http.base_domains,
            refused=refused,
        )
        self.listener = S3Listener(
            path.handle,
            admission=admission,
            keepalive_seconds=settings.http.keepalive_seconds,
            connections_max=connections_max,
            head_seconds=settings.http.head_seconds,
            idle_seconds=settings.http.idle_seconds,
        )
        self.port = 0

    async def open(self) -> None:
        """Listen. Raises S3dError."""
        address = self._settings.address
        try:
            self.port = await self.listener.listen(address.host, address.port)
        except OSError as error:
            raise S3dError(
                f"cannot listen on {self._settings.listen}: {error.strerror or error}",
                hint="is another program there? choose another --listen",
            ) from error

    def verify_by(self, settings: Settings) -> None:
        """Other keys are good from now on."""
        self._path.verify_by(_verifier(settings))

    def log_anew(self) -> None:
        """The level of the log is another one from now on."""
        self._path.log_anew()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{self._settings.address.host}:{self.port}"


def _verifier(settings: Settings) -> Verifier:
    auth, keys = settings.auth, None
    if auth.access_key is not None and auth.secret_key is not None:
        others = {one.access_key: one.secret_key for one in settings.client_keys}
        keys = StaticKeys({auth.access_key: auth.secret_key} | others)
    return Verifier(keys, None, allow_unsigned_payload=auth.allow_unsigned_payload)


class AdminDoor:
    """The admin listener. `port` is where it listens."""

    def __init__(
        self,
        settings: Settings,
        standing: Standing,
        clock: Clock,
        more: Sequence[web.RouteDef],
        refused: Refused,
    ) -> None:
        self._settings = settings
        self._gate = OperatorGate(_operators(settings), refused)
        self._runner = web.AppRunner(build_admin(standing, clock, more, self._gate), access_log=None)
        self.port = 0

    async def open(self) -> None:
        """Listen. Raises S3dError."""
        address = self._settings.admin.address
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, address.host, address.port).start()
        except OSError as error:
            raise S3dError(
                f"cannot listen on {self._settings.admin.listen}: {error.strerror or error}",
                hint="is another daemon there? choose another --admin",
            ) from error
        self.port = self._runner.addresses[0][1]

    def know(self, settings: Settings) -> None:
        """Other operators are good from now on."""
        self._gate.replace(_operators(settings))

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()


def _operators(settings: Settings) -> Operators:
    return Operators({one.name: one.token_hash for one in settings.operators})


def paused_of(replication: Replication | Replications | None) -> Callable[[bool], None]:
    """Whom to tell that an operator has paused replication (True), or lets it go on."""
    if replication is None:
        return lambda _: None
    return lambda paused: replication.pause() if paused else replication.resume()


def resumed_of(replication: Replication | Replications | None) -> Callable[[Sequence[int]], None]:
    """Whom to tell that parked records may go on."""
    return replication.resumed if replication is not None else lambda _: None
