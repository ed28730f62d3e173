"""Names of files, and what they become: which are taken, under which key, with which headers. Pure."""

from collections.abc import Mapping
from mimetypes import MimeTypes
from typing import Any

from s3d.config.drops import DropFolder
from s3d.policy.filters import Pattern

ASIDE = ".s3d~"
"""What the name of a file begins with between the decision that it can go and its end."""

MTIME = "mtime"
"""The metadata entry with a file's time of change, in seconds since 1970: the name and the form that rclone uses."""

_UNFINISHED = (".part", ".partial", ".tmp")
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_types = MimeTypes()  # the interpreter's own table: that of the machine would make objects differ between machines


def is_ignored(name: str) -> bool:
    """Whether a file or directory of this name is somebody's work in progress."""
    return name.startswith(".") or name.endswith(_UNFINISHED)


def is_text(path: str) -> bool:
    """Whether a name is UTF-8, as keys have to be; the file system takes any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class Naming:
    """How one folder names its objects."""

    def __init__(self, folder: DropFolder) -> None:
        self._folder = folder
        self._pattern = Pattern(tuple(folder.match.split("*")))

    def is_wanted(self, path: str) -> bool:
        """Whether the file at this path in the folder is one to take."""
        return self.is_entered(path) and self._pattern.matches(path)

    def is_entered(self, directory: str) -> bool:
        """Whether files below this directory may be wanted."""
        return not any(is_ignored(part) for part in directory.split("/"))

    def key(self, path: str) -> str:
        """The key of its object."""
        return self._folder.prefix + path

    def input(self, path: str, modified_ns: int) -> Mapping[str, Any]:
        """What PutObject is given besides the body."""
        return {
            "ContentType": self._folder.content_type or content_type(path),
            "Metadata": {**self._folder.metadata, MTIME: mtime_text(modified_ns)},
        }


def content_type(path: str) -> str:
    """By the ending of the name."""
    kind, encoding = _types.guess_type(f"/{path}")
    if encoding is not None:  # the object is the compressed file, and is not unpacked by whoever reads it
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"


def mtime_text(modified_ns: int) -> str:
    """Seconds since 1970 with nine decimals."""
    seconds, rest = divmod(abs(modified_ns), 1_000_000_000)
    return f"{'-' if modified_ns < 0 else ''}{seconds}.{rest:09d}"
