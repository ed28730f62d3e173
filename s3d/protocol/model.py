"""S3's service model, compiled once into small immutable tables.

botocore ships the model that AWS publishes: every operation with its method, path, headers, query parameters and
document. `compile_service` reads it, applies `patches.py`, and keeps only what a server needs (names, places and
types), so that botocore's own structures, mostly documentation, can be freed. The composition root calls it once and
hands the one `Service` to the router, the parser and the serializer; nothing happens at import time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl

from botocore.loaders import Loader
from botocore.model import ServiceModel

from s3d.protocol import patches

Kind = Literal["structure", "list", "map", "string", "integer", "long", "boolean", "timestamp", "blob"]
Location = Literal["body", "header", "headers", "querystring", "uri"]
Level = Literal["service", "bucket", "object"]
Content = Literal["nothing", "document", "text", "stream", "events"]

LEVEL_OF_PATH: Final[Mapping[str, Level]] = {"/": "service", "/{Bucket}": "bucket", "/{Bucket}/{Key+}": "object"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A type. `members` for structures, `item` and `item_name` (the element's name) for lists."""

    name: str
    kind: Kind
    timestamp: str = ""  # "iso8601", "rfc822", or "" for the default of the place
    members: "tuple[Member, ...]" = ()
    item: "Shape | None" = None
    item_name: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure: botocore's `name`, the `wire` name (header, parameter, element), and where it is."""

    name: str
    wire: str
    shape: Shape
    location: Location
    required: bool
    flattened: bool
    attribute: bool  # an XML attribute of the enclosing element: only Grantee's xsi:type
    longest: int | None  # entries that a list may have


@dataclass(frozen=True, slots=True)
class Message:
    """One direction of an operation: the members in header, query and path, and what the body holds."""

    head: tuple[Member, ...]
    content: Content
    payload: Member | None  # the member that is the whole body, if one is
    document: Shape | None  # the body as a structure, where `content` is "document"
    root: str  # the document's root element


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the S3 API. `literals` are the query parameters in its path: name and value, which may be ""."""

    name: str
    method: str
    level: Level
    path: str  # a literal path that is no bucket, or ""
    literals: tuple[tuple[str, str], ...]
    status: int
    input: Message
    output: Message


@dataclass(frozen=True, slots=True)
class Service:
    """All operations by name."""

    operations: Mapping[str, Operation]


def compile_service() -> Service:
    """Compile botocore's S3 model. Reads one bundled file; takes about 0.1 s."""
    raw = Loader().load_service_model("s3", "service-2")
    model = ServiceModel(raw, "s3")
    compiler = _Compiler()
    operations = {name: compiler.operation(model.operation_model(name)) for name in model.operation_names}
    _check_patches(operations, compiler.shapes)
    return Service(MappingProxyType(operations))


class _Compiler:
    """Turns botocore's shapes into ours; equal shapes become one object."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[str, str], Shape] = {}
        self._open: set[str] = set()

    def operation(self, model: Any) -> Operation:
        path, _, query = model.http["requestUri"].partition("?")
        level = LEVEL_OF_PATH.get(path)
        return Operation(
            name=model.name,
            method=model.http["method"],
            level=level or "service",
            path="" if level else path.lstrip("/"),
            literals=tuple(parse_qsl(query, keep_blank_values=True)),
            status=patches.STATUS.get(model.name, model.http.get("responseCode", 200)),
            input=self._message(model.input_shape, root=""),
            output=self._message(model.output_shape, root=patches.ROOTS.get(model.name, "")),
        )

    def _message(self, shape: Any, root: str) -> Message:
        if shape is None:
            return Message(head=(), content="nothing", payload=None, document=None, root="")
        members = self.shape(shape).members
        head = tuple(member for member in members if member.location != "body")
        payload_name = shape.serialization.get("payload")
        if payload_name is not None:
            payload = next(member for member in members if member.name == payload_name)
            content = _content_of(shape.members[payload_name])
            document = payload.shape if content == "document" else None
            return Message(head, content, payload, document, root=payload.wire if document else "")
        body = tuple(member for member in members if member.location == "body")
        if not body:
            return Message(head=head, content="nothing", payload=None, document=None, root="")
        document = Shape(name=shape.name, kind="structure", members=body)
        return Message(head, "document", None, document, root=root or shape.serialization["name"])

    def shape(self, shape: Any) -> Shape:
        timestamp = shape.serialization.get("timestampFormat", "")
        known = self.shapes.get((shape.name, timestamp))
        if known is not None:
            return known
        assert shape.name not in self._open, f"{shape.name} contains itself: the tables need a way to say so"
        self._open.add(shape.name)
        compiled = self._compile(shape, timestamp)
        self._open.discard(shape.name)
        self.shapes[shape.name, timestamp] = compiled
        return compiled

    def _compile(self, shape: Any, timestamp: str) -> Shape:
        kind = cast("Kind", shape.type_name)
        if kind == "structure":
            if shape.serialization.get("eventstream"):
                return Shape(shape.name, kind)  # event streams are framed by whoever writes them
            required = {*shape.required_members, *patches.REQUIRED.get(shape.name, ())}
            members = (self._member(shape.name, name, member, required) for name, member in shape.members.items())
            return Shape(shape.name, kind, members=tuple(members))
        if kind == "list":
            item_name = shape.member.serialization.get("name", "member")
            return Shape(shape.name, kind, item=self.shape(shape.member), item_name=item_name)
        return Shape(shape.name, kind, timestamp)

    def _member(self, owner: str, name: str, member: Any, required: set[str]) -> Member:
        place = member.serialization
        shape = self.shape(member)
        if owner.endswith("Request") and name in patches.TEXT:
            shape = Shape(shape.name, "string")
        return Member(
            name=name,
            wire=place.get("name", name),
            shape=shape,
            location=place.get("location", "body"),
            required=name in required,
            flattened=bool(place.get("flattened")),
            attribute=bool(place.get("xmlAttribute")),
            longest=patches.LONGEST.get((owner, name)),
        )


def _content_of(payload: Any) -> Content:
    if payload.serialization.get("eventstream"):
        return "events"
    kinds: dict[str, Content] = {"blob": "stream", "string": "text", "structure": "document"}
    return kinds[payload.type_name]


def _check_patches(operations: Mapping[str, Operation], shapes: Mapping[tuple[str, str], Shape]) -> None:
    """A patch for something that the model does not have is a bug here, or a newer model that needs a look."""
    tables = (patches.UNROUTED, patches.STATUS, patches.ROOTS, patches.ROOT_ALIASES, patches.MALFORMED)
    more = (patches.BODY_BYTES, patches.URL_ENCODED, patches.HEADERS)
    for name in (name for table in (*tables, *more) for name in table):
        assert name in operations, f"patches.py names {name}, which the model does not have"
    names = {shape for shape, _ in shapes}
    for name in (*patches.REQUIRED, *(shape for shape, _ in patches.LONGEST)):
        assert name in names, f"patches.py names the shape {name}, which the model does not have"
