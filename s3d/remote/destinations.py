"""Where a site's buckets are, kept beside its journal: for whoever has its disk one day, and not its configuration.

Nothing in a record says at which remote its bucket is, nor under which name: the configuration does. The daemon writes
its share of that, without a secret, into a small file at each start that finds another one. It decides nothing for the
daemon, and may be lost: then a replay has to be told by a configuration. The file is replaced as a whole, so that a
power cut leaves the old one or the new one.
"""

import msgspec

from journal.disk import Disk, write_durably
from s3d.errors import DataDirectoryError
from s3d.policy.bucket_map import KnownRemote, MappedBucket

NAME = "destinations.json"


class Destinations(msgspec.Struct, frozen=True):
    """The tables of a configuration: its remotes, `[remote]` first, and its buckets. Empty: nothing is known."""

    remotes: tuple[KnownRemote, ...] = ()
    buckets: tuple[MappedBucket, ...] = ()


_decode = msgspec.json.Decoder(Destinations).decode


def keep_destinations(disk: Disk, directory: str, destinations: Destinations) -> None:
    """Write them down, unless they are. Raises OSError where a disk fails."""
    path, content = f"{directory}/{NAME}", msgspec.json.encode(destinations)
    if disk.exists(path) and _read(disk, path, len(content) + 1) == content:
        return
    write_durably(disk, path, content)


def kept_destinations(directory: str) -> Destinations:
    """What was written down last; from a directory that may be read-only. Raises DataDirectoryError."""
    try:
        with open(f"{directory}/{NAME}", "rb") as file:
            return _decode(file.read())
    except FileNotFoundError:
        return Destinations()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataDirectoryError(
            f"{directory}/{NAME} cannot be read: {error}",
            hint="say with --config FILE where the buckets are, by [[bucket]] tables",
        ) from error


def _read(disk: Disk, path: str, size: int) -> bytes:
    file = disk.open(path)
    try:
        return file.pread(size, 0)
    finally:
        file.close()
