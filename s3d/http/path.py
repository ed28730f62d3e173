"""The path of every S3 request, from the socket to the answer, in this order:

    address        bucket, key and query from the target as sent        http/address.py
    authenticate   who asks, and how the body must be verified          auth/sigv4.py
    route          which operation is asked for                         protocol/router.py
    parse          the input, under botocore's names                    protocol/parser.py
    perform        authorise, decide, append, commit, read              operations/perform.py
    reply          status, headers, document or bytes                   http/reply.py

A browser's form is let in by what is in it, and answered as it asks: http/form_uploads.py.

Whatever a step raises becomes S3's error document in one place, with the request id that log and record carry too.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from aiohttp.web_request import BaseRequest

from s3d.auth.caller import Caller
from s3d.auth.payload import body_claims, is_chunked
from s3d.auth.sigv4 import Authenticated, Verifier
from s3d.blobs.pool import BlobPool
from s3d.checksums import NO_CLAIMS
from s3d.clock import Clock, milliseconds
from s3d.errors import S3Error
from s3d.http import address
from s3d.http.admission import Admission
from s3d.http.body import IDLE_SECONDS, MEMORY_BYTES, RequestBody
from s3d.http.form_uploads import OPERATION as POST_OBJECT
from s3d.http.form_uploads import FormUploads, form_boundary
from s3d.http.reply import Answer, Replier
from s3d.operations.calls import Call, Reply
from s3d.operations.durability import HEADER, TIMEOUT_HEADER, read_headers
from s3d.operations.ordering import BARRIER_HEADER, GROUP_HEADER, read_order
from s3d.operations.perform import Operations
from s3d.protocol.errors import status_of
from s3d.protocol.parser import Parser, body_bytes_max
from s3d.protocol.router import Router

_log = structlog.get_logger("s3d.http")
_CHECKSUMS_OF_THE_OBJECT = frozenset({"CompleteMultipartUpload"})
_LONG = frozenset(
    {
        "CompleteMultipartUpload",
        "DeleteObjects",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
    }
)  # up to 1,000 entries, or 10,000 parts
_EXPECTED = frozenset(
    {"NotImplemented", "NotReplicatedYet", "RemoteUnreachable", "SlowDown"}
)  # answers, not faults of ours
_NOT_LET_IN = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "InvalidToken",
    }
)  # beside everything that is 403
_READING = frozenset({"GET", "HEAD"})
_LOOPBACK = ("127.", "::1", "::ffff:127.")


Refused = Callable[[str, str, str, str, str, str], None]
"""Told of who was not let in: error code, address, method, target as sent, `Authorization`, request id."""


class RequestObserver(Protocol):
    """Whoever counts requests."""

    def request(self, operation: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def body_in(self, size_bytes: int) -> None:
        """A client's body arrived, and holds what it claims."""

    def body_out(self, size_bytes: int) -> None:
        """A body went out to a client."""

    def read(self, source: str) -> None:
        """A body was read: `local` or `remote`."""

    def fsync(self, seconds: float) -> None:
        """A body's own file was synced."""


