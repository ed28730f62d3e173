"""The scripts, the lock and the README keep their promises to somebody who has just cloned this."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import boto3
import pytest
from kill.nursery import Nursery
from peers.fault_proxy import free_port

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(
    path for path in (*(ROOT / "scripts").iterdir(), ROOT / ".ci/run") if path.is_file() and not path.suffix
)
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_and_says_what_it_is(script):
    """Executable, it parses, and what it is for stands on top; bash stops at names that nobody has set."""
    assert os.access(script, os.X_OK)
    shebang, first, *rest = script.read_text().splitlines()
    if "python" in shebang:
        assert ast.get_docstring(ast.parse(script.read_text()))
        return
    assert shebang in {"#!/usr/bin/env bash", "#!/bin/bash"}
    subprocess.run(["bash", "-n", script], check=True)
    assert first.startswith("# ")
    assert any(re.fullmatch(r"set -e?uo? ?(-o )?pipefail", line) for line in rest)


def test_a_second_set_up_says_nothing_and_changes_nothing():
    """Once the environment fits the lock, set-up looks and ends."""
    if subprocess.run([ROOT / "scripts/setup", "--check"], check=False).returncode != 0:
        pytest.skip("this environment was not made by scripts/setup, or the lock has changed since")
    ran = subprocess.run([ROOT / "scripts/setup"], capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""


def test_the_lock_has_a_hash_for_everything_and_addresses_of_nothing():
    """What is installed is what was resolved, from whichever index a machine is configured with."""
    assert "://" not in LOCK
    assert "index" not in LOCK.partition("==")[0]
    blocks = re.findall(r"^([a-zA-Z0-9_.\-]+(?:\[[^]]*\])?)==(\S+)(.*?)(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 20
    for name, _, rest in blocks:
        assert "--hash=sha256:" in rest, name


def test_the_lock_covers_what_pyproject_asks_for():
    """A dependency without a place in the lock would make every set-up fail."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    locked = {
        name.lower().replace("_", "-")
        for name in re.findall(r"^([a-zA-Z0-9_.\-]+)(?:\[[^]]*\])?==", LOCK, re.MULTILINE)
    }
    for requirement in wanted:
        name = re.match(r"[a-zA-Z0-9_.\-]+", requirement)
        assert name is not None
        assert name[0].lower().replace("_", "-") in locked, requirement


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_a_page_points_to_exists(page):
    """Scripts that are named and files that are linked are there."""
    text = (ROOT / page).read_text()
    named = set(re.findall(r"\./?(scripts/[a-z-]+|\.ci/run)", text))
    linked = {target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target}
    for target in sorted(named | linked):
        assert (ROOT / target).exists(), f"{page} names {target}"


def test_the_readme_begins_with_the_two_commands():
    """Somebody who has just cloned this needs no more than these."""
    text = (ROOT / "README.md").read_text()
    assert "./scripts/demo" in text
    assert "./scripts/test" in text
    assert "./scripts/test" in (ROOT / ".ci/run").read_text(), "the gate runs what the README promises"


@pytest.mark.slow
def test_the_tour_of_the_readme_works(tmp_path):
    """Every command of the five-minute tour succeeds, and the remote ends up with what the edge has."""
    tour = (ROOT / "README.md").read_text().partition("## Five minutes")[2].partition("```sh\n")[2].partition("```")[0]
    for port in ("33333", "44444", "44445"):
        assert port in tour
        tour = tour.replace(port, str(free_port()))
    admin = f"http://localhost:{free_port()}"
    tour = tour.replace("/tmp/s3d-tour", str(tmp_path)).replace(  # the default ports may be in use here
        "--remote http", f"--listen $EDGE_URL --admin {admin} --remote http"
    )
    edge_url = re.search(r"AWS_ENDPOINT_URL=(\S+)", tour)
    assert edge_url is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS_"))}
    environment |= {"EDGE_URL": edge_url[1], "S3D_ADMIN": admin, "AWS_CONFIG_FILE": os.devnull}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{tour}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"PENDING"' in ran.stdout
    listings = re.findall(r"\d+ (docs/README\.md|LICENSE)$", ran.stdout, re.MULTILINE)
    assert listings == ["LICENSE", "docs/README.md"] * 2, ran.stdout


@pytest.fixture
def nursery():
    it = Nursery()
    yield it
    it.close()


async def test_the_demonstration_sees_every_kind_of_difference(nursery, tmp_path, monkeypatch):
    """A changed byte, a lost object, one too many and changed metadata each show; otherwise nothing does."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts/demonstration"))
    from expected import Content, Expected

    child = await nursery.ready(nursery.fork(str(tmp_path / "data")))
    client = boto3.client(
        "s3", endpoint_url=child.endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket="demo")
    expected = Expected("demo")
    for number in range(60):
        key = f"level/{number:02}"
        client.put_object(Bucket="demo", Key=key, Body=b"%d" % number, Metadata={"n": str(number)})
        expected.objects[key] = Content(b"%d" % number, (("n", str(number)),))
    assert expected.compare(client).differences == []

    for key, wrong in {
        "level/03": Content(b"4", (("n", "3"),)),
        "level/05": Content(b"5", (("n", "6"),)),
        "missing": Content(b"was acknowledged"),
    }.items():
        before = dict(expected.objects)
        expected.objects[key] = wrong
        assert any(key in difference for difference in expected.compare(client).differences), key
        expected.objects = before
    del expected.objects["level/07"]
    assert any("level/07" in difference for difference in expected.compare(client).differences)


def test_the_demonstration_can_be_asked_what_it_takes():
    """--help answers without starting anything."""
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts/demonstration", "--help"], capture_output=True, text=True, check=True
    )
    assert "--json" in ran.stdout
