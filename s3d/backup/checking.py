"""Every file of a backup held against its digest, and nothing beside them."""

import os
from collections.abc import Iterator

from s3d.backup.copying import Advance, digest_of
from s3d.backup.errors import BackupDamaged
from s3d.backup.manifest import MANIFEST_NAME, SUMS_NAME, Manifest, Sum, read_sums


def damaged_files(directory: str, manifest: Manifest, advance: Advance, *, settle: bool = False) -> Iterator[Sum]:
    """Files that are not what was written, each with what is wrong with it in the place of its digest.

    Raises BackupDamaged when the list of files is not what was written, or OSError. `settle`: make them durable.
    """
    for path, sha256 in read_sums(directory, manifest):
        try:
            found = digest_of(f"{directory}/{path}", advance, settle=settle)
        except FileNotFoundError:
            yield Sum(path, "is missing")
            continue
        except OSError as error:
            yield Sum(path, f"cannot be read: {error.strerror}")
            continue
        if found != sha256:
            yield Sum(path, "is not what was written")
    files = sum(1 for _ in _files(directory)) - sum(map(os.path.exists, _own(directory)))
    if files > manifest.files:
        raise BackupDamaged(
            f"{files - manifest.files} files in {directory} do not belong to the backup",
            hint=f"{SUMS_NAME} names those that do",
        )


def size_of(directory: str) -> int:
    """The bytes of all files."""
    return sum(os.path.getsize(path) for path in _files(directory))


def _own(directory: str) -> tuple[str, str]:
    return f"{directory}/{MANIFEST_NAME}", f"{directory}/{SUMS_NAME}"


def _files(directory: str) -> Iterator[str]:
    for folder, _, names in os.walk(directory):
        yield from (f"{folder}/{name}" for name in names)
