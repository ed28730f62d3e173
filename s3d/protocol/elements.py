"""Writing XML as S3 writes it: closures compiled from shapes, text escaped as S3 escapes it.

Keys may hold characters that XML 1.0 has no way to write. S3 writes them as references all the same (`&#x1;`), which
strict parsers refuse; that is why SDKs ask for `encoding-type=url`, and both are done here.
"""

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from s3d.protocol.model import Member, Shape
from s3d.protocol.timestamps import format_http_date, format_iso8601

PROLOG: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

Writer = Callable[[Any, list[str]], None]
"""Appends a value's XML, in pieces."""

_SPECIAL: Final = re.compile('[&<>"\x00-\x08\x0b-\x1f\ufffe\uffff]')
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_URL_SAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.*/"
_URL_TABLE: Final = {byte: f"%{byte:02X}" for byte in range(256) if byte not in _URL_SAFE} | {ord(" "): "+"}


def escape(text: str) -> str:
    """Text as an XML element's content (or attribute), reversible by a parser that takes XML 1.1's characters."""
    return text if is_plain(text) else _SPECIAL.sub(_reference, text)


def is_plain(text: str) -> bool:
    """Whether `text` surely needs no escaping. False costs only time."""
    return text.isprintable() and "&" not in text and "<" not in text and ">" not in text and '"' not in text


def url_encode(text: str) -> str:
    """`encoding-type=url`: like a form's, but `/` and `*` stay and `~` does not, which is what S3 does."""
    return text if is_url_safe(text) else text.encode("utf-8", "replace").decode("latin-1").translate(_URL_TABLE)


def is_url_safe(text: str) -> bool:
    """Whether `url_encode` would change nothing."""
    return text.isascii() and not text.encode("ascii").translate(None, _URL_SAFE)


def structure_writer(shape: Shape, url_encoded: Collection[str] = (), path: str = "") -> Writer:
    """Writes a structure's members, in the model's order. Members at the paths in `url_encoded` are URL-encoded."""
    members = [
        (member.name, _member_writer(member, url_encoded, path + member.name))
        for member in shape.members
        if not member.attribute
    ]

    def write(value: Any, out: list[str]) -> None:
        get = value.get
        for name, write_member in members:
            item = get(name)
            if item is not None:
                write_member(item, out)

    return write


def _member_writer(member: Member, url_encoded: Collection[str], path: str) -> Writer:
    shape = member.shape
    if shape.kind != "list":
        return _element_writer(member.wire, shape, url_encoded, path)
    assert shape.item is not None
    if member.flattened:
        return _each(_element_writer(member.wire, shape.item, url_encoded, path))
    write_items = _each(_element_writer(shape.item_name, shape.item, url_encoded, path))

    def write(value: Any, out: list[str]) -> None:
        out.append(f"<{member.wire}>")
        write_items(value, out)
        out.append(f"</{member.wire}>")

    return write


def _each(write_item: Writer) -> Writer:
    def write(value: Any, out: list[str]) -> None:
        for item in value:
            write_item(item, out)

    return write


def _element_writer(name: str, shape: Shape, url_encoded: Collection[str], path: str) -> Writer:
    if shape.kind == "structure":
        return _structure_element_writer(name, shape, url_encoded, path)
    text = url_encode if path in url_encoded else _text_of(shape)

    def write(value: Any, out: list[str]) -> None:
        out.append(f"<{name}>{text(value)}</{name}>")

    return write


def _structure_element_writer(name: str, shape: Shape, url_encoded: Collection[str], path: str) -> Writer:
    write_members = structure_writer(shape, url_encoded, path + ".")
    attribute = next((member for member in shape.members if member.attribute), None)

    def write(value: Any, out: list[str]) -> None:
        if attribute is not None and value.get(attribute.name) is not None:
            text = escape(value[attribute.name])
            out.append(f'<{name} xmlns:xsi="{XSI}" {attribute.wire}="{text}">')
        else:
            out.append(f"<{name}>")
        write_members(value, out)
        out.append(f"</{name}>")

    return write


def _text_of(shape: Shape) -> Callable[[Any], str]:
    if shape.kind == "boolean":
        return boolean_text
    if shape.kind in {"integer", "long"}:
        return str
    if shape.kind == "timestamp":
        return http_date_text if shape.timestamp == "rfc822" else iso8601_text
    assert shape.kind == "string", f"{shape.name}: no {shape.kind} is known inside a document"
    return escape


def boolean_text(value: object) -> str:
    return "true" if value else "false"


def iso8601_text(value: datetime | str) -> str:
    """A moment, or text that already is one."""
    return value if isinstance(value, str) else format_iso8601(value)


def http_date_text(value: datetime | str) -> str:
    """A moment, or text that already is one."""
    return value if isinstance(value, str) else format_http_date(value)


def _reference(found: re.Match[str]) -> str:
    character = found[0]
    return _NAMED.get(character) or f"&#x{ord(character):x};"
