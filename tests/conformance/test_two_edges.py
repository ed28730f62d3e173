"""Two edges before one remote write the same keys while they are cut off: what each policy makes of it."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until
from peers.fault_proxy import FaultProxy

POLICIES = ("local", "remote", "keep-both", "hold")
CONFIG = """
[remote]
sender = "inside"
endpoint = "{url}"
access_key = "any"
secret_key = "any"
backoff_seconds_max = 1
connect_timeout_seconds = 2
site = "{site}"
[shutdown]
drain_seconds = 0
[[rule]]
match = "bucket"
shared = true
""" + "".join(f'[[rule]]\nmatch = "bucket/{policy}/*"\nconflict = "{policy}"\n' for policy in POLICIES)


class Edges:
    """The one that arrives first, the one that is late, and what both send to."""

    def __init__(self, first: LiveDaemon, late: LiveDaemon, remote: LiveDaemon, links: tuple[FaultProxy, ...]) -> None:
        self.first, self.late, self.remote, self._links = first, late, remote, links

    def cut_off(self) -> None:
        for link in self._links:
            link.refuse()

    def reconnect(self) -> None:
        """The first edge, then, when it has sent everything, the late one."""
        for edge, link in zip((self.first, self.late), self._links, strict=True):
            link.restore()
            wait_until(lambda edge=edge: settled(edge))


def settled(edge: LiveDaemon) -> bool:
    pending = edge.ask("/status")["pending"]
    return bool(pending["count"] == pending["parked"])


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edges]:
    directory: Path = tmp_path_factory.mktemp("edges")
    with running_daemon(directory / "remote", auth=False) as remote:
        links = FaultProxy("127.0.0.1", remote.port), FaultProxy("127.0.0.1", remote.port)
        first, late = (
            CONFIG.format(url=link.url, site=site) for link, site in zip(links, ("near", "far"), strict=True)
        )
        with (
            running_daemon(directory / "first", auth=False, config=first) as one,
            running_daemon(directory / "late", auth=False, config=late) as two,
        ):
            for edge in (one, two):
                wait_until(lambda edge=edge: edge.ask("/status")["remote"]["state"] == "up")
                assert edge.fetch("PUT", "/bucket", headers={"x-s3d-durability": "replicated"}).status == 200
            yield Edges(one, two, remote, links)
        for link in links:
            link.close()


@pytest.fixture(scope="module")
def late(edges: Edges) -> dict[str, dict[str, Any]]:
    """The conflicts of the late edge by key: both wrote every key while nobody could send."""
    edges.cut_off()
    for edge, body in ((edges.first, b"first"), (edges.late, b"later!")):
        for policy in POLICIES:
            assert edge.fetch("PUT", f"/bucket/{policy}/k.txt", body).status == 200
    edges.reconnect()
    ran = subprocess.run(
        [PROGRAM, "conflicts", "--json", "--admin", edges.late.admin], capture_output=True, text=True, check=True
    )
    return {one["key"]: one for one in json.loads(ran.stdout)["conflicts"]}


def at(daemon: LiveDaemon, key: str) -> bytes:
    return daemon.fetch("GET", f"/bucket/{key}").body


def at_admin(daemon: LiveDaemon, path: str) -> bytes:
    with urllib.request.urlopen(daemon.admin + path, timeout=20) as response:
        return bytes(response.read())


def test_every_conflict_is_on_record_with_both_sides(edges: Edges, late: dict[str, dict[str, Any]]) -> None:
    """One for each key, at the edge that came second; the first had none."""
    assert sorted(late) == sorted(f"{policy}/k.txt" for policy in POLICIES)
    for policy in POLICIES:
        found = late[f"{policy}/k.txt"]
        assert found["decided"] == policy
        assert (found["ours"]["bytes"], found["theirs"]["bytes"]) == (6, 5)
        assert all((found["ours"]["at"], found["theirs"]["at"]))
    assert edges.first.ask("/v1/conflicts")["conflicts"] == []
    metrics = at_admin(edges.late, "/metrics").decode()
    assert all(f's3d_conflicts_total{{decided="{policy}"}} ' in metrics for policy in POLICIES)


def test_each_policy_does_what_it_says(edges: Edges, late: dict[str, dict[str, Any]]) -> None:
    """At the remote, and as the late edge shows it."""
    sibling = late["keep-both/k.txt"]["sibling"]
    assert sibling == f"keep-both/k (conflict far {late['keep-both/k.txt']['seq']}).txt"
    quoted = sibling.replace(" ", "%20")
    assert at(edges.remote, "local/k.txt") == at(edges.late, "local/k.txt") == b"later!"
    assert at(edges.remote, "remote/k.txt") == at(edges.late, "remote/k.txt") == b"first"
    assert at(edges.remote, "keep-both/k.txt") == at(edges.late, "keep-both/k.txt") == b"first"
    assert at(edges.remote, quoted) == at(edges.late, quoted) == b"later!"
    assert at(edges.remote, "hold/k.txt") == b"first"
    assert at(edges.late, "hold/k.txt") == b"later!", "an application reads what it was told is kept"


def test_what_gave_way_says_so(edges: Edges, late: dict[str, dict[str, Any]]) -> None:
    """Its receipt, and, where it was asked to be replicated, its answer."""
    assert at_admin(edges.late, f"/records/{late['remote/k.txt']['seq']}/body") == b"later!", "the loser's bytes"
    receipt = edges.late.ask(f"/v1/receipts/{late['remote/k.txt']['seq']}")
    assert (receipt["state"], receipt["code"], receipt["remote"]) == ("gave-way", "remote", None)
    assert edges.late.fetch("GET", "/bucket/remote/new").status == 404
    assert edges.remote.fetch("PUT", "/bucket/remote/new", b"stranger").status == 200
    answer = edges.late.fetch("PUT", "/bucket/remote/new", b"ours", {"x-s3d-durability": "replicated"})
    assert (answer.status, answer.code) == (409, "ReplicationConflict")


def test_what_was_read_is_what_is_replaced(edges: Edges) -> None:
    """A write after a read of what the other wrote is no conflict: that is what it believed in."""
    assert edges.first.fetch("PUT", "/bucket/hold/n", b"1", {"x-s3d-durability": "replicated"}).status == 200
    assert at(edges.late, "hold/n") == b"1"
    assert edges.late.fetch("PUT", "/bucket/hold/n", b"2", {"x-s3d-durability": "replicated"}).status == 200
    assert at(edges.remote, "hold/n") == b"2"
