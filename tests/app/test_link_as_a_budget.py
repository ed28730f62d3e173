"""Two real daemons: an edge with rules and a rate, and what is its remote. Paused, killed, started again, let go on."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import LiveDaemon, running_daemon, wait_until

BODY = b"x" * 20_000
RATE = 300_000

CONFIG = f"""
[remote]
sender = "inside"
endpoint = "%s"
access_key = "any"
secret_key = "thing"
lanes_max = 4
bytes_per_second_max = {RATE}

[[rule]]
match = "plant/alarms/*"
priority = "urgent"

[[rule]]
match = "plant/video/*"
priority = "bulk"
"""


def post(daemon: LiveDaemon, path: str, document: Any) -> Any:
    request = urllib.request.Request(
        daemon.admin + path, json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def is_probed(edge: LiveDaemon, remote: LiveDaemon) -> None:
    """What the remote can do is found out, kept, and made use of where the configuration says nothing."""
    assert [one["by"] for one in edge.ask("/v1/remote")["guards"]] == ["assumed"]
    found = post(edge, "/v1/remote/probe", {"bucket": "plant"})
    (probed,) = found["probed"]
    verdicts = {one["name"]: one["verdict"] for one in probed["findings"]}
    honoured = {"if-none-match", "if-match", "checksum-trailer", "checksum-crc64nvme", "list-v2", "part-copy"}
    assert {name: verdicts[name] for name in honoured} == dict.fromkeys(honoured, "yes")
    assert [(one["bucket"], one["conditions"], one["by"]) for one in found["guards"]] == [
        ("plant", "quoted", "probed"),
        ("", "quoted", "probed"),
    ]
    assert probed["left"] == []
    assert abs(found["ahead_seconds"]) < 60
    assert edge.ask("/v1/remote") == found
    kept = json.loads((edge.directory / "remotes.json").read_text())
    assert kept == [probed]
    client = remote.client()
    assert client.list_objects_v2(Bucket="plant", Prefix=".s3d-probe/")["KeyCount"] == 0
    client.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[LiveDaemon]:
    with running_daemon(tmp_path / "remote", auth=False) as daemon:
        yield daemon


def test_a_pause_outlives_a_kill_and_then_the_urgent_goes_first(tmp_path: Path, remote: LiveDaemon) -> None:
    """What was written while it was paused arrives in the order of its urgency, and no faster than it may."""
    edge = LiveDaemon(tmp_path / "edge", auth=False, config=CONFIG % remote.url).start()
    try:
        assert post(edge, "/replication/pause", {"reason": "roaming"})["changed"]
        client = edge.client()
        client.create_bucket(Bucket="plant")
        for number in range(30):
            client.put_object(Bucket="plant", Key=f"video/{number}", Body=BODY)
        client.put_object(Bucket="plant", Key="alarms/1", Body=b"fire")
        client.close()
        edge.kill()
        edge.start()
        assert edge.ask("/status")["pending"]["paused"]["reason"] == "roaming"
        assert edge.ask("/wait?all=1&timeout=5")["state"] == "paused"
        assert remote.ask("/status")["head"] == "1-0"
        post(edge, "/replication/resume", {})
        wait_until(lambda: edge.ask("/status")["pending"]["count"] == 0, seconds=60)
        is_probed(edge, remote)
        assert edge.stop() == 0
    finally:
        edge.kill()
    arrived = [remote.ask(f"/records/{number}") for number in range(1, 33)]
    streams = [one["stream"] for one in arrived]
    assert streams[0] == "plant"
    assert streams.index("plant/alarms/1") < 12
    assert sorted(streams[1:]) == sorted([f"plant/video/{number}" for number in range(30)] + ["plant/alarms/1"])
    assert edge.errors() == []
