"""`s3d journal show`, `tail` and `stats`: the records themselves, beside a live daemon and from its disk."""

import json
import os
import signal
import subprocess
import time
from typing import Any

import click
import pytest
from live import PROGRAM, LiveDaemon

from s3d.cli.main import cli
from s3d.errors import S3dError

BUCKET = "journal-reading"


@pytest.fixture(scope="module")
def filled(open_daemon: LiveDaemon) -> LiveDaemon:
    client = open_daemon.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="a", Body=b"12345")
    client.close()
    return open_daemon


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            click, "echo", lambda text="", **_: said.append(text.decode() if isinstance(text, bytes) else text)
        )
        code = cli.main(["journal", *arguments], prog_name="s3d", standalone_mode=False)
    return code or 0, "\n".join(said)


@pytest.mark.parametrize("of_disk", [False, True])
def test_a_record_is_shown_and_its_hash_is_checked(
    filled: LiveDaemon, monkeypatch: pytest.MonkeyPatch, of_disk: bool
) -> None:
    """The daemon and its files say the same."""
    place = ("--data-dir", str(filled.directory)) if of_disk else ("--admin", filled.admin)
    stats: dict[str, Any] = json.loads(typed(monkeypatch, "stats", "--json", *place)[1])
    assert sum(one["records"] for one in stats["kinds"].values()) == stats["head"] - stats["first"] + 1
    assert stats["kinds"]["PutObject"]["body_bytes"] >= 5
    code, said = typed(monkeypatch, "show", str(stats["head"]), "--json", *place)
    record = json.loads(said)
    assert (code, record["stream"], record["kind"], record["body_bytes"]) == (0, f"{BUCKET}/a", "PutObject", 5)
    assert record["hash_holds"] is True
    assert record["payload"]["size"] == 5
    assert typed(monkeypatch, "tail", "-n", "1", *place)[1].split()[2:5] == ["acknowledged", "PutObject", f"{BUCKET}/a"]
    with pytest.raises(S3dError, match="not in this journal"):
        typed(monkeypatch, "show", str(stats["head"] + 1), *place)


def test_tail_goes_on_until_it_is_interrupted(filled: LiveDaemon) -> None:
    """What is written after it was called is shown when it is there."""
    command = [PROGRAM, "journal", "tail", "-n", "0", "-f", "--admin", filled.admin]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        client = filled.client()
        try:
            client.put_object(Bucket=BUCKET, Key="before it has looked", Body=b"")
            assert process.stdout is not None
            shown = False
            while not shown:  # the first write may be before its first look
                client.put_object(Bucket=BUCKET, Key="followed", Body=b"")
                os.set_blocking(process.stdout.fileno(), False)
                shown = any("followed" in line for line in iter(process.stdout.readline, ""))
                assert process.poll() is None
                time.sleep(0.1)
        finally:
            client.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
