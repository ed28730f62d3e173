"""What a backup says of itself is believed as far as it is what was written, and names nothing outside of it."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d.backup.errors import BackupDamaged, BackupError
from s3d.backup.manifest import Manifest, Sum, SumsWriter, encoded, read_manifest, read_sums

HEX = "0123456789abcdef"
blobs = st.text(HEX, min_size=32, max_size=32).map(lambda blob: f"blobs/{blob[:2]}/{blob}")
names = st.from_regex(r"journal/[a-z0-9-]{1,20}\.db", fullmatch=True)
sums = st.lists(st.builds(Sum, blobs | names, st.text(HEX, min_size=64, max_size=64)), max_size=20)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def manifest_of(content: bytes, files: int) -> Manifest:
    return Manifest("i", 1, 2, "00", "2026-01-01T00:00:00+00:00", files, 3, hashlib.sha256(content).hexdigest())


def written(listed: list[Sum]) -> bytes:
    file = io.BytesIO()
    writer = SumsWriter(file)
    for one in listed:
        writer.add(*one)
    assert writer.sha256 == hashlib.sha256(file.getvalue()).hexdigest()
    return file.getvalue()


@quick
@given(sums)
def test_what_was_written_is_read(tmp_path: Path, listed: list[Sum]) -> None:
    """In its order; and it is what `sha256sum -c` takes."""
    content = written(listed)
    (tmp_path / "SHA256SUMS").write_bytes(content)
    assert list(read_sums(str(tmp_path), manifest_of(content, len(listed)))) == listed


@quick
@given(sums, st.data())
def test_what_was_changed_is_not_believed(tmp_path: Path, listed: list[Sum], data: st.DataObject) -> None:
    """Any other byte, a line less, or nothing at all."""
    content = written([*listed, Sum("journal/mark", "0" * 64)])
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    for other in (bytes(changed), content[:place], content + content):
        (tmp_path / "SHA256SUMS").write_bytes(other)
        with pytest.raises(BackupDamaged):
            list(read_sums(str(tmp_path), manifest_of(content, len(listed) + 1)))


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        "journal/../x",
        "journal/a/b",
        "blobs/ab/cd",
        "backup.json",
        "",
        "keys/../../x",
        "keys/..",
        "journal/..",
        "view.db",
    ],
)
def test_no_name_leads_out_of_it(tmp_path: Path, path: str) -> None:
    """Whoever restores it writes where its names say."""
    content = f"{'0' * 64}  {path}\n".encode()
    (tmp_path / "SHA256SUMS").write_bytes(content)
    with pytest.raises(BackupDamaged):
        list(read_sums(str(tmp_path), manifest_of(content, 1)))


def test_what_is_no_backup_is_called_that(tmp_path: Path) -> None:
    """Nothing there, something else, or one of a later version."""
    manifest = manifest_of(b"", 0)
    for content, match in (
        (None, "is not a backup"),
        (b"", "not what was written"),
        (encoded(manifest).replace(b'"format": 2', b'"format": 3'), "format 3"),
    ):
        if content is not None:
            (tmp_path / "backup.json").write_bytes(content)
        with pytest.raises(BackupError, match=match):
            read_manifest(str(tmp_path))
    with pytest.raises(BackupError, match="is not a backup"):
        read_manifest(str(tmp_path / "backup.json"))
    (tmp_path / "backup.json").write_bytes(encoded(manifest))
    assert read_manifest(str(tmp_path)) == manifest
    (tmp_path / "backup.json").write_bytes(encoded(manifest).replace(b'"format": 2', b'"format": 1'))
    assert read_manifest(str(tmp_path)).head == manifest.head, "those of earlier versions stay good"
