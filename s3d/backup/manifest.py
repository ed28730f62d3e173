"""What says of a directory that it is a whole backup, of what, and which bytes are in it.

    backup.json    the manifest: of which journal, up to where, made when; and the digest of
    SHA256SUMS     every other file, as `sha256sum -c` reads it

The manifest is written last of all, so that what has one is whole. Neither grows in memory with the backup.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from s3d.backup.errors import BackupDamaged, BackupError

MANIFEST_NAME = "backup.json"
SUMS_NAME = "SHA256SUMS"
RESTORING_NAME = "restoring.json"
FORMAT = 2
_READABLE = frozenset({1, FORMAT})  # the first one had no destinations.json
DESTINATIONS_NAME = "destinations.json"
# What lies in a backup, and nothing else: whoever restores one follows no other names.
_PATH = r"journal/[\w.\-]+|blobs/(?P<two>[0-9a-f]{2})/(?P=two)[0-9a-f]{30}|keys/[\w.\-]+|destinations\.json"
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_PATH})\n", re.ASCII)
_NAME = re.compile(_PATH, re.ASCII)
_DOTS = frozenset({"journal/.", "journal/..", "keys/.", "keys/.."})


class Manifest(msgspec.Struct, frozen=True):
    """Which journal, up to which record. `head` is the chain's hash there, `made_at` the time (ISO 8601, UTC).

    `sums` is the SHA-256 of SHA256SUMS. `with_cache`: files of objects that the remote has are in it, too. `lost` are
    blobs that were damaged or gone before they were copied.
    """

    instance: str
    epoch: int
    sequence: int
    head: str
    made_at: str
    files: int
    bytes: int
    sums: str
    with_cache: bool = False
    lost: tuple[str, ...] = ()
    format: int = FORMAT


class Sum(NamedTuple):
    """A file, by its path in the backup, and the SHA-256 of its bytes."""

    path: str
    sha256: str


class SumsWriter:
    """Writes SHA256SUMS, a line at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.files = 0

    def add(self, path: str, sha256: str) -> None:
        """A file is in the backup. Raises OSError."""
        line = f"{sha256}  {path}\n"
        assert _LINE.fullmatch(line), path
        self._file.write(line.encode())
        self._digest.update(line.encode())
        self.files += 1

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._digest.hexdigest()


def can_be_named(path: str) -> bool:
    """Whether a file may be called that in a backup."""
    return _NAME.fullmatch(path) is not None and path not in _DOTS


def encoded(manifest: Manifest) -> bytes:
    """The content of backup.json."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_manifest(directory: str) -> Manifest:
    """What a directory says of itself. Raises BackupError when it is no backup, BackupDamaged, or OSError."""
    try:
        with open(f"{directory}/{MANIFEST_NAME}", "rb") as file:
            manifest = msgspec.json.decode(file.read(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(f"{directory} is not a backup", hint=f"a backup has a {MANIFEST_NAME} in it") from None
    except msgspec.MsgspecError as error:
        raise BackupDamaged(f"{directory}/{MANIFEST_NAME} is not what was written: {error}") from None
    if manifest.format not in _READABLE:
        raise BackupError(f"{directory} is a backup of format {manifest.format}", hint="use a newer version of s3d")
    return manifest


def read_sums(directory: str, manifest: Manifest | None = None) -> Iterator[Sum]:
    """Every file. With the `manifest` the list is held against it at its end. Raises BackupDamaged or OSError."""
    digest, files = hashlib.sha256(), 0
    with open(f"{directory}/{SUMS_NAME}", encoding="ascii", errors="replace", newline="\n") as lines:
        for files, line in enumerate(lines, 1):
            digest.update(line.encode())
            match = _LINE.fullmatch(line)
            if match is None or match[2] in _DOTS:
                raise BackupDamaged(f"line {files} of {directory}/{SUMS_NAME} is not what was written")
            yield Sum(match[2], match[1])
    if manifest is not None and (digest.hexdigest(), files) != (manifest.sums, manifest.files):
        raise BackupDamaged(f"{directory}/{SUMS_NAME} is not what was written")
