"""The admin listener: where the daemon stands, for `s3d status` and its siblings, for probes and for Prometheus.

    GET  /healthz   200 while the process can do its work, 503 after the journal has failed, or hangs: restart it
    GET  /readyz    200 while requests are accepted and everything acknowledged can be read, else 503
    GET  /metrics   Prometheus text
    GET  /status    /pending?prefix=&after=&limit=    /parked?after=&limit=
    GET  /wait?seq=N | ?prefix=BUCKET/P | ?all=1      [&through=N][&timeout=S]: answers when it is so, or when S is over
                          (http/waits.py)
    GET  /records/SEQ     one record and what has become of it
    GET  /records/SEQ/body  its bytes (http/dead_letters.py, as /parked/rekey)
    GET  /v1/receipts/SEQ what the remote said when it took the record
    GET  /v1/conflicts?after=&limit=   writes that met somebody else's
    GET  /v1/events       what becomes of records, as server-sent events (http/streams.py)
    POST /parked/resume   {"seqs": ["1-42"]}, or {"seqs": null} for all
    POST /parked/drop     {"seqs": ["1-42"]}: never send them
    POST /replication/pause   {"reason": "..."}: begin nothing more at the remote, also after a restart
    POST /replication/resume  {"reason": "..."}: go on
    POST /parked/rekey    {"seq": "1-42", "key": "KEY"}: send it under another key
    /bundle/…  /cache…    for `s3d bundle` and `s3d cache` (http/bundles.py, http/cache_routes.py)
    /v1/remote            what the remote can do (http/remote_routes.py)
    /v1/journal           the records themselves, and bodies, for `s3d audit` and `--at` (http/journal_routes.py)
    /v1/losses            lost records, and that a person accepts it (http/loss_routes.py)
    POST /v1/restore      a key is to be again what it was (http/restore_routes.py)

It listens on loopback and trusts whoever can reach that, so it has to keep out what reaches loopback uninvited: web
pages. A name that resolves to 127.0.0.1 (DNS rebinding) fails the check of `Host`; a page that posts across origins
fails the check of `Origin`, and a form cannot send the content type that POST asks for. Where there are operators,
whatever changes something needs the token of one (http/operators.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from journal import JournalError, Record
from s3d.auth.operators import Operator, Operators
from s3d.clock import Clock
from s3d.config.addresses import is_loopback
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.dead_letters import DeadLetters
from s3d.http.operators import OperatorGate, operator_of
from s3d.http.parameters import limit_of, only
from s3d.http.streams import Streams
from s3d.http.waits import Waits
from s3d.operations.announcing import Page
from s3d.operations.exporting import RecordBody
from s3d.operations.records import pending_record
from s3d.telemetry.flow import UploadReport
from s3d.telemetry.metrics import CONTENT_TYPE
from s3d.telemetry.obstacles import Obstacle
from s3d.telemetry.report import (
    ConflictPage,
    ConflictReport,
    Dropped,
    LinkEvent,
    PauseChanged,
    PauseReport,
    PendingPage,
    Problem,
    Receipt,
    RecordReport,
    Resumed,
    Status,
    format_sequence,
    sequence_in,
)
from s3d.view.damage import ViewDamaged
from s3d.view.rows import Holding, PendingRow, PendingTotals

PAGE_RECORDS = 1000
PAGE_RECORDS_MAX = 10_000
UPLOADS_MAX = 1000
REASON_CHARACTERS_MAX = 500


class AdminSource(Protocol):
    """What the admin listener needs to know, and the one thing that it may do. Called on the event loop."""

    @property
    def epoch(self) -> int:
        """The journal's epoch."""

    @property
    def head(self) -> int:
        """The sequence number of the last record."""

    @property
    def replicates(self) -> bool:
        """Whether a remote is configured."""

    def sick(self) -> str:
        """Why this process has to be restarted; empty while it is well."""

    def unready(self) -> str:
        """Why requests are not accepted; empty while they are."""

    def crowded(self) -> str:
        """Why traffic had better go elsewhere, although requests are answered; empty: it need not."""

    async def status(self) -> Status:
        """Where the daemon stands."""

    async def pending(self, prefix: str, after: int, limit: int) -> Sequence[PendingRow]:
        """Unconfirmed records after a sequence whose `bucket/key` begins with `prefix`, in order."""

    async def pending_record(self, sequence: int) -> PendingRow | None:
        """One unconfirmed record; None: confirmed, or not a mutation."""

    async def remaining(self, prefix: str, through: int, since: int) -> PendingTotals:
        """Totals of the unconfirmed records from `since` through a sequence whose `bucket/key` begins with `prefix`."""

    async def parked(self, after: int, limit: int) -> Sequence[PendingRow]:
        """Records that wait for a person, after a sequence, in order."""

    async def resume(self, sequences: tuple[int, ...] | None, who: Operator) -> tuple[int, ...]:
        """Let parked records try again (None: all); those that were parked. Raises S3dError when none of them is."""

    async def discard(self, sequences: tuple[int, ...], who: Operator) -> tuple[int, ...]:
        """Give up parked records for good. Raises S3dError when one of them cannot be; then none is."""

    async def paused(self) -> PauseReport | None:
        """That an operator has paused replication; None: nobody has."""

    async def pause(self, reason: str, who: Operator) -> PauseChanged:
        """Begin nothing more at the remote, durably. Raises S3dError where there is none."""

    async def go_on(self, reason: str, who: Operator) -> PauseChanged:
        """Let it go on, durably."""

    async def holding(self, *, exact: bool = True) -> Holding:
        """What waits for which parked record; not `exact`: as it was a moment ago, where finding out takes a while."""

    async def uploads(self, limit: int) -> tuple[UploadReport, ...]:
        """How far the first multipart uploads are of which the remote does not have everything."""

    async def obstacles(self, bucket: str = "") -> tuple[Obstacle, ...]:
        """Why what is pending stays where it is, in one bucket or anywhere."""

    async def rekey(self, sequence: int, key: str, who: Operator) -> Record:
        """Give up a parked record, and write its object under another key: the new record. Raises S3dError."""

    async def body(self, sequence: int) -> RecordBody:
        """The bytes of a pending record. Raises S3dError."""

    async def record(self, sequence: int) -> RecordReport | None:
        """One record; None: there is none, or its file has been dropped."""

    async def receipt(self, sequence: int) -> Receipt:
        """What became of a mutation. Raises S3dError when there is nothing to say."""

    async def conflicts(self, after: int, limit: int) -> Sequence[ConflictReport]:
        """Conflicts found behind a place in the journal, in order."""

    def link_event(self) -> LinkEvent | None:
        """Where the link stands; None: no remote is configured."""

    async def announced(self, after: int, kinds: frozenset[str]) -> Page:
        """What has become of records, behind a place in the journal."""

    async def changed(self, after: int) -> None:
        """Return when the journal has a record after this sequence."""

    async def metrics(self) -> bytes:
        """Prometheus' text format."""


