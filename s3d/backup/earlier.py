"""An earlier backup of the same journal, for the files that have not changed since: they get another name, no copy."""

from collections.abc import Iterator

from s3d.backup.copying import link_file
from s3d.backup.manifest import Manifest, Sum, read_sums


class Earlier:
    """Asked for blobs in the order of their ids, so that the list is read along, not kept."""

    def __init__(self, directory: str, manifest: Manifest) -> None:
        self._directory = directory
        self._of = manifest.instance, manifest.epoch
        self._journal: dict[str, str] = {}
        self._next: Sum | None = None
        self._blobs = self._read(read_sums(directory, manifest))
        self._advance()

    def take(self, path: str, target: str, instance: str, epoch: int) -> str | None:
        """Give the file of this path another name; its SHA-256. None: it is not there, or cannot have one.

        A blob is never written twice, whatever the journal; a file of the journal only in its epoch. Raises OSError.
        """
        sha256 = self._blob(path) if path.startswith("blobs/") else self._journal.get(path)
        if sha256 is None or instance != self._of[0] or (path in self._journal and epoch != self._of[1]):
            return None
        return sha256 if link_file(f"{self._directory}/{path}", target) else None

    def _read(self, sums: Iterator[Sum]) -> Iterator[Sum]:
        for one in sums:
            if one.path.startswith("blobs/"):
                yield one
            else:
                self._journal[one.path] = one.sha256

    def _advance(self) -> None:
        self._next = next(self._blobs, None)

    def _blob(self, path: str) -> str | None:
        while self._next is not None and self._next.path < path:
            self._advance()
        return self._next.sha256 if self._next is not None and self._next.path == path else None
