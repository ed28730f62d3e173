"""Requests into inputs: the words of a request under botocore's own member names, typed.

A request's head is read in one pass over what *it* has (a dozen headers), not over what it could have (PutObject: forty
members): each header's name is looked up in the operation's table, compiled once. Streaming bodies are not touched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from s3d.errors import S3Error
from s3d.protocol import patches
from s3d.protocol.convert import Convert, argument_text, invalid_argument
from s3d.protocol.document import compile_plan, read_document
from s3d.protocol.errors import MESSAGE
from s3d.protocol.metadata import from_wire, header_text
from s3d.protocol.model import Member, Message, Operation, Service

Input = dict[str, object]
Query = list[tuple[str, str | None]]
Headers = Mapping[str, str]  # case-insensitive; `items()` gives a repeated header as often as it came
Place = tuple[str, Convert | None]  # the member, and how its text becomes its value
Head = Callable[[str | None, str | None, Query, Headers], Input]

METADATA_PREFIX: Final = "x-amz-meta-"


@dataclass(frozen=True, slots=True)
class _Plan:
    head: Head
    read_body: Callable[[bytes, Input], None] | None


class Parser:
    """Compiled once; `parse` is pure."""

    def __init__(self, service: Service) -> None:
        self._plans = {
            operation.name: _Plan(_compile_head(_tables(operation)), _compile_body(operation))
            for operation in service.operations.values()
        }

    def parse(
        self,
        operation: str,
        bucket: str | None,
        key: str | None,
        query: Query,
        headers: Headers,
        body: bytes | None,
    ) -> Input:
        """The input of an operation that `Router.route` named (but PostObject, which is a form).

        `query` is percent-decoded. `body` is the whole document of an operation that has one, and is ignored for the
        others (streams are not read here). Raises S3Error: InvalidArgument, InvalidRequest, MalformedXML and its
        kin, MissingRequestBodyError, MaxMessageLengthExceeded.
        """
        plan = self._plans[operation]
        result = plan.head(bucket, key, query, headers)
        if plan.read_body is not None:
            plan.read_body(body or b"", result)
        return result

    def takes_document(self, operation: str) -> bool:
        """Whether the body is a document that `parse` wants to see; otherwise it is a stream, or there is none."""
        return self._plans[operation].read_body is not None


def body_bytes_max(operation: str) -> int:
    """How many bytes of a document may be read before the request is refused."""
    return patches.BODY_BYTES.get(operation, patches.BODY_BYTES_DEFAULT)


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where an operation's words are, by their names on the wire (headers in lower case)."""

    headers: Mapping[str, Place]
    parameters: Mapping[str, Place]
    metadata: str  # the member that takes x-amz-meta-*, or ""
    path: frozenset[str]
    required: tuple[Member, ...]


def _tables(operation: Operation) -> _Tables:
    reads = operation.method in {"GET", "HEAD"}
    members = operation.input.head
    maps = [member for member in members if member.location == "headers"]
    assert all(member.wire == METADATA_PREFIX for member in maps)
    more: dict[str, Place] = {
        wire.lower(): (name, None) for name, wire in patches.HEADERS.get(operation.name, {}).items()
    }
    return _Tables(
        headers=more
        | {m.wire.lower(): (m.name, argument_text(m, reads=reads)) for m in members if m.location == "header"},
        parameters={m.wire: (m.name, argument_text(m, reads=reads)) for m in members if m.location == "querystring"},
        metadata=maps[0].name if maps else "",
        path=frozenset(member.name for member in members if member.location == "uri"),
        required=tuple(member for member in members if member.required and member.location != "uri"),
    )


def _compile_head(tables: _Tables) -> Head:
    find, metadata = tables.headers.get, tables.metadata
    has_bucket, has_key = "Bucket" in tables.path, "Key" in tables.path

    def head(bucket: str | None, key: str | None, query: Query, headers: Headers) -> Input:
        result: Input = {}
        if has_bucket:
            result["Bucket"] = bucket
        if has_key:
            result["Key"] = key
        if query:
            _put_parameters(result, tables.parameters, query)
        for name, text in headers.items():
            lower = name.lower()
            place = find(lower)
            if place is not None:
                if place[1] is None and place[0] not in result and text.isascii():
                    result[place[0]] = text
                else:
                    _put_header(result, place, headers, name, text)
            elif metadata and lower.startswith(METADATA_PREFIX):
                _put_metadata(result, metadata, lower[len(METADATA_PREFIX) :], text)
        if tables.required:
            _require(result, tables.required)
        return result

    return head


def _put_parameters(result: Input, places: Mapping[str, Place], query: Query) -> None:
    """Of a parameter that was sent twice the first counts."""
    for name, text in query:
        place = places.get(name)
        if place is not None and place[0] not in result:
            _put(result, place, text or "")


def _put_header(result: Input, place: Place, headers: Headers, name: str, text: str) -> None:
    """A header that was sent more than once is the list of its values: that is also what was signed."""
    if place[0] in result:
        text = ",".join(text for other, text in headers.items() if other.lower() == name.lower())
    _put(result, place, text if place[1] is not None else header_text(text))


def _put(result: Input, place: Place, text: str) -> None:
    member, convert = place
    value = text if convert is None else convert(text)
    if value is not None:
        result[member] = value


def _put_metadata(result: Input, member: str, name: str, text: str) -> None:
    value = from_wire(text)
    known = result.setdefault(member, {})
    assert isinstance(known, dict)
    known[name] = f"{known[name]},{value}" if name in known else value  # as S3 and RFC 7230, section 3.2.2


def _require(result: Input, members: tuple[Member, ...]) -> None:
    for member in members:
        if member.name in result:
            continue
        if member.location == "header":
            raise S3Error("InvalidRequest", f"Missing required header for this request: {member.wire}")
        raise invalid_argument(member.wire, "", f"Missing required parameter for this request: {member.wire}")


def _compile_body(operation: Operation) -> Callable[[bytes, Input], None] | None:
    message = operation.input
    if message.content == "text":
        return _compile_text(operation)
    if message.document is None:
        return None
    plan = compile_plan(message.document)
    roots = (message.root, *patches.ROOT_ALIASES.get(operation.name, ()))
    limit = body_bytes_max(operation.name)
    malformed = patches.MALFORMED.get(operation.name, "MalformedXML")
    required = message.payload is None or message.payload.required

    def read(body: bytes, result: Input) -> None:
        if len(body) > limit:
            raise _too_long(limit)
        if body:
            _put_document(result, message, read_document(body, roots, plan, malformed))
        elif required:
            raise S3Error("MissingRequestBodyError", MESSAGE["MissingRequestBodyError"])

    return read


def _put_document(result: Input, message: Message, value: Input) -> None:
    if message.payload is not None:
        result[message.payload.name] = value
    else:
        result.update(value)


def _compile_text(operation: Operation) -> Callable[[bytes, Input], None]:
    payload = operation.input.payload
    assert payload is not None
    limit = body_bytes_max(operation.name)
    malformed = patches.MALFORMED[operation.name]

    def read(body: bytes, result: Input) -> None:
        if len(body) > limit:
            raise _too_long(limit)
        if not body:
            raise S3Error("MissingRequestBodyError", MESSAGE["MissingRequestBodyError"])
        try:
            result[payload.name] = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise S3Error(malformed, MESSAGE[malformed]) from error

    return read


def _too_long(limit: int) -> S3Error:
    return S3Error(
        "MaxMessageLengthExceeded",
        MESSAGE["MaxMessageLengthExceeded"],
        details={"MaxMessageLengthBytes": str(limit)},
    )