def build_admin(
    source: AdminSource, clock: Clock, more: Sequence[web.RouteDef] = (), gate: OperatorGate | None = None
) -> web.Application:
    """The application, with `more` routes of other modules; the caller gives it a loopback socket. Without a `gate`
    anybody may do everything.
    """
    gate = gate or OperatorGate(Operators({}), lambda *_: None)
    admin = _Admin(source, clock)
    application = web.Application(middlewares=[_guard, gate.middleware(), _problems], client_max_size=1024 * 1024)
    application.on_shutdown.append(admin.close)
    application.add_routes(
        [
            web.get("/healthz", admin.healthz),
            web.get("/readyz", admin.readyz),
            web.get("/metrics", admin.metrics),
            web.get("/status", admin.status),
            web.get("/pending", admin.pending),
            web.get("/parked", admin.parked),
            web.get("/wait", admin.wait),
            web.get("/records/{seq}", admin.record),
            web.get("/records/{seq}/body", admin.body),
            web.get("/v1/receipts/{seq}", admin.receipt),
            web.get("/v1/events", admin.events),
            web.get("/v1/conflicts", admin.conflicts),
            web.post("/parked/resume", admin.resume),
            web.post("/parked/drop", admin.drop),
            web.post("/replication/pause", admin.pause),
            web.post("/replication/resume", admin.go_on),
            web.post("/parked/rekey", admin.rekey),
            *more,
        ]
    )
    return application


