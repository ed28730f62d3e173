"""Read a backup: every byte of it, and what its journal says."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from itertools import islice
from tempfile import TemporaryDirectory

import msgspec

from journal import Inspection, inspect
from s3d.backup.checking import damaged_files
from s3d.backup.copying import Advance
from s3d.backup.errors import BackupDamaged
from s3d.backup.manifest import MANIFEST_NAME, Manifest, read_manifest
from s3d.view.kept import owners
from s3d.view.view import View

FOLD_AT_ONCE = 500
Show = Callable[[str], AbstractContextManager[Callable[[int], Advance]]]


class Damage(msgspec.Struct, frozen=True):
    """A file of a backup that is not what was written; `holds`: whose bytes are in it, as far as is known."""

    path: str
    what: str
    holds: tuple[str, ...] = ()


def verify_backup(directory: str, show: Show) -> tuple[Manifest, list[Damage]]:
    """Read every byte of a backup; what it says of itself, and what is damaged. Nothing in it changes.

    Raises BackupError when it is no backup, JournalError, or OSError.
    """
    manifest = read_manifest(directory)
    with show("reading") as begin:
        found = [Damage(*one) for one in damaged_files(directory, manifest, begin(manifest.bytes))]
    if any(one.path.startswith("journal/") for one in found):
        return manifest, found
    with (
        TemporaryDirectory(prefix="s3d-backup-") as scratch,
        inspect(f"{directory}/journal", scratch=scratch) as opened,
    ):
        opened.verify()
        if (opened.head.sequence, opened.head.hash.hex()) != (manifest.sequence, manifest.head):
            raise BackupDamaged(f"the journal in {directory} is not that of its {MANIFEST_NAME}")
        if found:
            found = _named(found, fold_of(opened, f"{directory}/journal", scratch, lambda: None))
    return manifest, found


def _named(damages: Sequence[Damage], view: View) -> list[Damage]:
    """Each with the objects whose bytes were in it."""
    with closing(view.reader()) as connection:
        named = [
            msgspec.structs.replace(
                one,
                holds=tuple(
                    f"{bucket}/{key} (record {sequence})"
                    for bucket, key, sequence in owners(connection, one.path.rpartition("/")[2])
                ),
            )
            for one in damages
        ]
    view.close(sync=False)
    return named


def fold_of(inspection: Inspection, journal_dir: str, scratch: str, keep: Callable[[], object]) -> View:
    """The view of a copied journal, made anew: so it can be made from it."""
    view = View(f"{scratch}/view.db", token="backup", trusted=None)  # noqa: S106 - nobody's, and gone soon
    view.bind(inspection.identity.instance, inspection.identity.epoch)
    base = inspection.base()
    if base is not None:
        view.restore(f"{journal_dir}/{base.name}", base.position)
    records = inspection.records(view.position)
    while piece := tuple(islice(records, FOLD_AT_ONCE)):
        view.begin()
        view.fold_all(piece)
        view.publish()
        keep()
    return view
