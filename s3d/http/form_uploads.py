"""PostObject: a browser's form puts an object, by a policy that somebody with keys has signed.

It becomes an ordinary PutObject, whose headers are the form's fields; only how it is let in and how it is answered are
its own. Source: "POST Object" in the S3 API reference.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import ClientError
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from s3d.auth.payload import Unsigned
from s3d.auth.post_policy import Policy
from s3d.auth.sigv4 import Verifier
from s3d.blobs.pool import BlobPool
from s3d.checksums import BodyClaims, claims_from
from s3d.clock import milliseconds
from s3d.commands.objects import ReceivedBody
from s3d.errors import S3Error
from s3d.http import address
from s3d.http.admission import Admission
from s3d.http.body import RequestBody, incomplete, timed_out
from s3d.http.form import Form, FormReader, boundary_of
from s3d.http.reply import Replier
from s3d.http.whole import Head, WholeAnswer
from s3d.operations.calls import Call
from s3d.operations.perform import Operations
from s3d.protocol.elements import PROLOG, escape
from s3d.protocol.parser import Parser

OPERATION = "PostObject"
_NOT_HEADERS = frozenset({"key", "policy", "tagging", "acl", "content-length"})


class FormBody(RequestBody):
    """The file of a form: its size is known when it has ended, and until then taken for that of the whole form."""

    def __init__(self, form_bytes: int, *positional: Any, **given: Any) -> None:
        super().__init__(*positional, **given)
        self._form_bytes = form_bytes

    @property
    def announced_bytes(self) -> int:
        """See `IncomingBody.announced_bytes`."""
        return self._form_bytes

    async def receive(self) -> ReceivedBody:
        """See `IncomingBody.receive`."""
        if self._form_bytes <= self._inline_bytes_max:
            await self._hold(self._form_bytes)
            received = await self._receive_small(0)
        else:
            async with self._admission.large_body():
                received = await self._receive_large()
        self.received_bytes = received.size
        return received


class FormUploads:
    """Handles one form after another. `verifier` gives the one that holds now, `count` is told of each body."""

    def __init__(
        self,
        *,
        parser: Parser,
        verifier: Callable[[], Verifier],
        operations: Operations,
        replier: Replier,
        pool: BlobPool,
        admission: Admission,
        inline_bytes_max: int,
        object_bytes_max: int,
        idle_seconds: float,
        synced: Callable[[float], None],
        count: Callable[[int], None],
    ) -> None:
        self._parser = parser
        self._verifier = verifier
        self._operations = operations
        self._replier = replier
        self._pool = pool
        self._admission = admission
        self._inline_bytes_max = inline_bytes_max
        self._object_bytes_max = object_bytes_max
        self._idle_seconds = idle_seconds
        self._synced = synced
        self._count = count

    async def put(
        self, request: BaseRequest, bucket: str, boundary: bytes, request_id: str, now: float, *, secure: bool
    ) -> WholeAnswer:
        """Put the file. Raises S3Error, and ConnectionError."""
        form_bytes = request.content_length
        if form_bytes is None:
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
        if request.transport is not None and request.headers.get("Expect", "").lower() == "100-continue":
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # who asks is only said behind the head
        reader = FormReader(request.content, boundary)
        form = await _read_fields(reader, self._idle_seconds)
        key, fields = key_of(form), form.fields
        shown = {**fields, "key": key, "bucket": bucket}
        caller, policy = self._verifier().authenticate_form(shown, now=now, secure=secure, source=request.remote or "")
        self._limit(reader, policy)
        given = put_input(self._parser, bucket, key, fields)
        body = self._body(form_bytes, reader, request, fields)
        try:
            since_ms = milliseconds(now)
            call = Call("PutObject", caller, bucket, key, given, body, request_id, since_ms, presence=body)
            reply = await self._operations.perform(call)
            whole = await self._replier.send(request, "PutObject", reply, request_id)
            self._count(body.received_bytes)
        finally:
            body.close()
        head = [(name, value) for name, value in whole.headers.items() if name.lower() != "content-length"]
        place = address.of_object(request.raw_path, request.headers).rstrip("/") or f"/{bucket}"
        return answer(fields, bucket, key, f"{place}/{quote(key, safe='/~')}", head, str(reply.output["ETag"]))

    def _limit(self, reader: FormReader, policy: Policy | None) -> None:
        reader.size_max = self._object_bytes_max
        if policy is not None:
            reader.size_min = policy.size_min
            if policy.size_max is not None:
                reader.size_max = min(policy.size_max, self._object_bytes_max)

    def _body(self, form_bytes: int, reader: FormReader, request: BaseRequest, fields: Mapping[str, str]) -> FormBody:
        return FormBody(
            form_bytes,
            cast("Any", reader),  # of a stream it is only `readany` that a body of no known size asks for
            Unsigned(),
            _claims(fields),
            self._pool,
            inline_bytes_max=self._inline_bytes_max,
            object_bytes_max=self._object_bytes_max,
            continue_to=None,
            admission=self._admission,
            connection=request.transport,
            idle_seconds=self._idle_seconds,
            synced=self._synced,
        )


def form_boundary(request: BaseRequest, parsed: address.Address) -> bytes | None:
    """The boundary of a form that is sent to a bucket; None for any other POST, one that is signed in its head too."""
    if not parsed.bucket or parsed.key or parsed.query or "Authorization" in request.headers:
        return None
    return boundary_of(request.headers.get("Content-Type", ""))


def key_of(form: Form) -> str:
    """The key, with the file's own name where the form asks for it. Raises InvalidArgument when there is none."""
    key = form.fields.get("key", "")
    if not key:
        raise S3Error(
            "InvalidArgument",
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            details={"ArgumentName": "key", "ArgumentValue": ""},
        )
    name = form.filename.replace("\\", "/").rpartition("/")[2]  # some browsers send the whole path
    return key.replace("${filename}", name)


