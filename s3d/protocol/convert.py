"""Text from the wire as typed values: one function per kind and place, chosen when the tables are compiled.

In documents a value that does not fit raises ValueError (the document is malformed). In headers and parameters it
raises S3Error InvalidArgument, with the argument's name and value, in S3's words where S3 has particular ones. None
means: as if it had not been sent.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from s3d.errors import S3Error
from s3d.protocol.metadata import header_text
from s3d.protocol.model import Member, Shape
from s3d.protocol.timestamps import parse_http_date, parse_iso8601

INTEGER_MAX: Final = 2**31 - 1
LONG_MAX: Final = 2**63 - 1
PART_NUMBER_MAX: Final = 10_000

Convert = Callable[[str], object]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_LIST_ITEM: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')
_AWS_CHUNKED: Final = "aws-chunked"


def document_text(shape: Shape) -> Convert:
    """For the text of an element. Raises ValueError."""
    if shape.kind == "boolean":
        return lambda text: parse_boolean(text.strip())
    if shape.kind in {"integer", "long"}:
        limit = LONG_MAX if shape.kind == "long" else INTEGER_MAX
        return lambda text: parse_integer(text.strip(), limit)
    if shape.kind == "timestamp":
        return lambda text: parse_timestamp(text.strip())
    assert shape.kind == "string", f"{shape.name}: no {shape.kind} is known inside a document"
    return str


def argument_text(member: Member, *, reads: bool) -> Convert | None:
    """For a header or parameter. Raises S3Error; None where the text is the value.

    `reads` says that the operation only reads: then a date condition that is no date is ignored (RFC 7232, section
    3.3). Of a write it guards something and is refused.
    """
    special = _SPECIAL.get(member.wire.lower())
    if special is not None:
        return special
    kind = member.shape.kind
    if kind in {"integer", "long"}:
        integer = _integer(member.wire, LONG_MAX if kind == "long" else INTEGER_MAX)
        return _unless_empty(integer) if member.location == "querystring" else integer
    if kind == "boolean":
        return _refusing(member.wire, parse_boolean)
    if kind == "timestamp":
        return _ignoring(parse_http_date) if reads else _refusing(member.wire, parse_timestamp)
    if kind == "list":
        return split_list
    assert kind == "string", f"{member.name}: no {kind} is known in a header or parameter"
    return None


def parse_boolean(text: str) -> bool:
    lower = text.lower()
    if lower not in {"true", "false"}:
        raise ValueError(f"not a boolean: {text!r}")
    return lower == "true"


def parse_integer(text: str, limit: int) -> int:
    """Strictly digits: Python's int() would take `1_000` and other scripts' digits."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"not an integer: {text!r}")
    value = int(text)
    if abs(value) > limit:
        raise ValueError(f"out of range: {text!r}")
    return value


def parse_timestamp(text: str) -> datetime:
    """Either form, whatever the model prefers: clients mix them."""
    try:
        return parse_iso8601(text)
    except ValueError:
        return parse_http_date(text)


def split_list(text: str) -> list[str]:
    """A list in one header: commas, and double quotes around items that hold one (with backslash escapes)."""
    items = []
    for found in _LIST_ITEM.finditer(text):
        quoted, bare = found.groups()
        item = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip()
        if item:
            items.append(item)
    return items


def invalid_argument(name: str, value: str, message: str = "") -> S3Error:
    """S3's answer to an argument that does not fit."""
    return S3Error(
        "InvalidArgument",
        message or f"The value of '{name}' is not valid",
        details={"ArgumentName": name, "ArgumentValue": value},
    )


def _refusing(name: str, parse: Convert) -> Convert:
    def convert(text: str) -> object:
        try:
            return parse(text.strip())
        except ValueError as error:
            raise invalid_argument(name, text) from error

    return convert


def _ignoring(parse: Convert) -> Convert:
    def convert(text: str) -> object:
        try:
            return parse(text.strip())
        except ValueError:
            return None

    return convert


def _integer(name: str, limit: int) -> Convert:
    def convert(text: str) -> int:
        try:
            value = parse_integer(text.strip(), limit)
        except ValueError as error:
            raise invalid_argument(name, text, f"Provided {name} not an integer or within integer range") from error
        if value < 0:
            raise invalid_argument(name, text, f"Argument {name} must be an integer between 0 and {limit}")
        return value

    return convert


def _unless_empty(convert: Convert) -> Convert:
    """A parameter without a value (`max-parts=`) is as good as none: S3 takes its default."""
    return lambda text: convert(text) if text.strip() else None


def _part_number(text: str) -> int:
    try:
        value = parse_integer(text.strip(), INTEGER_MAX)
    except ValueError:
        value = 0
    if not 1 <= value <= PART_NUMBER_MAX:
        message = f"Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive"
        raise invalid_argument("partNumber", text, message)
    return value


def _version_id(text: str) -> str:
    if not text:
        raise invalid_argument("versionId", text, "Version id cannot be the empty string")
    return text


def _content_encoding(text: str) -> str | None:
    """`aws-chunked` says how the request travels, not what the object is: S3 does not store it."""
    if _AWS_CHUNKED not in text.lower():
        return header_text(text)
    kept = [token for token in map(str.strip, text.split(",")) if token and token.lower() != _AWS_CHUNKED]
    return header_text(",".join(kept)) if kept else None


_SPECIAL: Final[dict[str, Convert]] = {
    "partnumber": _part_number,
    "versionid": _version_id,
    "content-encoding": _content_encoding,
}
