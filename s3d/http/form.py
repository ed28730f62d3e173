"""A form as a browser sends it (RFC 7578): a few fields, and a file behind them that streams.

S3 reads the fields that come before the file; what follows it is read and forgotten. Nothing is unescaped: browsers
send values as they are.
"""

import re
from email.message import Message
from typing import Protocol

import msgspec

from s3d.errors import S3Error

FIELDS_BYTES_MAX = 20 * 1024  # "the form data preceding the file" in S3's list of error codes
_NAME = re.compile(r'(?:^|;)\s*(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_READ_BEHIND_MAX = 64 * 1024  # of what follows the file; more ends the connection


class Content(Protocol):
    """Where a request's bytes come from: aiohttp's StreamReader."""

    async def readany(self) -> bytes:
        """Bytes that are here, else those that come next; empty at the end."""


class Form(msgspec.Struct, frozen=True):
    """The fields before the file, by lower-case names, and the file's own name."""

    fields: dict[str, str]
    filename: str


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of multipart/form-data; None for anything else, or without one."""
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or not boundary or not boundary.isascii():
        return None
    return boundary.encode()


class FormReader:
    """First `fields`, then the file by `readany` until that is empty.

    `size_min` and `size_max` are what the file may have, in bytes; whoever knows sets them between the two.
    """

    def __init__(self, content: Content, boundary: bytes) -> None:
        self._content = content
        self._mark = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first boundary is one like the others
        self._size = 0
        self._is_over = False
        self.size_min = 0
        self.size_max: int | None = None

    async def fields(self) -> Form:
        """Read up to the file's first byte. Raises S3Error."""
        fields: dict[str, str] = {}
        seen = 0
        await self._until(self._mark, 0)
        while True:
            head = await self._until(b"\r\n\r\n", seen)
            named = _named(head)
            if "name" not in named:  # also the end of a form without a file
                raise _malformed() if head.strip(b"-\r\n") else _no_file()
            if named["name"].lower() == "file":
                return Form(fields, named.get("filename", ""))
            value = await self._until(self._mark, seen + len(head))
            seen += len(head) + len(value)
            fields[named["name"].lower()] = _text(value)

    async def readany(self) -> bytes:
        """The next bytes of the file, empty at its end. Raises EntityTooLarge, EntityTooSmall, MalformedPOSTRequest."""
        while not self._is_over:
            at = self._buffer.find(self._mark)
            if at >= 0:
                piece, self._buffer = self._buffer[:at], b""
                self._is_over = True
                await self._drain()
            else:
                keep = len(self._mark) - 1  # a mark may have begun
                piece, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
            self._count(len(piece))
            if piece:
                return piece
            if not self._is_over:
                await self._more()
        return b""

    def _count(self, size: int) -> None:
        self._size += size
        if self.size_max is not None and self._size > self.size_max:
            raise S3Error(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                details={"ProposedSize": str(self._size), "MaxSizeAllowed": str(self.size_max)},
            )
        if self._is_over and self._size < self.size_min:
            raise S3Error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                details={"ProposedSize": str(self._size), "MinSizeAllowed": str(self.size_min)},
            )

    async def _until(self, mark: bytes, seen: int) -> bytes:
        """What comes before a mark, which is taken too; `seen` bytes of fields came earlier."""
        while (at := self._buffer.find(mark)) < 0:
            if self._buffer.startswith(b"--") and mark == b"\r\n\r\n":
                raise _no_file()
            self._check_length(seen + len(self._buffer))
            await self._more()
        self._check_length(seen + at)
        found, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return found

    def _check_length(self, size: int) -> None:
        if size > FIELDS_BYTES_MAX:
            raise S3Error(
                "MaxPostPreDataLengthExceededError",
                "Your POST request fields preceding the upload file were too large.",
            )

    async def _more(self) -> None:
        data = await self._content.readany()
        if not data:
            raise _malformed()
        self._buffer += data

    async def _drain(self) -> None:
        """What follows, so that the next request on the connection begins where it does."""
        size = 0
        while size < _READ_BEHIND_MAX and (data := await self._content.readany()):
            size += len(data)


def _named(head: bytes) -> dict[str, str]:
    """`name` and `filename` of a part's Content-Disposition."""
    for line in head.split(b"\r\n"):
        kind, _, rest = line.partition(b":")
        if kind.strip().lower() == b"content-disposition":
            found = _NAME.findall(_text(rest))
            return {name.lower(): re.sub(r"\\(.)", r"\1", value) for name, value in found}
    return {}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _malformed() from error


def _malformed() -> S3Error:
    return S3Error("MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")


def _no_file() -> S3Error:
    return S3Error("IncorrectNumberOfFilesInPostRequest", "POST requires exactly one file upload per request.")