def put_input(parser: Parser, bucket: str, key: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The form as the input of a PutObject. Raises S3Error."""
    headers = CIMultiDict({name: value for name, value in fields.items() if name not in _NOT_HEADERS})
    if "acl" in fields:
        headers["x-amz-acl"] = fields["acl"]
    if "tagging" in fields:
        document: Any = parser.parse("PutObjectTagging", bucket, key, [], {}, fields["tagging"].encode())
        tags = document["Tagging"].get("TagSet") or ()
        headers["x-amz-tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags], quote_via=quote)
    if any("\r" in value or "\n" in value or "\0" in value for value in headers.values()):
        raise S3Error("InvalidArgument", "A field of the form has more than one line.")
    return parser.parse("PutObject", bucket, key, [], headers, None)


def answer(fields: Mapping[str, str], bucket: str, key: str, location: str, head: Head, etag: str) -> WholeAnswer:
    """What the form asks to be answered with: a redirect, 200, 201 with a document, or else 204."""
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    if redirect and redirect.isprintable() and urlsplit(redirect).scheme in {"http", "https"}:
        told = urlencode({"bucket": bucket, "key": key, "etag": etag})
        target = f"{redirect}{'&' if urlsplit(redirect).query else '?'}{told}"
        return WholeAnswer(303, [*head, ("Location", target), ("Content-Length", "0")])
    head = [*head, ("Location", location)]
    wanted = fields.get("success_action_status")
    if wanted == "200":
        return WholeAnswer(200, [*head, ("Content-Length", "0")])
    if wanted != "201":
        return WholeAnswer(204, head)
    elements = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    document = f"{PROLOG}<PostResponse>{text}</PostResponse>".encode()
    return WholeAnswer(
        201, [*head, ("Content-Type", "application/xml"), ("Content-Length", str(len(document)))], document
    )


async def _read_fields(reader: FormReader, idle_seconds: float) -> Form:
    try:
        async with asyncio.timeout(idle_seconds):
            return await reader.fields()
    except TimeoutError:
        raise timed_out() from None
    except (ClientError, ConnectionError, HTTPException) as error:
        raise incomplete() from error


def _claims(fields: Mapping[str, str]) -> BodyClaims:
    """What the form says of its file's bytes."""
    about = {name: text for name, text in fields.items() if name.startswith("x-amz-checksum-") or name == "content-md5"}
    return claims_from(CIMultiDict(about))
