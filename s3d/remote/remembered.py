"""What probes have found, kept across restarts in a small file: it may be lost, and is then unknown.

One entry for each bucket of each endpoint, the latest probe. The file is replaced as a whole, so that a power cut
leaves the old one or the new one; one that cannot be read is as good as none, because nothing here is known to anybody
but the remote.
"""

import logging

import msgspec

from journal.disk import Disk
from s3d.remote.capabilities import Probed

BYTES_MAX = 1024 * 1024
ENTRIES_MAX = 100
_decode = msgspec.json.Decoder(tuple[Probed, ...]).decode
_log = logging.getLogger(__name__)


class Remembered:
    """The file `path` in `directory`. Blocks; each method raises OSError where a disk fails."""

    def __init__(self, disk: Disk, directory: str, name: str = "remotes.json") -> None:
        self._disk = disk
        self._directory = directory
        self._path = f"{directory}/{name}"

    def of(self, endpoint: str) -> tuple[Probed, ...]:
        """What was found of this remote, the latest last."""
        return tuple(one for one in self._all() if one.endpoint == endpoint)

    def keep(self, probed: Probed) -> None:
        """In the place of what was known of this bucket; the oldest entries go when there are very many."""
        place = (probed.endpoint, probed.bucket)
        others = [one for one in self._all() if (one.endpoint, one.bucket) != place][1 - ENTRIES_MAX :]
        new = f"{self._path}.new"
        if self._disk.exists(new):
            self._disk.unlink(new)
        file = self._disk.create(new)
        try:
            file.pwrite(msgspec.json.encode([*others, probed]), 0)
            file.sync()
        finally:
            file.close()
        self._disk.rename(new, self._path)
        self._disk.sync_directory(self._directory)

    def _all(self) -> tuple[Probed, ...]:
        if not self._disk.exists(self._path):
            return ()
        file = self._disk.open(self._path)
        try:
            text = file.pread(BYTES_MAX, 0)
        finally:
            file.close()
        try:
            return _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("what was found of remotes cannot be read, and is found out again: %s", error)
            return ()
