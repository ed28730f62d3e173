"""A data directory that a killed daemon has left and the disk has damaged: what is said of it, and what comes of it."""

import asyncio
import fcntl
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import click
import pytest
from live import LiveDaemon

from journal import inspect
from journal.disk import RealDisk
from s3d.app.ground import Ground
from s3d.app.recovering import refuse_without_room
from s3d.cli.main import cli, main
from s3d.clock import SystemClock
from s3d.commands.machine import NO_POLICIES
from s3d.config import load
from s3d.errors import DataDirectoryError
from s3d.recovery.look import PLAN_NAME
from s3d.recovery.plan import Plan, Step
from s3d.telemetry.metrics import Metrics

CONFIG = """
remote = { endpoint = "http://127.0.0.1:1", access_key = "x", secret_key = "y" }
journal = { file_bytes_max = 65536, ballast_bytes = 0 }
"""
ALONE = "journal = { file_bytes_max = 65536, ballast_bytes = 0 }"
BUCKET = "site"
JOURNAL, PAGE = "journal/journal-000001.db", 4096


def written() -> dict[str, bytes]:
    """What is acknowledged: small ones in rows, two in files of their own."""
    chance = random.Random(7)
    return {f"k/{number:02}": chance.randbytes(chance.choice((10, 3000, 9000))) for number in range(24)} | {
        "large/0": chance.randbytes(200_000),
        "large/1": chance.randbytes(300_000),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of a daemon that was killed while it was offline; `s3d doctor` has looked at it while it ran."""
    directory = tmp_path_factory.mktemp("damaged") / "site"
    daemon = LiveDaemon(directory, auth=False, config=CONFIG).start()
    client = daemon.client()
    client.create_bucket(Bucket=BUCKET)
    for key, body in written().items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    said = list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda text="", **_: said.append(text if isinstance(text, str) else text.decode()))
        code = cli.main(["doctor", "--admin", daemon.admin, "--deep", "--json"], prog_name="s3d", standalone_mode=False)
    assert code == 0, said
    assert "a daemon is running on it" in "".join(said)
    with pytest.raises(DataDirectoryError, match="a daemon uses"):
        cli.main(["recover", str(directory), "--yes"], prog_name="s3d", standalone_mode=False)
    assert client.get_object(Bucket=BUCKET, Key="k/00")["Body"].read() == written()["k/00"]
    client.close()
    daemon.kill()
    return directory


@pytest.fixture
def damaged(site: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(site, tmp_path / "site")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """`s3d doctor …` or `s3d recover …` as a person types it: the exit code and the document."""

    def run(*arguments: object) -> tuple[int, Any]:
        said: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                click, "echo", lambda text="", **_: said.append(text if isinstance(text, str) else text.decode())
            )
            code = cli.main([*map(str, arguments), "--json"], prog_name="s3d", standalone_mode=False)
        return code or 0, json.loads("".join(said))

    return run


def digest_of(directory: Path) -> str:
    """Every name, mode and byte below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(f"{path.relative_to(directory)} {path.lstat().st_mode:o}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def zero_page(path: Path, number: int) -> None:
    content = bytearray(path.read_bytes())
    content[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)


def active_of(directory: Path) -> Path:
    return max(path for path in (directory / "journal").glob("journal-*.db"))


def spoil_view(directory: Path) -> None:
    """Its log into it, then a page of it gone."""
    connection = apsw.Connection(str(directory / "view.db"))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    pages = int(str(connection.pragma("page_count")))
    connection.close()
    for number in range(3, pages, 4):
        zero_page(directory / "view.db", number)


def test_a_damaged_view_is_put_aside_and_folded_again(damaged: Path, typed: Any) -> None:
    """Nothing is lost by it, and the daemon finds nothing to do."""
    spoil_view(damaged)
    code, said = typed("doctor", damaged)
    (finding,) = [one for one in said["findings"] if one["severity"] == "damage"]
    assert (code, finding["subject"]) == (1, "view")
    assert "nothing is lost" in finding["means"]
    code, plan = typed("recover", damaged, "--yes")
    assert (code, [step["action"] for step in plan["steps"]]) == (0, ["set-aside-view", "fold"])
    assert (damaged / "set-aside" / plan["made_at"] / "view.db").exists()
    assert (damaged / "set-aside" / plan["made_at"] / PLAN_NAME).exists()
    code, said = typed("doctor", damaged, "--deep")
    assert (code, said["sound"]) == (0, True)


def test_a_lost_mark_is_written_again_under_a_new_epoch(damaged: Path, typed: Any) -> None:
    """Records may be missing at the end: numbers of them are not taken for those of new ones."""
    (damaged / "journal" / "mark").unlink()
    assert typed("doctor", damaged)[0] == 1
    code, plan = typed("recover", damaged, "--yes")
    assert (code, plan["new_epoch"]) == (0, True)
    assert typed("doctor", damaged)[0] == 0
    code, plan = typed("recover", damaged, "--dry-run")
    assert (code, plan.get("steps", [])) == (0, []), "there is nothing more to do"


def test_everything_at_once(damaged: Path, typed: Any, tmp_path: Path) -> None:
    """A page of a closed file is gone, the log has flipped bits, the view is spoilt, and a large body is changed.

    What was acknowledged is read back as it was or refused, and only what was hit is refused; its keys are named.
    """
    zero_page(damaged / JOURNAL, 9)
    log = Path(f"{active_of(damaged)}-wal")
    for at in range(5000, log.stat().st_size, 30_000):
        flip(log, at)
    flip(min(path for path in (damaged / "blobs").rglob("*") if path.is_file()), 70_000)
    code, said = typed("doctor", damaged, "--deep")
    named = {(one["bucket"], one.get("key", "")) for finding in said["findings"] for one in finding.get("named", ())}
    assert code == 1
    assert named, said
    before = digest_of(damaged / "blobs")
    code, plan = typed("recover", damaged, "--plan", tmp_path / "plan.json", "--yes")
    assert code == 0
    assert json.loads((tmp_path / "plan.json").read_text())["steps"] == plan["steps"]
    assert digest_of(damaged / "blobs") == before, "a view that was whole still names every body"
    assert {one["severity"] for one in typed("doctor", damaged)[1]["findings"]} <= {"ok", "note", "damage"}

    daemon = LiveDaemon(damaged, auth=False, config=CONFIG).start()
    refused = set[str]()
    for key, body in written().items():
        answer = daemon.fetch("GET", f"/{BUCKET}/{key}")
        assert answer.body == body if answer.status == 200 else answer.status >= 500
        if answer.status != 200:
            refused.add(key)
    kinds = [one["kind"] for one in daemon.ask("/v1/journal/records?after=0")["records"]]
    daemon.kill()
    assert refused <= {key for _, key in named}
    assert len(refused) < 5
    assert kinds.count("Recovered") == 1


def test_lost_records_keep_their_places_and_are_told(damaged: Path, typed: Any) -> None:
    """A closed file is gone. Its records have places that say so, what the view knew of them stays, and their keys are
    named; the numbers behind them are what they were.
    """
    with inspect(str(damaged / "journal")) as inspection:
        before = {one.sequence: one for one in inspection.records()}
        gone = inspection.files()[0]
    (damaged / JOURNAL).unlink()
    code, said = typed("doctor", damaged)
    (finding,) = [one for one in said["findings"] if one["severity"] == "damage"]
    assert f"records {gone.first} to {gone.last} cannot be saved" in finding["means"]
    assert {one.get("key", "") for one in finding["named"]} <= {*written(), ""}
    assert len(finding["named"]) == gone.last
    code, plan = typed("recover", damaged, "--yes")
    assert (code, plan["base_of_view"], plan["losses"][0]["last"]) == (0, True, gone.last)
    with inspect(str(damaged / "journal")) as inspection:
        inspection.verify()
        after = {one.sequence: one for one in inspection.records()}
    assert {after[one].kind for one in range(gone.first, gone.last + 1)} == {"Lost"}
    assert all(after[one] == before[one] for one in before if one > gone.last)
    connection = apsw.Connection(str(damaged / "view.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("SELECT count(*) FROM object").fetchone() == (len(written()),)
    connection.close()
    assert typed("doctor", damaged)[0] == 0


def test_what_lost_records_may_have_written_is_unknown_until_a_person_accepts_it(damaged: Path, typed: Any) -> None:
    """A closed file and the view are gone, and there is no remote: nobody can say what was there, so nobody does."""
    (damaged / JOURNAL).unlink()
    spoil_view(damaged)
    assert typed("recover", damaged, "--yes")[0] == 0
    with inspect(str(damaged / "journal")) as inspection:
        lost = sum(one.kind == "Lost" for one in inspection.records())

    daemon = LiveDaemon(damaged, auth=False, config=ALONE).start()
    asked = [f"/{BUCKET}/k/00", f"/{BUCKET}/never/seen", f"/{BUCKET}?list-type=2", f"/{BUCKET}?location", "/"]
    for target in asked:
        answer = daemon.fetch("GET", target)
        assert (answer.status, b"RemoteUnreachable" in answer.body) == (503, True), target
    assert daemon.fetch("PUT", f"/{BUCKET}").status == 200
    assert daemon.fetch("PUT", f"/{BUCKET}/k/00", b"again").status == 200
    assert daemon.fetch("GET", f"/{BUCKET}/k/00").body == b"again"
    assert daemon.fetch("GET", f"/{BUCKET}/never/seen").status == 503, "it may have been in that bucket"
    code, said = typed("losses", "--admin", daemon.admin)
    assert (code, said["loss"]["records"], said["loss"]["is_unknown"]) == (1, lost, True)
    assert daemon.ask("/status")["loss"] == said["loss"]
    code, accepted = typed("losses", "accept", "--reason", "nothing was there", "--admin", daemon.admin)
    assert (code, accepted["loss"]) == (0, said["loss"])
    assert daemon.fetch("GET", f"/{BUCKET}/never/seen").status == 404
    assert daemon.fetch("GET", f"/{BUCKET}?list-type=2").status == 200
    assert typed("losses", "--admin", daemon.admin) == (0, {"loss": None, "seq": ""})
    daemon.kill()


def test_a_recovery_may_be_killed_at_any_moment(damaged: Path, tmp_path: Path) -> None:
    """Called again it goes on, and what comes of it is the same. No daemon starts on it in between."""
    zero_page(damaged / JOURNAL, 9)
    (damaged / JOURNAL).unlink()
    program = Path(__file__).with_name("killed_recoveries.py")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, str(program), str(damaged), str(work), "2"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 5, done.stdout
    assert {line[2] for line in lines} == {"True"}, done.stdout
    assert len({line[1] for line in lines}) > 2, "in several steps"


def test_no_daemon_starts_in_the_middle_of_a_recovery(damaged: Path) -> None:
    """It might see half of it."""
    (damaged / PLAN_NAME).write_text("{}")
    settings = load({"data_dir": str(damaged)}, {}, None)
    ground = Ground(settings, RealDisk(), SystemClock(), Metrics(), NO_POLICIES, lambda _: None)
    (damaged / "lock").unlink()
    before = digest_of(damaged)
    with pytest.raises(DataDirectoryError, match="has begun, and not ended"):
        asyncio.run(ground.open())
    (damaged / "lock").unlink()
    assert digest_of(damaged) == before, "but for the lock"


def another_program(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / "PG_VERSION").write_text("16\n")


def another_database(directory: Path) -> None:
    (directory / "journal" / "mark").unlink()
    for path in (directory / "journal").glob("journal-*"):
        path.unlink()
    connection = apsw.Connection(str(directory / JOURNAL))
    connection.execute("PRAGMA application_id=1; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    connection.close()


def newer_version(directory: Path) -> None:
    connection = apsw.Connection(str(active_of(directory)))
    connection.execute("PRAGMA user_version=99").fetchall()
    connection.close()


def nothing(directory: Path) -> None:
    for path in (directory / "journal").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (another_program, "is not a data directory of this program"),
        (another_database, "is a database of another program"),
        (newer_version, "was made by a newer version"),
        (nothing, "there is no journal in"),
        (shutil.rmtree, "is not a data directory of this program"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_cannot_be_looked_at_is_said_in_a_line(
    damaged: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], said: str
) -> None:
    """Exit code 2, a hint, and nothing changed."""
    spoil(damaged)
    before = digest_of(damaged) if damaged.exists() else ""
    for command in (["doctor"], ["recover", "--yes"], ["recover", "--dry-run"]):
        with pytest.raises(SystemExit) as ended:
            main([command[0], str(damaged), *command[1:]])
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, "")
        first, second = err.splitlines()
        assert said in first
        assert second.startswith("hint: ")
        assert (digest_of(damaged) if damaged.exists() else "") == before


def without_log(directory: Path) -> None:
    Path(f"{active_of(directory)}-wal").unlink()


def without_file(directory: Path) -> None:
    (directory / JOURNAL).unlink()


def older_database(directory: Path) -> None:
    active_of(directory).unlink()
    without_log(directory)


@pytest.mark.parametrize("spoil", [without_log, without_file, older_database], ids=lambda one: one.__name__)
def test_half_a_copy_is_told_and_nothing_is_done_without_a_word(
    damaged: Path, typed: Any, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    """Looking changes nothing, planning neither, and where nobody can be asked nothing is done."""
    spoil(damaged)
    before = digest_of(damaged)
    assert typed("doctor", damaged)[0] in {0, 1}
    assert typed("recover", damaged, "--dry-run")[0] == 0
    if spoil is not without_log:
        with pytest.raises(SystemExit):
            main(["recover", str(damaged)])
        assert "nobody is there to be asked" in capsys.readouterr().err
    assert digest_of(damaged) == before


def test_a_directory_that_is_in_use_and_a_full_disk_are_refused(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, a hint, and nothing changed."""
    (damaged / JOURNAL).unlink()
    before = digest_of(damaged)
    with open(damaged / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            main(["recover", str(damaged), "--yes"])
    assert "a daemon uses the data directory" in capsys.readouterr().err

    class FullDisk(RealDisk):
        def free_bytes(self, path: str) -> int:
            return 1_000_000

    plan = Plan(steps=(Step("write-journal", "", ""),))
    with pytest.raises(DataDirectoryError, match="0 MiB are free"):
        refuse_without_room(str(damaged), plan, FullDisk())
    assert digest_of(damaged) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_of_somebody_else_is_refused(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose user to be is said."""
    (damaged / "journal").chmod(0)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", str(damaged)])
    finally:
        (damaged / "journal").chmod(0o700)
    assert ended.value.code == 2
    assert "as the user whom the directory belongs to" in capsys.readouterr().err
