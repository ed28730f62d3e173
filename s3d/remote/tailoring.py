"""What we ask of aiobotocore beyond its settings. Imports botocore, so it is itself imported late.

- Exactly one attempt: no retry on a kept connection, no region redirect, no HTTP redirect. A redirect would carry the
  credentials to whatever host the answer names; a hidden second PUT would be a second version of the object.
- A body's SHA-256 is known from the journal, so it is signed as it is, not computed again by reading the file on the
  event loop; where it is not known, a streamed body goes as UNSIGNED-PAYLOAD.
- No `Expect: 100-continue`: aiohttp waits for the 100 without a limit, and not every remote sends one.
- The checksum of an object that is read is asked for and handed on; whoever keeps the bytes verifies it, and botocore,
  which would compute it a second time, does not.
"""

from contextvars import ContextVar
from typing import Any

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from botocore.auth import AUTH_TYPE_MAPS, UNSIGNED_PAYLOAD, S3SigV4Auth

from s3d.remote.exchange import FIELDS_MAX, Answer, Exchange
from s3d.remote.lean import Request
from s3d.remote.outgoing import OutgoingBody

_SIGNER = "s3d-known-payload"
_PAYLOAD = "s3d_payload"
_TRAILED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class KnownPayloadAuth(S3SigV4Auth):  # type: ignore[misc]
    """SigV4 with the payload's hash as it was given."""

    def payload(self, request: Any) -> str:
        return str(request.context[_PAYLOAD])


class SingleAttemptSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's HTTP session over aiohttp sessions that neither redirect nor repeat."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._wrapped: _SingleAttempt | None = None
        self._exchange: Exchange | None = None
        self.has_proxies = bool(named.get("proxies"))
        self._error: ContextVar[Exception | None] = ContextVar("error", default=None)

    async def request(self, request: Request) -> Answer:
        """Send a request as `send` would where there is no proxy, and raise what aiohttp raises."""
        exchange = self._exchange
        if exchange is None:
            self._exchange = exchange = Exchange(await super()._get_session(None))
        return await exchange.request(request)

    async def explain(self, error: Exception, request: Request) -> None:
        """Raise what `send` would have made of this error."""
        token = self._error.set(error)
        try:
            await self.send(request)
        finally:
            self._error.reset(token)

    async def _get_session(self, proxy_url: str | None) -> "_SingleAttempt":
        if (error := self._error.get()) is not None:
            raise error
        found = self._wrapped
        if found is None or proxy_url is not None:
            found = _SingleAttempt(await super()._get_session(proxy_url))
            if proxy_url is None:
                self._wrapped = found
        return found


class _SingleAttempt:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        session._retry_connection = False  # noqa: SLF001 - aiohttp has no public name for it; a test holds us to it

    async def request(self, method: str, **arguments: Any) -> aiohttp.ClientResponse:
        return await self._session.request(method, allow_redirects=False, max_headers=FIELDS_MAX, **arguments)


def answered(response: Answer) -> AioAWSResponse:
    """An answer as aiobotocore's `send` returns it."""
    headers = {name.decode().lower(): value.decode() for name, value in response.raw_headers}
    return AioAWSResponse(response.url, response.status, headers, response)


def tailor(client: Any) -> None:
    """Register the hooks on a new S3 client."""
    AUTH_TYPE_MAPS.setdefault(_SIGNER, KnownPayloadAuth)
    client.meta.events.register_last("before-call.s3", _before_call)
    client.meta.events.register_first("choose-signer.s3", _choose_signer)


def _before_call(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context.setdefault("s3_redirect", {})["redirected"] = True  # botocore's redirector takes its one redirect as spent
    params["headers"].pop("Expect", None)
    context.get("checksum", {}).pop("response_algorithms", None)
    body = params.get("body")
    if not isinstance(body, OutgoingBody):
        return
    known = body.content.sha256_hex
    if (framing := body.content.framing) is not None:
        known = _TRAILED
        params["headers"] |= {
            "Content-Encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(framing.decoded_size),
            "x-amz-trailer": framing.trailer,
        }
    if body.in_memory:
        params["body"] = body.joined()
    elif not known:
        known = UNSIGNED_PAYLOAD
    if known:
        context[_PAYLOAD] = known


def _choose_signer(context: dict[str, Any], **_: Any) -> str | None:
    return _SIGNER if _PAYLOAD in context else None
