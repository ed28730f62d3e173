"""`[[drop]]`: folders whose files become objects, checked as far as the configuration alone can tell."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from s3d.errors import ConfigurationError

_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_OURS = frozenset({"mtime", "s3d-token"})
_EVERY = {"default": "every table has one"}
DAY_SECONDS = 24 * 3600


class DropFolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder on this machine whose files become objects: for devices that can only write files."""

    name: Annotated[
        str,
        Meta(
            description="What the folder is called in records, reports and metrics. What was taken is remembered under "
            "it: with another name everything that is still there is taken once more.",
            pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
            extra=_EVERY,
        ),
    ]
    directory: Annotated[
        str,
        Meta(
            description="The folder, from the root on, with everything below it. It must be there; s3d does not make "
            "it.",
            pattern="^/",
            extra=_EVERY,
        ),
    ]
    bucket: Annotated[
        str,
        Meta(
            description="The bucket that the objects are put into. It must exist.",
            pattern=r"^[A-Za-z0-9._-]{3,255}$",
            extra=_EVERY,
        ),
    ]
    prefix: Annotated[
        str,
        Meta(description="What keys begin with; the file's path in the folder follows.", max_length=512),
    ] = ""
    match: Annotated[
        str,
        Meta(
            description="Which files, by their path in the folder, with `*` for any run of characters. Names that "
            "begin with a dot, or end with `.part`, `.partial` or `.tmp`, are never taken.",
            min_length=1,
        ),
    ] = "*"
    settle_seconds: Annotated[
        float,
        Meta(
            description="How long a file must not have changed before it is taken. One that was renamed to its name is "
            "taken at once.",
            ge=0.1,
            le=DAY_SECONDS,
        ),
    ] = 2.0
    rescan_seconds: Annotated[
        float,
        Meta(
            description="How often the whole folder is looked through, for what the kernel did not tell of. A share "
            "that others write to over the network tells of nothing: there this is how soon a file is seen.",
            ge=1,
            le=DAY_SECONDS,
        ),
    ] = 60.0
    content_type: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | None,
        Meta(description="`Content-Type` of the objects. Unset: by the ending of each file's name."),
    ] = None
    metadata: Annotated[
        dict[str, str],
        Meta(
            description="Metadata that every object gets, beside `mtime`, the file's time of change.",
            extra={"default": "none"},
        ),
    ] = {}
    after: Annotated[
        Literal["keep", "move", "delete"],
        Meta(
            description="What becomes of a file once its object is durable here: it stays, is moved to `move_to`, or "
            "is deleted."
        ),
    ] = "keep"
    move_to: Annotated[
        Annotated[str, Meta(pattern="^/")] | None,
        Meta(
            description='Where to, from the root on, for `after = "move"`: on the same file system, outside of every '
            "drop folder."
        ),
    ] = None


def check_drops(folders: Sequence[DropFolder]) -> None:
    """Whether the last one can be, beside those before it. Raises ConfigurationError."""
    new = folders[-1]
    if (new.after == "move") != (new.move_to is not None):
        raise ConfigurationError('move_to and after = "move" belong together', hint="set both, or neither")
    if new.prefix.startswith("/"):
        raise ConfigurationError("prefix: it begins with /", hint=f'prefix = "{new.prefix.lstrip("/")}"')
    for name, value in new.metadata.items():
        if not _METADATA_NAME.match(name) or name in _OURS or not value.isprintable():
            raise ConfigurationError(
                f"metadata: {name!r} cannot be set",
                hint="names are in small letters, values are one line, and mtime and s3d-token are set by s3d",
            )
    if any(other.name == new.name for other in folders[:-1]):
        raise ConfigurationError(f"name: {new.name} is taken", hint="give each folder a name of its own")
    for other in folders:
        _check_apart(new, other)
        _check_apart(other, new)


def _check_apart(one: DropFolder, other: DropFolder) -> None:
    if one is not other and overlap(one.directory, other.directory):
        raise ConfigurationError(
            f"directory: {one.directory} and {other.directory} are not apart",
            hint="one folder would take the other's files",
        )
    if one.move_to is not None and is_within(one.move_to, other.directory):
        raise ConfigurationError(
            f"move_to: {one.move_to} is inside of {other.directory}",
            hint="what was moved there would be taken once more; move it beside the folder",
        )


def overlap(one: str, other: str) -> bool:
    """Whether two directories are the same, or one is inside the other."""
    return is_within(one, other) or is_within(other, one)


def is_within(path: str, directory: str) -> bool:
    """Whether a path is a directory or something below it, symbolic links followed."""
    path, directory = os.path.realpath(path), os.path.realpath(directory)
    return path == directory or path.startswith(directory.rstrip("/") + "/")