class RequestPath:
    """Handles one request after another; everything it needs is handed in."""

    def __init__(
        self,
        *,
        router: Router,
        parser: Parser,
        verifier: Verifier,
        operations: Operations,
        replier: Replier,
        pool: BlobPool,
        clock: Clock,
        observer: RequestObserver,
        inline_bytes_max: int,
        object_bytes_max: int,
        admission: Admission | None = None,
        idle_seconds: float = IDLE_SECONDS,
        base_domains: tuple[str, ...] = (),
        refused: Refused = lambda *_: None,
    ) -> None:
        self._router = router
        self._parser = parser
        self._verifier = verifier
        self._operations = operations
        self._replier = replier
        self._pool = pool
        self._clock = clock
        self._observer = observer
        self._inline_bytes_max = inline_bytes_max
        self._object_bytes_max = object_bytes_max
        self._base_domains = base_domains
        self._refused = refused
        self._admission = admission or Admission(memory_bytes_max=MEMORY_BYTES, large_bodies_max=1000)
        self._idle_seconds = idle_seconds
        self._forms = FormUploads(
            parser=parser,
            verifier=lambda: self._verifier,
            operations=operations,
            replier=replier,
            pool=pool,
            admission=self._admission,
            inline_bytes_max=inline_bytes_max,
            object_bytes_max=object_bytes_max,
            idle_seconds=idle_seconds,
            synced=observer.fsync,
            count=observer.body_in,
        )
        self._run = secrets.token_hex(4).upper()
        self._numbers = itertools.count(1)
        self.log_anew()

    def log_anew(self) -> None:
        """Another level holds from now on. Bound once: that costs more than the line that is not written."""
        self._debug = _log.bind().debug

    def verify_by(self, verifier: Verifier) -> None:
        """Other keys are good for every request that comes from now on."""
        self._verifier = verifier

    async def handle(self, request: BaseRequest) -> Answer:
        """Answer a request. Raises only ConnectionError, when there is nobody to answer or no way to."""
        request_id = f"{self._run}{next(self._numbers):08X}"
        began = time.perf_counter()
        operation, status = "-", 500
        target = request.raw_path
        try:
            host_bucket = address.bucket_of_host(request.headers.get("Host"), self._base_domains)
            parsed = address.parse(target, host_bucket)
            now = self._clock.now()
            if request.method == "POST" and (boundary := form_boundary(request, parsed)) is not None:
                operation = POST_OBJECT  # its signature is in the form
                answered = await self._forms.put(
                    request, parsed.bucket, boundary, request_id, now, secure=_is_secure(request)
                )
                status = answered.status
                return answered
            authenticated = self._authenticate(request, parsed, now)
            operation = self._router.route(
                request.method, parsed.bucket or None, parsed.key or None, parsed.query, request.headers
            )
            self._operations.check_known(operation)
            response = await self._respond(request, parsed, authenticated, operation, request_id, now)
            status = response.status
            return response
        except S3Error as error:
            status = status_of(error.code)
            if status >= 500 and error.code not in _EXPECTED:
                _log.warning("request failed", code=error.code, message=error.message, request=request_id)
            if status == 403 or error.code in _NOT_LET_IN:
                authorization = request.headers.get("Authorization", "")
                self._refused(error.code, request.remote or "", request.method, target, authorization, request_id)
            return self._replier.error(request, error, target.partition("?")[0], request_id)
        except ConnectionError:
            status = 499  # nobody is there to see it; the number is nginx's
            raise
        except Exception:  # noqa: BLE001 - the boundary: reported, and answered as S3 does
            _log.exception("request failed unexpectedly", operation=operation, request=request_id)
            internal = S3Error("InternalError", "We encountered an internal error. Please try again.")
            return self._replier.error(request, internal, target.partition("?")[0], request_id)
        finally:
            seconds = time.perf_counter() - began
            self._observer.request(operation, status, seconds)
            self._debug("request", operation=operation, status=status, seconds=seconds, request=request_id)

    def _authenticate(self, request: BaseRequest, parsed: address.Address, now: float) -> Authenticated:
        peer = request.remote or ""
        return self._verifier.authenticate(
            request.method,
            parsed.path,
            parsed.query_text,
            request.headers,
            now=now,
            secure=_is_secure(request),
            source=peer,
        )

    async def _respond(
        self,
        request: BaseRequest,
        parsed: address.Address,
        authenticated: Authenticated,
        operation: str,
        request_id: str,
        now: float,
    ) -> Answer:
        headers = request.headers
        if request.method in _READING and not request.body_exists and not is_chunked(authenticated.payload):
            claims = NO_CLAIMS  # nothing to hold them against
        else:
            about_body = operation not in _CHECKSUMS_OF_THE_OBJECT
            claims = body_claims(authenticated.payload, headers, checksum_headers=about_body)
        body = RequestBody(
            request.content,
            authenticated.payload,
            claims,
            self._pool,
            inline_bytes_max=self._inline_bytes_max,
            object_bytes_max=self._object_bytes_max,
            continue_to=request.transport if headers.get("Expect", "").lower() == "100-continue" else None,
            admission=self._admission,
            connection=request.transport,
            idle_seconds=self._idle_seconds,
            synced=self._observer.fsync,
        )
        try:
            given = await self._input(operation, parsed, request, body)
            call = self._call(operation, authenticated.caller, parsed, given, body, request_id, now, headers)
            reply = await self._operations.perform(call)
            answer = await self._replier.send(request, operation, reply, request_id)
            self._count(body, reply)
            return answer
        finally:
            body.close()

    def _count(self, body: RequestBody, reply: Reply) -> None:
        if body.received_bytes:
            self._observer.body_in(body.received_bytes)
        if reply.content is not None:
            self._observer.read("local" if reply.content.stream is None else "remote")
            self._observer.body_out(reply.content.size)

    async def _input(
        self, operation: str, parsed: address.Address, request: BaseRequest, body: RequestBody
    ) -> dict[str, Any]:
        document = None
        if self._parser.takes_document(operation):
            document = await body.document(body_bytes_max(operation))
        if operation in _LONG:
            await self._admission.long_request()
        return self._parser.parse(
            operation, parsed.bucket or None, parsed.key or None, parsed.query, request.headers, document
        )

    def _call(
        self,
        operation: str,
        caller: Caller,
        parsed: address.Address,
        given: dict[str, Any],
        body: RequestBody,
        request_id: str,
        now: float,
        headers: Mapping[str, str],
    ) -> Call:
        asked = read_headers(headers.get(HEADER), headers.get(TIMEOUT_HEADER))
        since_ms = milliseconds(now)
        order = read_order(headers.get(GROUP_HEADER), headers.get(BARRIER_HEADER))
        return Call(operation, caller, parsed.bucket, parsed.key, given, body, request_id, since_ms, asked, body, order)


def _is_secure(request: BaseRequest) -> bool:
    """Whether nobody on the way can change a body: its client is on this machine, or a proxy with TLS is."""
    return (request.remote or "").startswith(_LOOPBACK)
