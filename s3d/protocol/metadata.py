"""User metadata between headers and text.

HTTP headers are bytes, and S3 reads them as ISO-8859-1. Values that are not ASCII it gives back in RFC 2047's mail-safe
form, so that a client that sends `Ä` as two bytes of UTF-8 reads `=?UTF-8?B?w4PChA==?=`: the documented behaviour of
the REST API ("User-defined object metadata"), mojibake included. We put the value into that form on the way *in*: what
is journaled, sent to the remote (whose clients take only ASCII) and given back is then one and the same ASCII text.
ASCII values are never touched, also where they look like RFC 2047 already.
"""

from base64 import b64encode


def from_wire(value: str) -> str:
    """A header value, as aiohttp decodes it (UTF-8 with surrogate escapes), as metadata."""
    if value.isascii():
        return value
    return mail_safe(header_bytes(value).decode("latin-1"))


def to_wire(value: str) -> str:
    """Metadata as a header value: printable ASCII. Text of another origin (a listing, a sync) is made mail-safe."""
    return value if value.isascii() and value.isprintable() else mail_safe(value)


def mail_safe(text: str) -> str:
    """RFC 2047, one encoded word."""
    encoded = b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return f"=?UTF-8?B?{encoded}?="


def header_text(value: str) -> str:
    """Any other header's text: UTF-8 where the bytes are that, else ISO-8859-1. Never a lone surrogate."""
    if value.isascii():
        return value
    raw = header_bytes(value)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def header_bytes(value: str) -> bytes:
    """The bytes that were on the wire."""
    return value.encode("utf-8", "surrogateescape")