class _ResumeRequest(msgspec.Struct, forbid_unknown_fields=True):
    seqs: tuple[str, ...] | None


class _DropRequest(msgspec.Struct, forbid_unknown_fields=True):
    seqs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _ReasonRequest(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class _Admin:
    def __init__(self, source: AdminSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._closing = asyncio.Event()
        self._dead_letters = DeadLetters(source)
        self._streams = Streams(source, clock, self._closing, self._change)
        self._waits = Waits(source, clock, self._closing, self._change)

    async def healthz(self, request: web.Request) -> web.Response:
        return _probe(self._source.sick())

    async def readyz(self, request: web.Request) -> web.Response:
        return _probe(self._source.sick() or self._source.unready() or self._source.crowded())

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._source.metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def status(self, request: web.Request) -> web.Response:
        return json_answer(await self._source.status())

    async def pending(self, request: web.Request) -> web.Response:
        only(request, "prefix", "after", "limit")
        limit, prefix = limit_of(request, PAGE_RECORDS, PAGE_RECORDS_MAX), request.query.get("prefix", "")
        after = self._after(request)
        rows = await self._source.pending(prefix, after, limit + 1)
        uploads = () if after else await self._source.uploads(UPLOADS_MAX)
        among = tuple(one for one in uploads if f"{one.bucket}/{one.key}".startswith(prefix))
        return self._page(rows, limit, await self._source.holding(), await self._source.paused(), among)

    async def parked(self, request: web.Request) -> web.Response:
        only(request, "after", "limit")
        limit = limit_of(request, PAGE_RECORDS, PAGE_RECORDS_MAX)
        rows = await self._source.parked(self._after(request), limit + 1)
        return self._page(rows, limit, await self._source.holding(), None, ())

    async def resume(self, request: web.Request) -> web.Response:
        only(request)
        try:
            wanted = msgspec.json.decode(await request.read(), type=_ResumeRequest).seqs
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint='send {"seqs": ["1-42"]}') from None
        sequences = None if wanted is None else tuple(sequence_in(self._source.epoch, one) for one in wanted)
        resumed = await self._source.resume(sequences, operator_of(request))
        return json_answer(Resumed(tuple(format_sequence(self._source.epoch, one) for one in resumed)))

    async def drop(self, request: web.Request) -> web.Response:
        only(request)
        try:
            named = msgspec.json.decode(await request.read(), type=_DropRequest).seqs
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint='send {"seqs": ["1-42"]}') from None
        sequences = tuple(sequence_in(self._source.epoch, one) for one in named)
        dropped = await self._source.discard(sequences, operator_of(request))
        return json_answer(Dropped(tuple(format_sequence(self._source.epoch, one) for one in dropped)))

    async def pause(self, request: web.Request) -> web.Response:
        return json_answer(await self._source.pause(await _reason(request), operator_of(request)))

    async def go_on(self, request: web.Request) -> web.Response:
        return json_answer(await self._source.go_on(await _reason(request), operator_of(request)))

    async def rekey(self, request: web.Request) -> web.Response:
        only(request)
        return json_answer(await self._dead_letters.rekey(request))

    async def body(self, request: web.Request) -> web.StreamResponse:
        only(request)
        return await self._dead_letters.body(request)

    async def record(self, request: web.Request) -> web.Response:
        only(request)
        sequence = sequence_in(self._source.epoch, request.match_info["seq"])
        found = await self._source.record(sequence)
        if found is None:
            raise S3dError(f"there is no record {request.match_info['seq']}", hint="or its file was dropped long ago")
        return json_answer(found)

    async def receipt(self, request: web.Request) -> web.Response:
        only(request)
        return json_answer(await self._source.receipt(sequence_in(self._source.epoch, request.match_info["seq"])))

    async def conflicts(self, request: web.Request) -> web.Response:
        only(request, "after", "limit")
        limit = limit_of(request, PAGE_RECORDS, PAGE_RECORDS_MAX)
        found = await self._source.conflicts(self._after(request), limit + 1)
        return json_answer(ConflictPage(tuple(found[:limit]), found[limit - 1].found if len(found) > limit else ""))

    async def events(self, request: web.Request) -> web.StreamResponse:
        only(request, "after", "kinds")
        return await self._streams.serve(request)

    async def wait(self, request: web.Request) -> web.Response:
        only(request, "seq", "prefix", "all", "through", "timeout")
        return json_answer(await self._waits.answer(request.query))

    async def close(self, application: web.Application) -> None:
        """Have every wait answer now: a stop must not take as long as somebody is willing to wait."""
        self._closing.set()

    async def _change(self, seen: int, seconds: float) -> None:
        """Return when the journal goes on after `seen`, when the listener closes, or when the time is over."""
        events = [asyncio.ensure_future(one) for one in (self._source.changed(seen), self._closing.wait())]
        try:
            await asyncio.wait(events, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()
            await asyncio.gather(*events, return_exceptions=True)

    def _after(self, request: web.Request) -> int:
        return sequence_in(self._source.epoch, request.query.get("after", "0"))

    def _page(
        self,
        rows: Sequence[PendingRow],
        limit: int,
        holding: Holding,
        paused: PauseReport | None,
        uploads: tuple[UploadReport, ...],
    ) -> web.Response:
        now = self._clock.now()
        records = tuple(pending_record(self._source.epoch, now, row, holding) for row in rows[:limit])
        return json_answer(PendingPage(records, records[-1].seq if len(rows) > limit else "", paused, uploads))


# around every request

_PATHS = (
    "see /status, /pending, /parked, /records/SEQ, /wait, /v1/receipts/SEQ, /v1/events, /v1/conflicts, /v1/journal, "
    "/healthz, /readyz, /metrics"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn away what a web page could send."""
    if not _is_local(request.headers.get("Host", "")):
        return _problem(403, "this listener answers to loopback names only", "ask http://127.0.0.1 or http://localhost")
    if "Origin" in request.headers:
        return _problem(
            403, "this listener does not answer web pages", "use the s3d command, or a client without Origin"
        )
    if request.method == "POST" and request.content_type != "application/json":
        return _problem(415, "a POST here carries JSON", "send Content-Type: application/json")
    return await handler(request)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON: what the caller got wrong is a 400, a journal that cannot write now a 503."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _problem(error.status, error.reason, _PATHS if error.status == 404 else "")
    except (JournalError, ViewDamaged) as error:
        return _problem(503, error.message, error.hint)
    except S3dError as error:
        return _problem(400, error.message, error.hint)


async def _reason(request: web.Request) -> str:
    """Why somebody wants it, in their words."""
    only(request)
    try:
        return msgspec.json.decode(await request.read(), type=_ReasonRequest).reason
    except msgspec.MsgspecError as error:
        raise S3dError(f"the request is not understood: {error}", hint='send {"reason": "why"}') from None


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def _probe(reason: str) -> web.Response:
    if reason:
        return _problem(503, reason)
    return json_answer({"ok": True})


def _problem(status: int, error: str, hint: str = "") -> web.Response:
    return json_answer(Problem(error, hint), status=status)
