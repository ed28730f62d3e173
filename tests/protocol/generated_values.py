"""Random values for botocore's own shapes (not our tables, so that an error in those shows)."""

from datetime import UTC, datetime
from random import Random
from typing import Any

from s3d.protocol import patches

DOCUMENT_TEXT = "abcXYZ019 <>&\"'\t\n/=+%~*äß€𝄞-_.;:"  # no \r: botocore writes it bare, and XML reads \n
HEADER_TEXT = "abcXYZ019 <>&\"'/=+%~*-_.;:,()"
QUERY_TEXT = "abcXYZ019 <>&\"'/=+%~*äß€𝄞?#-_.;:"
KEY_TEXT = "abcXYZ019 <>&\"'/=+%~*äß€𝄞?#-_.;:\x01\x7f"


def value_of(shape: Any, random: Random, place: str = "body") -> Any:
    """A value that botocore would accept for this shape in this place (body, header, query, uri)."""
    kind = shape.type_name
    if kind == "structure":
        return structure_of(shape, random)
    if kind == "list":
        least = 1 if place != "body" or shape.serialization.get("flattened") else 0  # none would not be on the wire
        return [value_of(shape.member, random, place) for _ in range(random.randint(least, 3))]
    if kind == "map":
        names = {_text(random, "abc019-_", 1) for _ in range(random.randint(0, 3))}
        return {name: _text(random, HEADER_TEXT).strip() for name in names}
    if kind == "string":
        return _string(shape, random, place)
    if kind in {"integer", "long"}:
        return random.randint(1, 10_000) if shape.name == "PartNumber" else random.choice((0, 1, 7, 1000, 2**31 - 1))
    if kind == "boolean":
        return random.random() < 0.5
    assert kind == "timestamp", kind
    return datetime.fromtimestamp(random.randint(1, 4_000_000_000), UTC)


def structure_of(shape: Any, random: Random, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What is required, and some of the rest; of a union exactly one."""
    required = {*shape.required_members, *patches.REQUIRED.get(shape.name, ())}
    names = [name for name in shape.members if name not in skip]
    if "Events" in names and "Event" in names:
        names.remove("Event")  # the deprecated form of Events, in an element of the same name
    if shape.is_tagged_union:
        names, required = [random.choice(names)], set(names)
    often = random.choice((0.1, 0.5, 0.9))
    chosen = [name for name in names if name in required or random.random() < often]
    return {name: value_of(member, random, _place(member)) for name in chosen for member in [shape.members[name]]}


def _place(member: Any) -> str:
    return str(member.serialization.get("location", "body"))


def _string(shape: Any, random: Random, place: str) -> str:
    if shape.enum:
        return str(random.choice(shape.enum))
    if shape.name in {"BucketName", "RequestRoute"}:
        return _text(random, "abc019", 3)
    if shape.name == "ObjectKey" and place == "uri":
        return "k" + _text(random, KEY_TEXT)
    if shape.name == "ObjectVersionId":
        return _text(random, "abc019._", 1)
    if place in {"header", "headers"}:
        return _text(random, HEADER_TEXT).strip()
    return _text(random, QUERY_TEXT if place == "querystring" else DOCUMENT_TEXT)


def _text(random: Random, alphabet: str, least: int = 0) -> str:
    return "".join(random.choices(alphabet, k=random.randint(least, 12)))
