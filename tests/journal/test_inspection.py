"""Looking without touching, and exporting what can be verified elsewhere."""

import base64
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from typing import Any

import apsw
import pytest

from journal import Entry, JournalDamaged, JournalError, JournalForeign, JournalShortened, SqliteBackend, inspect
from journal.export import export_lines
from journal.files import file_name
from journal.record import Head, link

DATABASE_NAME = file_name(1)


def append(backend: SqliteBackend, head: Head, number: int, payload: bytes | None = None) -> Head:
    body = b"body %d" % number
    entry = Entry(
        f"b/{number}", "Put", payload or b'{"n": %d}' % number, body, hashlib.sha256(body).digest(), len(body)
    )
    record = link(head.hash, head.sequence + 1, number, entry)
    backend.append([record], {record.sequence: body}, {"replicator": head.sequence})
    return Head(record.sequence, record.hash)


@pytest.fixture
def filled(directory: str) -> str:
    backend = SqliteBackend(directory, ballast_bytes=0)
    head = backend.open()
    for number in range(1, 21):
        head = append(backend, head, number)
    backend.close()
    return directory


def snapshot(directory: str) -> dict[str, tuple[bytes, int]]:
    found = {}
    for name in os.listdir(directory):
        with open(f"{directory}/{name}", "rb") as file:
            found[name] = (file.read(), os.stat(f"{directory}/{name}").st_mtime_ns)
    return found


def test_decision_13_an_inspection_sees_the_log_and_touches_nothing(filled: str, tmp_path: Any) -> None:
    """Records that are only in the log are there; no file of the journal changes, and none is left behind."""
    before = snapshot(filled)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with inspect(filled, scratch=str(scratch)) as inspection:
        assert inspection.verify() == 20
        assert inspection.head.sequence == 20
        assert inspection.mark is not None
        assert inspection.mark.head == inspection.head
        assert [record.sequence for record in inspection.records(after=17)] == [18, 19, 20]
        assert inspection.body(20) == b"body 20"
        assert inspection.positions() == {"replicator": 19}
    assert snapshot(filled) == before
    assert os.listdir(scratch) == []


def test_decision_13_a_damaged_log_is_reported_from_the_copy(filled: str) -> None:
    """`verify` says which records are missing, and the evidence stays as it is."""
    path = f"{filled}/{DATABASE_NAME}-wal"
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff\x00\xff\x00")
    before = snapshot(filled)
    with inspect(filled) as inspection, pytest.raises(JournalShortened) as caught:
        inspection.verify()
    assert caught.value.sequence == inspection.head.sequence + 1
    assert snapshot(filled) == before


LIVE = """
import hashlib, sys, time
from journal import Entry, Head, SqliteBackend
from journal.record import link

backend = SqliteBackend(sys.argv[1], ballast_bytes=0, checkpoint_wal_bytes=400_000)
head = backend.open()
while True:
    record = link(head.hash, head.sequence + 1, 0, Entry("b/k", "Put", bytes(500)))
    backend.append([record], {}, {})
    head = Head(record.sequence, record.hash)
    backend.settle(idle=False)
    if head.sequence == 50:
        print("ready", flush=True)
    time.sleep(0.0005)
"""


