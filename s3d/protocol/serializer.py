"""Outputs into responses: status, headers and document, from botocore's own member names.

Streaming payloads (GetObject's Body) and event streams are not written here: the response then has an empty body, and
whoever sends the bytes knows how many there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from s3d.protocol import patches
from s3d.protocol.elements import (
    PROLOG,
    Writer,
    boolean_text,
    escape,
    http_date_text,
    iso8601_text,
    structure_writer,
)
from s3d.protocol.listing import LISTINGS, listing_writer
from s3d.protocol.metadata import to_wire
from s3d.protocol.model import Member, Message, Operation, Service

Output = Mapping[str, Any]
Head = list[tuple[str, str]]

XML: Final = ("Content-Type", "application/xml")
JSON: Final = ("Content-Type", "application/json")


class Response(msgspec.Struct, frozen=True, gc=False):
    """What goes back: headers as they are to be sent (without Content-Length), and the body unless it is streamed."""

    status: int
    headers: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class _Plan:
    status: int
    partial: bool  # answers 206 where the output has a ContentRange
    members: frozenset[str]
    headers: Mapping[str, tuple[str, Callable[[Any], str]]]
    metadata: tuple[str, str] | None  # member and the prefix of its headers
    content_type: tuple[str, str] | None
    body: Callable[[Output], bytes] | None


class Serializer:
    """Compiled once; `serialize` is pure."""

    def __init__(self, service: Service) -> None:
        self._plans = {operation.name: _compile(operation) for operation in service.operations.values()}

    def serialize(self, operation: str, output: Output) -> Response:
        """The response to a request that succeeded.

        Members that are None are left out. A moment may be a datetime or the text that is to be sent. A member that
        the operation does not have is a bug of the caller.
        """
        plan = self._plans[operation]
        assert plan.members.issuperset(output), f"{operation} has no {set(output) - plan.members}"
        headers: Head = []
        find = plan.headers.get
        for name, value in output.items():
            header = find(name)
            if header is not None and value is not None:
                headers.append((header[0], header[1](value)))
        if plan.metadata is not None:
            member, prefix = plan.metadata
            headers += [(prefix + name, to_wire(value)) for name, value in (output.get(member) or {}).items()]
        status = 206 if plan.partial and output.get("ContentRange") else plan.status
        if plan.body is None:
            return Response(status, headers, b"")
        body = plan.body(output)
        if body and plan.content_type is not None:
            headers.append(plan.content_type)
        return Response(status, headers, body)


def _compile(operation: Operation) -> _Plan:
    message = operation.output
    metadata = next((m for m in message.head if m.location == "headers"), None)
    body_members = message.document.members if message.document and message.payload is None else ()
    payload = (message.payload,) if message.payload else ()
    return _Plan(
        status=operation.status,
        partial=operation.name in patches.PARTIAL,
        members=frozenset(member.name for member in (*message.head, *body_members, *payload)),
        headers={m.name: (m.wire, _header_text_of(m)) for m in message.head if m.location == "header"},
        metadata=(metadata.name, metadata.wire) if metadata else None,
        content_type=JSON if message.content == "text" else XML if message.content == "document" else None,
        body=_compile_body(operation.name, message),
    )


def _header_text_of(member: Member) -> Callable[[Any], str]:
    kind = member.shape.kind
    if kind == "boolean":
        return boolean_text
    if kind in {"integer", "long"}:
        return str
    if kind == "timestamp":
        return iso8601_text if member.shape.timestamp == "iso8601" else http_date_text
    assert kind == "string", f"{member.name}: no {kind} is known in a response header"
    return _one_line


def _one_line(value: str) -> str:
    """Nothing that a client once gave us may end a header: control characters become spaces."""
    if value.isprintable():
        return value
    return "".join(" " if ord(c) < 0x20 or ord(c) == 0x7F else c for c in value)


def _compile_body(name: str, message: Message) -> Callable[[Output], bytes] | None:
    if message.content == "text" and message.payload is not None:
        return _text_body(message.payload.name)
    if message.document is None:
        return None
    if name == "GetBucketLocation":
        return _location_body
    opening = f'{PROLOG}<{message.root} xmlns="{patches.XML_NAMESPACE}">'
    closing = f"</{message.root}>"
    plain = _writer(name, message, url_encoding=False)
    encoded = _writer(name, message, url_encoding=True) if name in patches.URL_ENCODED else plain
    payload = message.payload.name if message.payload else ""

    def body(output: Output) -> bytes:
        value = output.get(payload) if payload else output
        if value is None:
            return b""
        parts = [opening]
        (encoded if output.get("EncodingType") == "url" else plain)(value, parts)
        parts.append(closing)
        return "".join(parts).encode("utf-8", "replace")

    return body


def _writer(name: str, message: Message, *, url_encoding: bool) -> Writer:
    assert message.document is not None
    paths = patches.URL_ENCODED[name] if url_encoding else ()
    if name in LISTINGS:
        return listing_writer(message.document, paths)
    return structure_writer(message.document, paths)


def _text_body(payload: str) -> Callable[[Output], bytes]:
    def body(output: Output) -> bytes:
        return str(output.get(payload) or "").encode("utf-8", "replace")

    return body


def _location_body(output: Output) -> bytes:
    """GetBucketLocation's document is one element, empty for us-east-1."""
    place = output.get("LocationConstraint")
    opening = f'{PROLOG}<LocationConstraint xmlns="{patches.XML_NAMESPACE}"'
    if not place:
        return f"{opening}/>".encode()
    return f"{opening}>{escape(place)}</LocationConstraint>".encode("utf-8", "replace")
