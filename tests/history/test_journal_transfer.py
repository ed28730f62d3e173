"""`s3d journal export` and `import`: there and back again, every way to damage a file, and what can be sent from it."""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from edge_state import Edge, create, put
from hypothesis import given, settings
from hypothesis import strategies as st
from past_journals import live, write_journal

from journal import BaseInfo, Entry, Head, JournalError, SqliteBackend, inspect
from journal.disk import RealDisk
from journal.export import record_line
from journal.imports import parse_record
from journal.record import link
from s3d.app.importing import import_journal
from s3d.blobs.files import BlobFiles, BlobWriter
from s3d.cli.main import cli
from s3d.clock import SystemClock
from s3d.errors import S3dError
from s3d.history.importing import Import
from s3d.view.snapshot import take_snapshot

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.recursive(LEAVES, lambda more: st.lists(more, max_size=3) | st.dictionaries(TEXTS, more, max_size=3))
BLOB = "0123456789abcdef" * 2
LARGE = os.urandom(2_500_000)


def make_site(directory: Path) -> Edge:
    """A data directory with journal files, one of them sealed, a large body, and records that are pending."""
    directory.mkdir()
    edge = Edge(directory, has_remote=True)
    live(edge, seed=5, steps=60)
    edge.do(create("large"))
    edge.do(put("large", "k", LARGE, blob=BLOB))
    edge.do(put("large", "small", b"small"))
    write_journal(edge, directory, file_bytes_max=20_000)
    blobs = BlobFiles(RealDisk(), str(directory / "blobs"))
    blobs.prepare()
    writer = BlobWriter(blobs, BLOB)
    writer.create()
    writer.write(LARGE)
    writer.finish()
    backend = SqliteBackend(str(directory / "journal"), ballast_bytes=0)
    backend.open()
    backend.copy_sealed(1)
    backend.seal(1)
    backend.close()
    return edge


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("transfer") / "site"
    make_site(directory).close()
    return directory


def exported(data_dir: Path, *options: str) -> bytes:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main(["journal", "export", str(data_dir), *options], prog_name="s3d", standalone_mode=False)
    return said.getvalue().encode()


@pytest.fixture(scope="module")
def whole(site: Path) -> bytes:
    return exported(site, "--bodies")


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments), prog_name="s3d", standalone_mode=False)
    said = capsys.readouterr()
    return code or 0, said.out, said.err


