"""Somebody deletes and overwrites at the remote what was confirmed there: named, and mended where a rule says so."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until
from samples import pattern

SETTINGS = """
[gaps]
every_hours = 0
requests_per_minute = 6000

[[rule]]
match = "kept/*"
gaps = "mend"

[[rule]]
match = "loose/*"
gaps = "ignore"
"""
LARGE = 200_000


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveDaemon, LiveDaemon]]:
    """An edge, and its remote."""
    directory: Path = tmp_path_factory.mktemp("gaps")
    with running_daemon(directory / "remote", auth=False) as remote:
        to = f'[remote]\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\nsender = "inside"\n'
        with running_daemon(directory / "edge", auth=False, config=to + SETTINGS) as edge:
            yield edge, remote


def drain(pair: tuple[LiveDaemon, LiveDaemon]) -> None:
    wait_until(lambda: pair[0].ask("/status")["pending"]["count"] == 0)


def look(edge: LiveDaemon) -> tuple[int, dict[str, Any]]:
    """`s3d gaps --now --json`: its exit code, and what it says."""
    environment = {**os.environ, "S3D_ADMIN": edge.admin}
    ran = subprocess.run(
        [PROGRAM, "gaps", "--now", "--json"], capture_output=True, text=True, check=False, env=environment
    )
    assert ran.stderr == "", ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_what_the_remote_lost_is_named_and_mended(pair: Any, s3_of: Callable[..., Any]) -> None:
    """Missing, changed and returned objects; those of `kept` are sent again as they were, from the bytes here."""
    edge, stranger = s3_of(pair[0]), s3_of(pair[1])
    for bucket in ("kept", "told", "loose"):
        edge.create_bucket(Bucket=bucket)
        for key in ("gone", "other", "fine"):
            edge.put_object(
                Bucket=bucket, Key=key, Body=pattern(LARGE), ContentType="image/x", Metadata={"m": "1"}, Tagging="t=1"
            )
        edge.put_object(Bucket=bucket, Key="back", Body=b"")
        edge.delete_object(Bucket=bucket, Key="back")
    drain(pair)
    code, found = look(pair[0])
    assert (code, found["gaps"], found["last"]["keys"]) == (0, [], 8)

    for bucket in ("kept", "told", "loose"):
        stranger.delete_object(Bucket=bucket, Key="gone")
        stranger.put_object(Bucket=bucket, Key="other", Body=b"not ours")
        stranger.put_object(Bucket=bucket, Key="back", Body=b"again")
    code, found = look(pair[0])
    assert code == 1
    assert found["last"]["mended"] == 2
    drain(pair)
    for key in ("gone", "other"):
        there = stranger.get_object(Bucket="kept", Key=key)
        assert there["Body"].read() == pattern(LARGE)
        assert (there["ContentType"], there["Metadata"]["m"], there["TagCount"]) == ("image/x", "1", 1)

    code, found = look(pair[0])
    told = {(gap["bucket"], gap["key"]): gap["kind"] for gap in found["gaps"]}
    assert told == {
        ("kept", "back"): "returned",
        ("told", "back"): "returned",
        ("told", "gone"): "missing",
        ("told", "other"): "changed",
    }
    assert code == 1


def test_a_gap_ends_when_the_key_is_written_or_is_back(pair: Any, s3_of: Callable[..., Any]) -> None:
    """Without a person saying so."""
    edge, stranger = s3_of(pair[0]), s3_of(pair[1])
    edge.create_bucket(Bucket="ends")
    for key in ("written", "restored"):
        edge.put_object(Bucket="ends", Key=key, Body=key.encode())
    drain(pair)
    for key in ("written", "restored"):
        stranger.delete_object(Bucket="ends", Key=key)
    assert {gap["key"] for gap in look(pair[0])[1]["gaps"] if gap["bucket"] == "ends"} == {"written", "restored"}
    edge.put_object(Bucket="ends", Key="written", Body=b"anew")
    stranger.put_object(Bucket="ends", Key="restored", Body=b"restored")
    drain(pair)
    assert not [gap for gap in look(pair[0])[1]["gaps"] if gap["bucket"] == "ends"]


def test_a_report_of_completeness_knows_the_gaps_and_the_looks(pair: Any, tmp_path: Path) -> None:
    """Of all that the tests above wrote: nothing is pending, three gaps are known, and two objects were sent again."""
    environment = {**os.environ, "S3D_ADMIN": pair[0].admin}
    command = [PROGRAM, "audit", "report", "--since", "2020-01-01", "--json"]
    page = tmp_path / "page.html"
    ran = subprocess.run([*command, "--html", page], capture_output=True, text=True, check=False, env=environment)
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["verdict"], ran.stderr) == (1, "lacking", "")
    assert {(gap["bucket"], gap["key"]) for gap in found["gaps"]} >= {("told", "gone"), ("told", "other")}
    assert (found["total"]["pending"], found["sent_again"], found["healed"]) == (0, 2, 2)
    assert found["total"]["records"] == found["total"]["confirmed"] + found["total"]["superseded"]
    assert found["looks"][0]["keys"] == 8
    assert "told/gone" in page.read_text()

    of_files = [*command, "--data-dir", str(pair[0].directory)]
    ran = subprocess.run(of_files, capture_output=True, text=True, check=False, env=environment)
    beside = json.loads(ran.stdout)
    assert (ran.returncode, beside["gaps"], beside["head_hash"]) == (1, None, found["head_hash"])
    assert beside["counted"] == found["counted"]
    assert len(pair[0].ask("/v1/journal/records?after=3&limit=2")["records"]) == 2


def test_the_table_says_what_is_wrong(pair: Any) -> None:
    """For a person."""
    environment = {**os.environ, "S3D_ADMIN": pair[0].admin}
    ran = subprocess.run([PROGRAM, "gaps"], capture_output=True, text=True, check=False, env=environment)
    assert "told/gone" in ran.stdout
    assert "is gone" in ran.stdout
    assert "Last looked at" in ran.stdout
