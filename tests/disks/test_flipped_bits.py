"""What the disk changed is neither served nor replayed: bodies in files and in rows, and the view."""

import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from live import LiveDaemon, wait_until

LARGE = bytes(range(256)) * 1200  # beyond what is sent from memory
MIDDLE = LARGE[:100_000]  # a file, but sent from memory
Make = Callable[..., LiveDaemon]


def flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def only_blob(daemon: LiveDaemon) -> Path:
    (blob,) = [path for path in (daemon.directory / "blobs").rglob("*") if path.is_file()]
    return blob


def damaged_count(daemon: LiveDaemon) -> int:
    found = re.search(rb"^s3d_bodies_damaged_total (\d+)", fetch_metrics(daemon), re.MULTILINE)
    return int(found.group(1)) if found else 0


def fetch_metrics(daemon: LiveDaemon) -> bytes:
    with urllib.request.urlopen(daemon.admin + "/metrics", timeout=30) as response:
        body: bytes = response.read()
        return body


def says(daemon: LiveDaemon, *words: str) -> bool:
    """Whether a line of its log has all of them."""
    return any(all(word in line for word in words) for line in daemon._log)


def truncate(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("body", [MIDDLE, LARGE], ids=["from memory", "by sendfile"])
@pytest.mark.parametrize(
    "damage", [lambda path: flip(path, 70_000), lambda path: flip(path, path.stat().st_size - 1), truncate, Path.unlink]
)
def test_c3_c5_a_damaged_blob_is_an_error_never_an_object(
    daemon: LiveDaemon, body: bytes, damage: Callable[[Path], None]
) -> None:
    """Whole, by range, or as the source of a copy: 500, a log line that names it, and a metric; HEAD goes on."""
    before = {path for path in (daemon.directory / "blobs").rglob("*") if path.is_file()}
    assert daemon.fetch("PUT", "/bucket/key", body).status == 200
    (blob,) = {path for path in (daemon.directory / "blobs").rglob("*") if path.is_file()} - before
    count = damaged_count(daemon)
    damage(blob)
    for headers in ({}, {"Range": "bytes=0-9"}, {}):
        answer = daemon.fetch("GET", "/bucket/key", headers=headers)
        assert (answer.status, answer.code) == (500, "InternalError")
    assert daemon.fetch("PUT", "/bucket/copy", headers={"x-amz-copy-source": "/bucket/key"}).status == 500
    assert daemon.fetch("HEAD", "/bucket/key").status == 200
    assert damaged_count(daemon) == count + 1
    wait_until(lambda: says(daemon, '"key": "key"', "damaged"))
    assert daemon.fetch("PUT", "/bucket/key", body).status == 200
    assert daemon.fetch("GET", "/bucket/key").body == body, "another upload heals it"


def test_a_blob_is_read_once_in_a_run_and_again_in_the_next(daemon: LiveDaemon, tmp_path: Path) -> None:
    """What docs/semantics.md says of the cost, and of the window."""
    before = {path for path in (daemon.directory / "blobs").rglob("*") if path.is_file()}
    assert daemon.fetch("PUT", "/bucket/twice", LARGE).status == 200
    assert daemon.fetch("GET", "/bucket/twice").body == LARGE
    (blob,) = {path for path in (daemon.directory / "blobs").rglob("*") if path.is_file()} - before
    flip(blob, 1000)
    daemon.stop()
    daemon.start()
    assert daemon.fetch("GET", "/bucket/twice").status == 500


def test_i4_a_flipped_blob_is_parked_not_replicated_and_the_remotes_copy_is_served_where_there_is_one(
    daemon_at: Make, tmp_path: Path
) -> None:
    """Damaged before it was sent: it waits for a person, and others go on. Damaged afterwards: the remote's bytes."""
    far = daemon_at(tmp_path / "far", "")
    remote = f'[remote]\nsender = "inside"\nendpoint = "{far.url}"\naccess_key = "any"\nsecret_key = "any-secret"\n'
    daemon = daemon_at(tmp_path / "near", remote.replace(far.url, "http://127.0.0.1:9"))
    assert daemon.fetch("PUT", "/bucket").status == 200
    assert daemon.fetch("PUT", "/bucket/damaged", LARGE).status == 200
    flip(only_blob(daemon), 5)
    assert daemon.fetch("PUT", "/bucket/sound", MIDDLE).status == 200
    daemon._config.write_text(remote)
    daemon.kill()
    daemon.start()
    wait_until(
        lambda: bool(daemon.ask("/status")["pending"]["count"] == daemon.ask("/status")["pending"]["parked"] == 1)
    )
    (parked,) = daemon.ask("/parked")["records"]
    assert (parked["key"], parked["code"]) == ("damaged", "LocalBodyUnreadable")
    assert far.fetch("GET", "/bucket/damaged").status == 404
    assert far.fetch("GET", "/bucket/sound").body == MIDDLE
    sound = next(
        path for path in (daemon.directory / "blobs").rglob("*") if path.is_file() and path.stat().st_size < 200_000
    )
    flip(sound, 0)
    daemon.kill()
    daemon.start()
    for _ in range(2):  # through, and then from the cache
        answer = daemon.fetch("GET", "/bucket/sound")
        assert (answer.status, answer.body == MIDDLE) == (200, True)
    far.kill()
    assert daemon.fetch("GET", "/bucket/sound", headers={"Range": "bytes=5-9"}).body == MIDDLE[5:10]
    assert daemon.fetch("GET", "/bucket/damaged").status == 500


@pytest.mark.parametrize("where", ["a record", "the whole file"])
def test_decision_18_a_damaged_older_file_stops_what_is_in_it_and_nothing_else(
    daemon_at: Make, tmp_path: Path, where: str
) -> None:
    """Its pending records are parked, what is in other files is sent, and the daemon lives: nothing is sent changed."""
    far = daemon_at(tmp_path / "far", "")
    config = f'[remote]\nsender = "inside"\nendpoint = "{far.url}"\naccess_key = "any"\nsecret_key = "any-secret"\n'
    config += "[journal]\nfile_bytes_max = 65536\n"
    daemon = daemon_at(tmp_path / "near", config.replace(far.url, "http://127.0.0.1:9"))
    assert daemon.fetch("PUT", "/bucket").status == 200
    for number in range(12):
        assert daemon.fetch("PUT", f"/bucket/k{number:02}", LARGE[:20_000]).status == 200
    assert len(daemon.ask("/status")["files"]) >= 3
    daemon.stop()
    path = daemon.directory / "journal" / "journal-000002.db"
    connection = apsw.Connection(str(path))
    held = [str(stream) for (stream,) in connection.execute("SELECT stream FROM record").fetchall()]
    connection.execute("UPDATE record SET stream = 'bucket/changed' WHERE stream = ?", (held[0],))
    connection.close()
    damaged = held[:1]
    if where == "the whole file":
        damaged = held
        flip(path, 0)
    daemon._config.write_text(config)
    daemon.start()
    wait_until(
        lambda: bool(daemon.ask("/status")["pending"]["count"] == daemon.ask("/status")["pending"]["parked"] > 0)
    )
    parked = {record["key"]: record["code"] for record in daemon.ask("/parked")["records"]}
    assert parked == {stream.partition("/")[2]: "LocalRecordUnreadable" for stream in damaged}
    for number in range(12):
        at_remote = far.fetch("GET", f"/bucket/k{number:02}")
        assert at_remote.status == (404 if f"k{number:02}" in parked else 200)
    assert far.fetch("GET", "/bucket/changed").status == 404
    assert daemon.fetch("PUT", "/bucket/new", b"new").status == 200
    assert not [line for line in daemon._log if "Traceback" in line]


def test_c3_a_body_in_a_row_that_was_changed_is_an_error(daemon: LiveDaemon) -> None:
    """The journal holds it against the digest in the chain."""
    assert daemon.fetch("PUT", "/bucket/row", b"precious" * 10).status == 200
    sequence = int(daemon.ask("/status")["head"].rpartition("-")[2])
    daemon.stop()
    connection = apsw.Connection(str(daemon.directory / "journal" / "journal-000001.db"))
    connection.execute("UPDATE record SET body = ? WHERE sequence = ?", (b"previous" * 10, sequence))
    connection.close()
    daemon.start()
    answer = daemon.fetch("GET", "/bucket/row")
    assert (answer.status, answer.code) == (500, "InternalError")
    wait_until(lambda: says(daemon, "is not what was written", f'"sequence": {sequence}'))


def test_decision_2_a_view_found_damaged_while_running_is_rebuilt_and_reads_go_on(
    daemon_at: Make, tmp_path: Path
) -> None:
    """Reads are 503 for as long as it takes, never a 404 and never a 500; nothing is restarted."""
    daemon = daemon_at(tmp_path / "data", "")
    assert daemon.fetch("PUT", "/bucket").status == 200
    for number in range(400):
        assert daemon.fetch("PUT", f"/bucket/key{number:04}", b"%d" % number).status == 200
    daemon.stop()
    path = daemon.directory / "view.db"
    connection = apsw.Connection(str(path))
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'object'").fetchall()
    connection.close()
    with open(path, "r+b") as file:
        file.seek((int(str(page)) - 1) * 4096)
        file.write(b"\xff" * 4096)
    daemon.start()
    process_id = daemon.process_id
    answers: set[int] = set()

    def is_back() -> bool:
        answers.add(daemon.fetch("GET", "/bucket/key0007").status)
        return answers >= {200}

    wait_until(is_back)
    assert answers <= {200, 503}
    for number in range(0, 400, 50):
        assert daemon.fetch("GET", f"/bucket/key{number:04}").body == b"%d" % number
    assert b"<KeyCount>400</KeyCount>" in daemon.fetch("GET", "/bucket?list-type=2").body
    assert daemon.fetch("PUT", "/bucket/new", b"new").status == 200
    assert daemon.process_id == process_id
    wait_until(lambda: says(daemon, "the state is damaged"))


@pytest.fixture
def daemon(damage_daemon: LiveDaemon) -> LiveDaemon:
    """One for this file: it may log errors."""
    return damage_daemon


@pytest.fixture(scope="module")
def damage_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    made = LiveDaemon(tmp_path_factory.mktemp("damage") / "data", auth=False).start()
    assert made.fetch("PUT", "/bucket").status == 200
    yield made
    made.kill()