def test_there_and_back_again(site: Path, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines but for the epoch, the same files and states, the same bytes, and the same to be sent."""
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    (tmp_path / "export").write_bytes(whole)
    code, out, _ = typed(capsys, "journal", "import", str(tmp_path / "export"), str(tmp_path / "again"), "--json")
    imported = json.loads(out)["imported"]
    header, *lines = whole.splitlines()
    again_header, *again = exported(tmp_path / "again", "--bodies").splitlines()
    assert again == lines
    epoch, last = imported["epoch"], json.loads(header)["last"]
    assert json.loads(again_header) == json.loads(header) | {"epoch": epoch, "epochs": [[epoch, last]]}
    assert epoch > 1_700_000_000
    assert imported["blobs"] == 1
    assert imported["records"] == imported["head"] == json.loads(header)["last"]
    assert (
        hashlib.sha256((tmp_path / "again/blobs" / BLOB[:2] / BLOB).read_bytes()).digest()
        == hashlib.sha256((site / "blobs" / BLOB[:2] / BLOB).read_bytes()).digest()
    )
    plans = []
    for data_dir in (site, tmp_path / "again"):
        plan = json.loads(typed(capsys, "replay", str(data_dir), "--dry-run", "--json")[1])
        plans.append(plan | {"epoch": 1})
    assert plans[0] == plans[1]
    missing = json.loads(out)["missing"]
    assert code == (1 if missing else 0)
    with inspect(str(site / "journal")) as found:
        assert all(found.body(one["sequence"]) is None for one in missing), "only what was sealed away is missing"
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_without_bodies_it_is_said_which_are_missing(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every pending record that has bytes is named, and the records are all there."""
    (tmp_path / "export").write_bytes(exported(site))
    code, out, said = typed(capsys, "journal", "import", str(tmp_path / "export"), str(tmp_path / "again"))
    assert code == 1
    assert "cannot be sent from here" in said
    assert "large/k" in out
    assert "large/small" in out
    with inspect(str(tmp_path / "again/journal")) as found:
        assert {file.state for file in found.files()[:-1]} == {"sealed"}
        assert found.verify() == found.head.sequence
    assert exported(tmp_path / "again").splitlines()[1:] == (tmp_path / "export").read_bytes().splitlines()[1:]


def test_dropped_records_need_their_base(tmp_path: Path) -> None:
    """With the base the import says the same of every key; without it, it is refused."""
    edge = make_site(tmp_path / "site")
    directory = str(tmp_path / "site/journal")
    backend = SqliteBackend(directory, ballast_bytes=0)
    backend.open()
    position, digest = take_snapshot(edge.view.reader(), RealDisk(), directory, "base-1.db")
    backend.record_base(BaseInfo(position, backend.pick([position])[0].hash, "base-1.db", digest))
    backend.drop(1)
    backend.close()
    lines = exported(tmp_path / "site", "--bodies")
    imported = import_journal(io.BytesIO(lines), str(tmp_path / "again"), RealDisk(), SystemClock(), lambda _: None)
    assert imported.first > 1
    assert exported(tmp_path / "again", "--bodies").splitlines()[1:] == lines.splitlines()[1:]
    with pytest.raises(JournalError, match=r"line 1: records before \d+ were dropped, and no base"):
        refused(exported(tmp_path / "site"), tmp_path)
    edge.close()


def refused(lines: bytes, directory: Path) -> None:
    """Import, which leaves nothing when it raises."""
    before = sorted(os.listdir(directory))
    try:
        import_journal(io.BytesIO(lines), str(directory / "import"), RealDisk(), SystemClock(), lambda _: None)
    finally:
        if (directory / "import").exists():
            shutil.rmtree(directory / "import")
        assert sorted(os.listdir(directory)) == before


def read_through(lines: bytes) -> None:
    export = Import(io.BytesIO(lines), lambda _: None)
    export.base()
    list(export.items())


def edited(lines: list[bytes], number: int, change: Any) -> bytes:
    """With another line `number`; None: without it."""
    made = change(json.loads(lines[number - 1]))
    replaced = [] if made is None else [json.dumps(made).encode()]
    return b"\n".join([*lines[: number - 1], *replaced, *lines[number:]]) + b"\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: edited(lines, 1, lambda one: one | {"format": 9}), "line 1: this export is of format 9"),
        (lambda lines: edited(lines, 1, lambda one: one | {"journal": "x"}), "line 1: its genesis is not"),
        (lambda lines: edited(lines, 1, lambda one: one | {"previous": "00"}), "line 1: the first record does not"),
        (lambda lines: edited(lines, 1, lambda one: one | {"files": [[9, "x"]]}), "line 1: its files"),
        (lambda lines: edited(lines, 1, lambda one: one | {"base": {"position": 1}}), "line 1: its base"),
        (lambda lines: edited(lines, 3, lambda one: None), "line 3: record 3 stands behind record 1"),
        (lambda lines: edited(lines, 3, lambda one: one | {"stream": "x"}), "line 3: record 2 is not what was written"),
        (lambda lines: edited(lines, 3, lambda one: one | {"payload": {}}), "line 3: what is shown of record 2"),
        (lambda lines: edited(lines, 3, lambda one: one | {"more": 1}), "line 3: this is no record"),
        (lambda lines: b"\n".join(lines[:-1]) + b"\n", "are missing: the file was cut"),
        (lambda lines: b"\n".join(lines)[:-40], "this is no record"),
        (
            lambda lines: b"\n".join([lines[0], lines[2], lines[1], *lines[3:]]),
            "line 2: record 2 stands behind record 0",
        ),
        (lambda lines: b"", "line 1: this is not an export"),
        (lambda lines: b"\n".join(lines + lines[1:2]), "record 1 stands behind"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(whole: bytes, damage: Any, said: str) -> None:
    """Before anything else is done with it."""
    with pytest.raises((JournalError, S3dError), match=said):
        read_through(damage(whole.splitlines()))


def test_a_damaged_body_is_refused_with_its_line(whole: bytes, tmp_path: Path) -> None:
    """One in a record's line, and the pieces of one in a file; a name that could leave the directory."""
    lines = whole.splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if line.startswith(b'{"blob"')]
    assert len(numbers) == 3
    with_body = next(number for number, line in enumerate(lines, 1) if b'"body_base64"' in line)
    for number, change, said in (
        (with_body, lambda one: one | {"body_base64": "AAAA"}, "the body of record"),
        (numbers[1], lambda one: None, "does not follow the one before it"),
        (numbers[2], lambda one: None, f"blob {BLOB} is cut off"),
        (numbers[0], lambda one: one | {"blob": "../../../etc/passwd"}, "is no name of a blob"),
        (numbers[0], lambda one: one | {"data_base64": "?"}, "is not understood"),
    ):
        with pytest.raises(JournalError, match=f"line {number}: .*{said}"):
            read_through(edited(lines, number, change))
    with pytest.raises(JournalError, match="the file was cut"):
        refused(b"\n".join(lines[:-1]), tmp_path)


def test_whatever_is_changed_the_records_are_the_same_or_refused(site: Path, tmp_path: Path) -> None:
    """Bytes flipped anywhere behind the first line: an import never has other records than were exported."""
    chance = random.Random(7)
    lines = exported(site)
    start = lines.index(b"\n") + 1
    _, *records = lines.splitlines()
    refusals = 0
    for _ in range(150):
        at = chance.randrange(start, len(lines))
        flipped = lines[:at] + bytes([lines[at] ^ (1 << chance.randrange(8))]) + lines[at + 1 :]
        before = Head(0, bytes.fromhex(json.loads(lines[: start - 1])["previous"]))
        try:
            for number, line in enumerate(flipped.splitlines()[1:], 2):
                record, _ = parse_record(number, line, before)
                assert record_line(record).encode() == records[number - 2]
                before = Head(record.sequence, record.hash)
        except JournalError:
            refusals += 1
    assert refusals > 100


@settings(max_examples=30, deadline=None)
@given(
    TEXTS,
    TEXTS,
    st.one_of(st.binary(max_size=60), DOCUMENTS.map(lambda value: json.dumps(value).encode())),
    st.none() | st.binary(max_size=60),
    st.integers(-(2**40), 2**40),
)
def test_a_record_comes_back_from_its_line(
    stream: str, kind: str, payload: bytes, body: bytes | None, at_ms: int
) -> None:
    """Whatever is in it."""
    before = Head(6, b"h" * 32)
    digest = hashlib.sha256(body).digest() if body is not None else b""
    record = link(before.hash, 7, at_ms, Entry(stream, kind, payload, body, digest, len(body or b"")))
    assert parse_record(2, record_line(record, body).encode(), before) == (record, body)


def test_nothing_is_imported_over_anything(site: Path, whole: bytes, tmp_path: Path) -> None:
    """A directory with something in it stays as it is; an empty one is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    with pytest.raises(S3dError, match="is there already"):
        import_journal(io.BytesIO(whole), str(tmp_path / "full"), RealDisk(), SystemClock(), lambda _: None)
    assert os.listdir(tmp_path / "full") == ["mine"]
    (tmp_path / "empty").mkdir()
    assert (
        import_journal(io.BytesIO(whole), str(tmp_path / "empty"), RealDisk(), SystemClock(), lambda _: None).records
        > 0
    )
