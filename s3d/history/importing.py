"""The lines of an export as what they say, each checked against what came before it. Pure, but for the reading."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

import msgspec

from journal import BaseInfo, Head, Record
from journal.imports import Header, damaged, parse_header, parse_record

LINE_BYTES_MAX = 256 * 1024 * 1024  # one record of ten thousand parts, and more than that by far
_BLOB = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)


class ImportedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record, and its inline body, if the export has it."""

    record: Record
    body: bytes | None


class BasePiece(msgspec.Struct, frozen=True, gc=False):
    """The next bytes of the base."""

    data: bytes


class BlobPiece(msgspec.Struct, frozen=True, gc=False):
    """The next bytes of a blob; `is_first`, `is_last`: of all of them."""

    blob: str
    data: bytes
    is_first: bool
    is_last: bool


class _BaseTold(msgspec.Struct):
    position: int
    hash: str
    sha256: str


class _BaseLine(msgspec.Struct, forbid_unknown_fields=True):
    base_base64: str


class _BlobLine(msgspec.Struct, forbid_unknown_fields=True):
    blob: str
    offset: int
    size: int
    data_base64: str


_Line = TypeVar("_Line", _BaseLine, _BlobLine)
Item = ImportedRecord | BasePiece | BlobPiece
_base_line, _blob_line = msgspec.json.Decoder(_BaseLine), msgspec.json.Decoder(_BlobLine)


class Import:
    """One export: `header` first, then `items`. `advance` is told of bytes that were read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], object]) -> None:
        self._file = file
        self._advance = advance
        self._number = 0
        self._open: tuple[str, int, int] | None = None  # the blob of which more has to come; how far it is; its size
        self.header: Header = parse_header(self._line())
        self.head = self.header.origin

    @property
    def has_bodies(self) -> bool:
        """Whether bodies were exported along."""
        return bool(self.header.more.get("bodies"))

    def base(self) -> BaseInfo | None:
        """The base that the export has in it. Raises JournalDamaged."""
        told = self.header.more.get("base")
        if told is None:
            return None
        try:
            found = msgspec.convert(told, _BaseTold)
            name = f"base-{found.position:012d}.db"
            return BaseInfo(found.position, bytes.fromhex(found.hash), name, bytes.fromhex(found.sha256))
        except (msgspec.ValidationError, ValueError) as error:
            raise damaged(1, f"its base is not understood ({error})") from None

    def items(self) -> Iterator[Item]:
        """Every line behind the first. Raises JournalDamaged with the number of the first that cannot be taken."""
        while line := self._line():
            yield self._item(line)
        if self._open is not None:
            raise damaged(self._number + 1, f"blob {self._open[0]} is cut off")
        last = self.header.last
        if last is not None and self.head.sequence != last:
            missing = self.head.sequence + 1
            raise damaged(self._number + 1, f"records {missing} to {last} are missing: the file was cut", missing)

    def _item(self, line: bytes) -> Item:
        if line.startswith(b'{"blob":'):
            return self._blob(line)
        if self._open is not None:
            raise damaged(self._number, f"blob {self._open[0]} is cut off")
        if line.startswith(b'{"base_base64":'):
            return BasePiece(self._decoded(_base_line, line, "base_base64")[1])
        record, body = parse_record(self._number, line, self.head)
        self.head = Head(record.sequence, record.hash)
        return ImportedRecord(record, body)

    def _blob(self, line: bytes) -> BlobPiece:
        found, data = self._decoded(_blob_line, line, "data_base64")
        expected = self._open or (found.blob, 0, found.size)
        end = found.offset + len(data)
        if (found.blob, found.offset, found.size) != expected or not data or end > found.size:
            raise damaged(self._number, f"this piece of blob {found.blob[:40]} does not follow the one before it")
        if _BLOB.match(found.blob) is None:
            raise damaged(self._number, f"{found.blob[:40]!r} is no name of a blob")
        self._open = (found.blob, end, found.size) if end < found.size else None
        return BlobPiece(found.blob, data, found.offset == 0, end == found.size)

    def _decoded(self, decoder: msgspec.json.Decoder[_Line], line: bytes, field: str) -> tuple[_Line, bytes]:
        try:
            found = decoder.decode(line)
            return found, base64.b64decode(getattr(found, field), validate=True)
        except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise damaged(self._number, f"this line is not understood ({error})") from None

    def _line(self) -> bytes:
        """The next one; empty at the end."""
        self._number += 1
        line = self._file.readline(LINE_BYTES_MAX + 1)
        if len(line) > LINE_BYTES_MAX:
            raise damaged(self._number, f"it has more than {LINE_BYTES_MAX:,} bytes")
        self._advance(len(line))
        return line
