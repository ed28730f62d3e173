"""A data directory that goes with its pod: readiness follows the backlog, a stop waits, what is left is named."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until
from peers.fault_proxy import FaultProxy

from s3d.config import load

MANIFEST = Path(__file__).parents[2] / "deploy/kubernetes/ephemeral-sidecar.yaml"
CONFIG = """
[capacity]
ready_pending_bytes_max = 1000
[shutdown]
ephemeral = true
drain_seconds = {seconds}
[remote]
endpoint = "http://127.0.0.1:{port}"
access_key = "any"
secret_key = "any-secret"
backoff_seconds_max = 1
read_timeout_seconds = 60
"""


class Pod:
    """An edge that is stopped while things are pending, its link, and the remote."""

    def __init__(self, edge: LiveDaemon, remote: LiveDaemon, link: FaultProxy) -> None:
        self.edge, self.remote, self.link = edge, remote, link

    def start(self, seconds: float) -> None:
        """With so much time for the stop."""
        self.edge._config.write_text(CONFIG.format(port=self.link.port, seconds=seconds))
        self.edge._log.clear()
        self.edge.start()

    def ask(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """What a hook of the manifest does."""
        environment = os.environ | {"S3D_ADMIN": self.edge.admin}
        return subprocess.run(
            [PROGRAM, *command[1:]], env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.edge._log if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    directory: Path = tmp_path_factory.mktemp("pod")
    with running_daemon(directory / "remote", auth=False) as remote:
        link = FaultProxy("127.0.0.1", remote.port)
        edge = LiveDaemon(directory / "edge", auth=False)
        try:
            yield Pod(edge, remote, link)
        finally:
            edge.kill()
            link.close()


def hooks() -> tuple[list[str], list[str]]:
    """The commands of readiness and preStop, as the manifest has them."""
    text = MANIFEST.read_text(encoding="utf-8")
    ready = re.search(r"readinessProbe:\s+exec: {command: (\[.*\])}", text)
    stop = re.search(r"preStop:\s+exec: {command: (\[.*\])}", text)
    assert ready is not None
    assert stop is not None
    return json.loads(ready[1]), json.loads(stop[1])


def test_field_11_what_is_left_is_named_one_by_one_and_a_link_that_comes_back_is_waited_for(pod: Pod) -> None:
    """Cut off: not ready above the limit, the hook times out, exit code 3 and every record by name. Then the link is
    back in the middle of a stop: everything leaves, exit code 0.
    """
    ready, stop = hooks()
    pod.start(1)
    assert pod.edge.fetch("PUT", "/site").status == 200
    assert pod.ask(stop).returncode == 0, "nothing is pending: the hook is done at once"
    pod.link.refuse()
    assert pod.ask(ready).returncode == 0
    assert pod.edge.fetch("PUT", "/site/small", bytes(10)).status == 200
    assert pod.edge.fetch("PUT", "/site/cam/large", bytes(2000)).status == 200
    crowded = pod.ask(ready)
    assert crowded.returncode == 1
    assert pod.ask(["s3d", "status", "--alive"]).stdout == "alive\n", "no reason to kill it"
    assert "2,010 bytes wait for the remote: more than 1,000" in crowded.stderr
    assert pod.edge.fetch("GET", "/site/small").status == 200, "not ready for more traffic, and answering"
    assert pod.ask([*stop[:-1], "0.3"]).returncode == 5
    assert pod.edge.stop() == 3
    named = [(one["bucket"], one["key"], one["bytes"]) for one in pod.said("left behind")]
    assert named == [("site", "small", 10), ("site", "cam/large", 2000)]
    assert all(one["seq"].startswith("1-") for one in pod.said("left behind"))
    assert all(one["level"] == "error" and one["age_seconds"] >= 0 for one in pod.said("left behind"))
    (total,) = pod.said("stopped; pending records are lost with this volume")
    assert (total["pending"], total["bytes"]) == (2, 2010)
    pod.start(25)
    wait_until(lambda: bool(pod.edge.ask("/status")["remote"]["state"] == "down"))
    Timer(1.0, pod.link.restore).start()
    assert pod.edge.stop() == 0
    assert pod.remote.fetch("GET", "/site/cam/large").body == bytes(2000)


def test_s12_a_remote_that_hangs_does_not_hold_up_the_end(pod: Pod) -> None:
    """The deadline holds although an attempt is under way, and its record is named."""
    pod.start(1)
    pod.link.blackhole()
    assert pod.edge.fetch("PUT", "/site/hangs", b"x").status == 200
    assert pod.edge.stop() == 3
    assert [one["key"] for one in pod.said("left behind")] == ["hangs"]
    pod.link.restore()


def test_the_manifest_is_one_that_s3d_understands(tmp_path: Path) -> None:
    """Its configuration loads, and Kubernetes waits longer than the hook and the stop take together."""
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
    text = documents[0]["data"]["s3d.toml"]
    (tmp_path / "s3d.toml").write_text(text)
    settings = load({}, {"HOME": "/h"}, str(tmp_path / "s3d.toml"))
    assert settings.shutdown.ephemeral
    assert tomllib.loads(text)["data_dir"] == "/data"
    pod = documents[1]["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    ready, stop = hooks()
    assert sidecar["startupProbe"]["exec"] == sidecar["livenessProbe"]["exec"]
    assert sidecar["livenessProbe"]["exec"]["command"] == ["s3d", "status", "--alive"]
    assert sidecar["readinessProbe"]["exec"]["command"] == ready
    assert sidecar["lifecycle"]["preStop"]["exec"]["command"] == stop
    assert pod["terminationGracePeriodSeconds"] > float(stop[-1]) + settings.shutdown.drain_seconds
