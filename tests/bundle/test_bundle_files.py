"""A bundle on a disk: what was written comes back, and anything else is refused with what is wrong."""

import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal import Entry
from journal.record import Record, genesis, link
from s3d.bundle.errors import BundleDamaged, BundleError, BundleForeign
from s3d.bundle.items import PIECE_BYTES, BundledRecord, Manifest
from s3d.bundle.keys import OwnKey, new_key, parse_public, read_key, write_key
from s3d.bundle.reader import BundleReader
from s3d.bundle.sealing import CHUNK_BYTES
from s3d.bundle.volumes import VOLUME_BYTES_MIN
from s3d.bundle.writer import BundleWriter
from s3d.policy.bucket_map import MappedBucket

SITE, HEADQUARTERS = OwnKey(b"s" * 32), OwnKey(b"h" * 32)
INSTANCE = "0" * 32
BUCKETS = (MappedBucket(name="photos", remote_bucket="company", prefix="site-7/"),)


def chain(bodies: list[bytes], first: int = 1) -> list[BundledRecord]:
    """Records with these bodies, one after another."""
    previous, bundled = genesis(INSTANCE), []
    for sequence, body in enumerate(bodies, start=first):
        entry = Entry(
            f"b/k{sequence}", "PutObject", b"{}", None, hashlib.sha256(body).digest() if body else b"", len(body)
        )
        record = link(previous, sequence, 1_000 + sequence, entry)
        bundled.append(BundledRecord(record, previous, len(body)))
        previous = record.hash
    return bundled


def write(
    path: Path,
    bundled: list[BundledRecord],
    bodies: list[bytes],
    *,
    taken_back: frozenset[int] = frozenset(),
    size_max: int | None = None,
    signer: OwnKey = SITE,
) -> list[str]:
    """A whole bundle; its files."""
    bundle_id = secrets.token_bytes(16)
    writer = BundleWriter(str(path), HEADQUARTERS.public, signer, bundle_id, 1_000, size_max)
    for one, body in zip(bundled, bodies, strict=True):
        writer.add(one)
        if not one.body_bytes:
            continue
        writer.write(body)
        if one.record.sequence in taken_back:
            writer.take_back()
        else:
            writer.end_body()
    return writer.finish(INSTANCE, 1, BUCKETS)


def verified(path: Path, own: OwnKey = HEADQUARTERS, trusted: OwnKey = SITE) -> tuple[BundleReader, Manifest]:
    """A reader that has verified it; the caller closes it."""
    reader = BundleReader(str(path), own)
    try:
        return reader, reader.verify([trusted.public], lambda _: None)
    except BaseException:
        reader.close()
        raise


def body_of(reader: BundleReader, bundled: BundledRecord) -> bytes:
    """A whole body, read as a sender does."""
    found = b""
    while len(found) < bundled.body_bytes:
        found += reader.read_body(
            bundled.record.sequence, min(PIECE_BYTES, bundled.body_bytes - len(found)), len(found)
        )
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1]),
        min_size=1,
        max_size=6,
    ),
    voids=st.sets(st.integers(1, 6)),
    split=st.booleans(),
)
def test_what_was_written_comes_back(tmp_path: Path, sizes: list[int], voids: set[int], split: bool) -> None:
    """Every record and every byte of every body, over the ends of chunks, pieces and files; but not what was void."""
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    bundled = chain(bodies)
    taken_back = frozenset(number for number in voids if number <= len(sizes) and sizes[number - 1])
    path = tmp_path / secrets.token_hex(8)
    files = write(path, bundled, bodies, taken_back=taken_back, size_max=VOLUME_BYTES_MIN if split else None)
    assert (len(files) > 1) == (split and sum(map(os.path.getsize, files)) > VOLUME_BYTES_MIN)
    reader, manifest = verified(path)
    try:
        kept = [one for one in bundled if one.record.sequence not in taken_back]
        assert list(reader.records()) == kept
        assert [body_of(reader, one) for one in kept] == [bodies[one.record.sequence - 1] for one in kept]
        assert (manifest.records, manifest.taken_back, manifest.last) == (len(sizes), len(taken_back), len(sizes))
        assert manifest.buckets == BUCKETS
        assert reader.hash_of(manifest.last) == bundled[-1].record.hash
    finally:
        reader.close()


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Wherever one byte of a bundle is another one, it is refused."""
    bodies = [b"one", b"", b"three" * 40]
    path = tmp_path / "small"
    write(path, chain(bodies), bodies)
    whole = path.read_bytes()
    for place in (*range(200), *range(200, len(whole), 7)):  # all of the heads, and some of each chunk
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with pytest.raises(BundleError):
            verified(path)
    path.write_bytes(whole)
    verified(path)[0].close()


@given(cut=st.floats(0, 1, exclude_max=True))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_bundle_that_is_cut_off_is_refused(tmp_path: Path, cut: float) -> None:
    """Also at the end of a chunk; and bytes after its end are none of it."""
    path = tmp_path / "whole"
    bodies = [bytes(200_000)]
    if not path.exists():
        write(path, chain(bodies), bodies)
    whole, shorter = path.read_bytes(), tmp_path / "shorter"
    for content in (whole[: int(cut * len(whole))], whole + b"\0", whole + whole[-1000:]):
        shorter.write_bytes(content)
        with pytest.raises(BundleError):
            verified(shorter)


def test_chunks_that_are_exchanged_or_left_out_are_refused(tmp_path: Path) -> None:
    """Each chunk is bound to its place, and to its bundle."""
    bodies = [bytes(CHUNK_BYTES * 4)]
    path, other = tmp_path / "one", tmp_path / "two"
    for one in (path, other):
        write(one, chain(bodies), bodies)
    whole, size = path.read_bytes(), CHUNK_BYTES + 16
    begin = 36 + 17 + int.from_bytes(whole[36 + 13 : 36 + 17], "big")  # behind the heads of the file and of the stream
    first, second = whole[begin : begin + size], whole[begin + size : begin + 2 * size]
    strange = other.read_bytes()[begin : begin + size]
    for content in (second + first, second, strange + second, first + first):
        path.write_bytes(whole[:begin] + content + whole[begin + 2 * size :])
        with pytest.raises(BundleDamaged, match="chunk"):
            verified(path)


def test_files_of_other_bundles_are_refused(tmp_path: Path) -> None:
    """A volume that is missing, exchanged or another bundle's is named."""
    body = [secrets.token_bytes(3 * VOLUME_BYTES_MIN)]
    files = {name: write(tmp_path / name, chain(body), body, size_max=VOLUME_BYTES_MIN) for name in ("one", "two")}
    second, third = (Path(files["one"][number]) for number in (1, 2))
    kept = second.read_bytes()
    for content in (Path(files["two"][1]).read_bytes(), third.read_bytes()):
        second.write_bytes(content)
        with pytest.raises(BundleDamaged, match="volume 2"):
            verified(tmp_path / "one")
    second.write_bytes(kept)
    Path(files["one"][-1]).unlink()
    with pytest.raises(BundleDamaged):
        verified(tmp_path / "one")


