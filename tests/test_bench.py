"""`scripts/bench` runs unattended, and what it says of a run follows from the samples. No timing decides anything."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import apsw
import pytest

from journal import SqliteBackend

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.fixture
def findings():
    """Two rounds in which s3d does a third, then a half of what the bare handler does, in a quarter of the memory."""
    from benchmarks.findings import Findings, Memory, Sample

    found = Findings()
    row = found.row("put", "PUT 4 KiB, 32 connections", "/s")
    row.samples["bare aiohttp handler"] = [Sample(0, 9000.0, 1.0, 2.0, 70.0), Sample(1, 4000.0, 1.0, 2.0, 70.0)]
    row.samples["s3d"] = [Sample(0, 3000.0, 1.0, 2.0, 200.0), Sample(1, 2000.0, 3.0, 4.0, 210.0)]
    row.samples["a | peer"] = [Sample(1, 500.0)]
    row.memory["s3d"] = Memory(80.0, 60.0, 150.0)
    start = found.row("start-clean-1000", "First correct read", "s", less_is_better=True)
    start.samples["s3d"] = [Sample(0, 6.0)]
    found.lacks("Ceph RGW", "radosgw not installed")
    return found


@pytest.fixture
def document(findings):
    from benchmarks.aims import outcomes
    from benchmarks.document import document

    plan = {"rounds": 2, "seconds": 1.0, "rows": frozenset({"put"}), "directory": Path("/nowhere")}
    budget = [{"name": "metrics", "cpu_us": 0.3, "aim_us": ""}]
    return json.loads(json.dumps(document({"CPU": "a"}, plan, findings, outcomes(findings, 1000), budget, 61.4)))


def test_a_ratio_is_taken_between_samples_of_the_same_round(findings):
    """A peer that had no turn in a round has no ratio there, and the median is one of ratios, not of rates."""
    row = findings.rows["put"]
    ratio = row.ratio("s3d", "bare aiohttp handler")
    assert (ratio.least, ratio.greatest) == (pytest.approx(1 / 3), 0.5)
    assert row.ratio("s3d", "a | peer").median == 4.0
    assert row.ratio("s3d", "nobody") is None


def test_an_aim_is_reached_missed_or_not_measured(document):
    """What the run did not measure is never called reached; where less is better, more is a miss."""
    reached = {aim["aim"]: aim["reached"] for aim in document["aims"]}
    assert reached["PUT 4 KiB at 32 connections, of the bare handler"] is True
    assert reached["first correct read after a stop, 1,000 pending"] is False
    assert reached["the same, of rclone serve s3"] is None
    assert reached["memory of daemon and sender, peaks added up, any row"] is True


def test_a_server_is_its_processes_and_all_that_they_started():
    """Memory tells the roots from their children, CPU counts both, and a move takes every one of them along."""
    from benchmarks import processes

    grandchild = "import sys, time; print(1, flush=True); time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            child.stdout.read(1)
            family = processes.family([child.pid])
            assert len(family) == 2
            held = processes.memory([child.pid])
            assert held.daemon_mb > 1
            assert held.children_mb > 1
            assert held.peak_mb >= max(held.daemon_mb, held.children_mb)
            assert processes.cpu_seconds([child.pid]) >= processes.cpu_seconds(family[1:])
            core = max(os.sched_getaffinity(0))
            processes.pin([child.pid], core)
            assert [os.sched_getaffinity(process) for process in family] == [{core}, {core}]
        finally:
            os.killpg(child.pid, 9)
    assert processes.memory([child.pid]).daemon_mb == 0


def test_a_store_that_was_filled_is_taken_over_and_not_folded_again(tmp_path):
    """The view belongs to its journal and has every record: a start would else be measured with a rebuild in it."""
    from benchmarks.stores import fill

    fill(tmp_path / "store", 50, 16, grouped=True)
    view = apsw.Connection(str(tmp_path / "store/view.db"))
    position, instance = view.execute("SELECT position, instance FROM progress").fetchone()
    assert view.execute("SELECT count(*) FROM pending WHERE order_group <> ''").get == 5, "a tenth of them"
    view.close()
    backend = SqliteBackend(str(tmp_path / "store/journal"))
    assert position == backend.open().sequence == 51, "the bucket and its objects"
    assert instance == backend.identity.instance
    backend.close()
    assert (tmp_path / "store/view.clean").exists()


def test_every_aim_is_about_a_row_that_a_run_can_have(findings):
    """A row that is renamed, and not its aim, would be 'not measured' for ever."""
    from benchmarks import aims, plan

    sources = "".join(path.read_text() for path in (ROOT / "scripts/benchmarks").glob("*.py") if path.stem != "aims")
    numbered = {f"{kind}-1000000": f"{kind}-" for kind in ("list", "start-clean", "start-killed")}
    for aim in aims._aims(1_000_000):
        name = numbered.get(aim.row, aim.row)
        if aim.row.startswith(("list-", "drain-")):
            name = aim.row.split("-")[0]
        assert f'"{name}' in sources, aim.row
    assert set(plan.SECTIONS) >= {"put", "list", "drain", "sustained", "stores", "start", "fold"}


def test_the_page_has_every_table_and_leaves_no_place_empty(document, tmp_path):
    """The template's places are filled from the run, a bar in a name does not break a table, the picture is XML."""
    from benchmarks import page

    target = tmp_path / "performance.md"
    page.write(target, document)
    text = target.read_text()
    assert "{{" not in text
    assert "a \\| peer" in text
    assert "radosgw not installed" in text
    assert "0.42 (0.33 … 0.50)" in text
    picture = ET.parse(tmp_path / "performance.svg")
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 2