def test_an_inspection_of_a_live_journal_is_one_moment(directory: str) -> None:
    """A daemon appends and checkpoints meanwhile: every copy is a whole chain that holds all that its mark names."""
    daemon = subprocess.Popen([sys.executable, "-c", LIVE, directory], stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "ready\n"
        counts = []
        for _ in range(12):
            with inspect(directory) as inspection:
                counts.append(inspection.verify())
    finally:
        daemon.kill()
        daemon.communicate()
    assert counts == sorted(counts)
    assert counts[0] >= 50


def test_the_process_that_has_the_journal_open_does_not_inspect_it(filled: str) -> None:
    """Closing the file after the copy would drop SQLite's own locks on it; once it is closed, all is well."""
    backend = SqliteBackend(filled, ballast_bytes=0)
    backend.open()
    with pytest.raises(JournalError, match="this process"), inspect(filled):
        pass
    backend.close()
    with inspect(filled) as inspection:
        assert inspection.verify() == 20


def test_a_missing_mark_is_said_only_after_the_records_verify(filled: str) -> None:
    """The records can still be read and exported."""
    os.unlink(f"{filled}/mark")
    with inspect(filled) as inspection:
        assert inspection.mark is None
        assert len(list(inspection.records())) == 20
        with pytest.raises(JournalDamaged, match="mark is missing"):
            inspection.verify()


def test_a_changed_body_is_found_by_verify(filled: str) -> None:
    """The chain holds only its digest, so the body is read and held against it."""
    connection = apsw.Connection(f"{filled}/{DATABASE_NAME}")
    connection.execute("UPDATE record SET body = x'00' WHERE sequence = 4")
    connection.close()
    with inspect(filled) as inspection, pytest.raises(JournalDamaged) as caught:
        inspection.verify()
    assert caught.value.sequence == 4


def test_what_is_no_journal_is_an_error_with_a_hint(tmp_path: Any, filled: str) -> None:
    """An empty directory, and a file of somebody else's."""
    with pytest.raises(JournalError, match="cannot be copied"), inspect(str(tmp_path)):
        pass
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy("/etc/passwd", other / DATABASE_NAME)
    with pytest.raises(JournalForeign), inspect(str(other)):
        pass


def verify_lines(lines: list[str]) -> int:
    """The verifier that anybody could write from the description of the format; it imports nothing of ours."""
    previous = bytes.fromhex(json.loads(lines[0])["genesis"])
    for expected, line in enumerate(lines[1:], 1):
        record = json.loads(line)
        assert record["sequence"] == expected
        stream, kind = record["stream"].encode(), record["kind"].encode()
        payload, digest = base64.b64decode(record["payload_base64"]), bytes.fromhex(record["body_digest"])
        layout = struct.pack(
            ">QqQIIII",
            record["sequence"],
            record["written_at_ms"],
            record["body_size"],
            len(stream),
            len(kind),
            len(payload),
            len(digest),
        )
        previous = hashlib.sha256(previous + layout + stream + kind + payload + digest).digest()
        assert previous.hex() == record["hash"], f"record {expected}"
    return len(lines) - 1


def test_an_export_verifies_without_this_program(directory: str) -> None:
    """JSON payloads are readable; others, and JSON that could not be written out again, are null beside their bytes."""
    backend = SqliteBackend(directory, ballast_bytes=0)
    head = backend.open()
    payloads = [
        b'{"key": "\xc3\xa9"}',
        b'{"key": "\xe9"}',
        b"\xff\xfe",
        b"NaN",
        b'"\\ud800"',
        b"[" * 5000,
        b"[" * 100_000,
        b"1e999",
        b"",
    ]
    for number, payload in enumerate(payloads, 1):
        head = append(backend, head, number, payload or b" ")
    lines = list(export_lines(backend.identity, backend.read(0, 100)))
    backend.close()
    text = "\n".join(lines).encode("utf-8").decode("utf-8")
    assert verify_lines(text.split("\n")) == len(payloads)
    assert [json.loads(line)["payload"] for line in lines[1:]][:7] == [{"key": "é"}, *[None] * 6]
    assert "é" in lines[1]


@pytest.mark.parametrize("field", ["stream", "kind", "written_at_ms", "payload_base64", "body_digest", "body_size"])
def test_a_changed_export_does_not_verify(directory: str, field: str) -> None:
    """Every field that the export shows is covered by the chain."""
    backend = SqliteBackend(directory, ballast_bytes=0)
    head = backend.open()
    for number in range(1, 4):
        head = append(backend, head, number)
    lines = list(export_lines(backend.identity, backend.read(0, 100)))
    backend.close()
    record = json.loads(lines[2])
    record[field] = {"payload_base64": "AAAA", "body_digest": "00"}.get(
        field, record[field] + 1 if isinstance(record[field], int) else record[field] + "x"
    )
    lines[2] = json.dumps(record)
    with pytest.raises(AssertionError, match="record 2"):
        verify_lines(lines)