def test_only_the_recipient_can_read_it_and_only_who_is_trusted_can_write_it(tmp_path: Path) -> None:
    """Another key is told so; a stranger's signature is refused, although the bundle is whole."""
    path = tmp_path / "bundle"
    write(path, chain([b"x"]), [b"x"])
    with pytest.raises(BundleForeign, match="another key"):
        verified(path, own=SITE)
    with pytest.raises(BundleForeign, match="not trusted"):
        verified(path, trusted=HEADQUARTERS)


def test_records_that_are_not_what_was_acknowledged_are_refused(tmp_path: Path) -> None:
    """Also when the site's own key signs them: the chain, the order and the digests of the bodies have to fit."""
    bodies = [b"one", b"two", b"three"]
    bundled = chain(bodies)
    changed = BundledRecord(_renamed(bundled[1].record), bundled[1].previous, 3)
    torn = BundledRecord(*_relinked(bundled[1]), 3)
    cases = [
        ("hash", [bundled[0], changed, bundled[2]], bodies),
        ("does not follow", [bundled[0], torn, bundled[2]], bodies),
        ("comes after", [bundled[1], bundled[0], bundled[2]], [b"two", b"one", b"three"]),
        ("not what was acknowledged", bundled, [b"one", b"TWO", b"three"]),
        ("not what was acknowledged", bundled, [b"one", b"twoo", b"three"]),
    ]
    for number, (said, records, given_bodies) in enumerate(cases):
        path = tmp_path / str(number)
        write(path, records, given_bodies)
        with pytest.raises(BundleDamaged, match=said):
            verified(path)


def test_nothing_has_its_name_before_it_is_whole(tmp_path: Path) -> None:
    """What was interrupted leaves no bundle, and is begun again under the same name; a whole one is never replaced."""
    path = tmp_path / "bundle"
    writer = BundleWriter(str(path), HEADQUARTERS.public, SITE, b"i" * 16, 1, VOLUME_BYTES_MIN)
    writer.add(chain([bytes(3 * VOLUME_BYTES_MIN)])[0])
    writer.write(bytes(3 * VOLUME_BYTES_MIN))
    assert all(one.name.endswith(".partial") for one in tmp_path.iterdir())  # as after a kill: nobody abandons it
    with pytest.raises(BundleError, match="cannot be read"):
        verified(path)
    write(path, chain([b"x"]), [b"x"])
    assert [one.name for one in tmp_path.iterdir()] == ["bundle"]
    with pytest.raises(BundleError, match="already"):
        write(path, chain([b"y"]), [b"y"])
    verified(path)[0].close()
    writer.abandon()


def test_a_key_is_kept_from_others_and_a_mistyped_one_is_noticed(tmp_path: Path) -> None:
    """The file is its owner's only; texts have a check sum."""
    path = tmp_path / "key"
    key = new_key()
    write_key(str(path), key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(str(path)) == key
    assert str(key.public) in path.read_text()
    assert key.secret.hex() not in repr(key)
    with pytest.raises(BundleError, match="already"):
        write_key(str(path), new_key())
    path.chmod(0o644)
    with pytest.raises(BundleError, match="can read"):
        read_key(str(path))
    text = str(key.public)
    for wrong in (text[:-1], f"{text}A", text.replace("public", "secret"), _swapped(text), str(key), ""):
        with pytest.raises(BundleError):
            parse_public(wrong)
    assert parse_public(f" {text}\n") == key.public


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no key is left that is none."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.kdf.hkdf", None)
    with pytest.raises(BundleError) as refused:
        write_key(str(tmp_path / "key"), new_key())
    assert "s3d-edge[bundle]" in refused.value.hint
    assert not list(tmp_path.iterdir())


def _swapped(text: str) -> str:
    place = next(number for number in range(20, 80) if text[number] != text[number + 1])
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _renamed(record: Record) -> Record:
    return Record(
        record.sequence,
        record.written_at,
        "b/other",
        record.kind,
        record.payload,
        record.body_digest,
        record.body_size,
        record.hash,
    )


def _relinked(bundled: BundledRecord) -> tuple[Record, bytes]:
    record = bundled.record
    entry = Entry(record.stream, record.kind, record.payload, None, record.body_digest, record.body_size)
    return link(b"\1" * 32, record.sequence, record.written_at, entry), b"\1" * 32