def test_a_template_with_an_unknown_place_is_an_error(document):
    """A table that is renamed must not silently leave the page."""
    from benchmarks import page

    with pytest.raises(KeyError):
        page.page("{{ nothing }}", document, "x.svg")


def test_an_earlier_run_is_shown_and_written_without_measuring(document, tmp_path):
    """--from makes the same tables of what --json has written, on a machine where nothing could be measured."""
    earlier, target = tmp_path / "run.json", tmp_path / "page.md"
    earlier.write_text(json.dumps(document))
    ran = _bench("--from", earlier, "--write", target, PATH=str(Path(sys.executable).parent))
    assert ran.returncode == 0, ran.stderr
    assert "0.42 (0.33 … 0.50)" in ran.stdout
    assert target.exists()


def test_rows_and_peers_that_do_not_exist_are_refused():
    """Mistyped, an option would measure nothing and look as if it had."""
    assert _bench("--rows", "put,gte").returncode == 2
    assert _bench("--peers", "minio").returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_quick_run_measures_every_section_and_leaves_nothing_behind(tmp_path):
    """All sections of our own succeed, ratios and memory of both processes are there, and no file remains."""
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed (apt-get install wrk)")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core for the servers and one for the load: this machine has one")
    data, result = tmp_path / "data", tmp_path / "run.json"
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))[:2]]
    ran = _bench("--quick", "--directory", data, "--json", result, "--server-core", cores[0], "--load-core", cores[1])
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert list(data.iterdir()) == []
    run = json.loads(result.read_text())
    rows = {row["row"]: {server["server"]: server for server in row["servers"]} for row in run["rows"]}
    expected = {"put", "put1", "get", "cold", "put-large", "get-large", "drain-sink", "drain-s3d", "paced", "confirmed"}
    expected |= {"put-2000", "get-2000", "list-2000", "start-clean-2000", "start-killed-2000"}
    expected |= {"fold-new", "fold-over", "fold-late"}
    assert set(rows) == expected
    assert all("s3d" in servers for servers in rows.values())
    assert rows["put"]["bare aiohttp handler"]["subject_by_this"]["median"] > 0
    assert rows["drain-sink"]["s5cmd"]["subject_by_this"]["median"] > 0
    assert rows["drain-sink"]["s3d"]["memory"]["children_mb"] > 0, "the sender is a process of its own"
    assert [step["name"] for step in run["budget"]]
    assert run["machine"]["load average before"]


def _bench(*arguments, **environment):
    return subprocess.run(
        [ROOT / "scripts/bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
