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
        assert edge.stop() == 0
    finally:
        edge.kill()
    arrived = [remote.ask(f"/records/{number}") for number in range(1, 33)]
    streams = [one["stream"] for one in arrived]
    assert streams[0] == "plant"
    assert streams.index("plant/alarms/1") < 12
    assert sorted(streams[1:]) == sorted([f"plant/video/{number}" for number in range(30)] + ["plant/alarms/1"])
    assert edge.errors() == []
