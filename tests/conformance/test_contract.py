"""`x-s3d-durability` as an application sees it: an edge, a remote that takes small objects only, and a link."""

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Answer, LiveDaemon, nothing_left, running_daemon, wait_until
from peers.fault_proxy import FaultProxy

REPLICATED = {"x-s3d-durability": "replicated"}
CONFIG = """
[remote]
sender = "inside"
endpoint = "{url}"
access_key = "any"
secret_key = "any"
backoff_seconds_max = 1
connect_timeout_seconds = 2
read_timeout_seconds = 5
[shutdown]
drain_seconds = 0
[[rule]]
match = "bucket/careful/*"
durability = "replicated"
durability_timeout_seconds = 0.5
"""


class Pair:
    """An edge with a remote behind a link."""

    def __init__(self, edge: LiveDaemon, remote: LiveDaemon, link: FaultProxy) -> None:
        self.edge, self.remote, self.link = edge, remote, link

    def put(self, key: str, body: bytes = b"1", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.edge.fetch("PUT", f"/bucket/{key}", body, named)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory: Path = tmp_path_factory.mktemp("contract")
    with running_daemon(directory / "remote", auth=False, config="[http]\nobject_bytes_max = 1000\n") as remote:
        link = FaultProxy("127.0.0.1", remote.port)
        with running_daemon(directory / "edge", auth=False, config=CONFIG.format(url=link.url)) as edge:
            wait_until(lambda: edge.ask("/status")["remote"]["state"] == "up")
            assert edge.fetch("PUT", "/bucket", headers=REPLICATED).headers["x-s3d-durability"] == "replicated"
            yield Pair(edge, remote, link)
        link.close()


def test_every_acknowledgement_says_what_it_guarantees(pair: Pair) -> None:
    """`journaled` unless asked; when `replicated` is answered, the remote has it. Reads guarantee nothing."""
    assert pair.put("plain").headers["x-s3d-durability"] == "journaled"
    answer = pair.put("sure", b"bytes", **REPLICATED)
    assert (answer.status, answer.headers["x-s3d-durability"]) == (200, "replicated")
    assert pair.remote.fetch("GET", "/bucket/sure").body == b"bytes"
    assert "x-s3d-durability" not in pair.edge.fetch("GET", "/bucket/sure").headers
    gone = pair.edge.fetch("DELETE", "/bucket/sure", headers=REPLICATED)
    assert (gone.status, gone.headers["x-s3d-durability"]) == (204, "replicated")
    assert pair.remote.fetch("GET", "/bucket/sure").status == 404


def test_many_deletions_wait_for_all_of_them(pair: Pair) -> None:
    """DeleteObjects is one answer about many records."""
    keys = [f"many/{number}" for number in range(20)]
    for key in keys:
        pair.put(key)
    document = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    answer = pair.edge.fetch("POST", "/bucket?delete", f"<Delete>{document}</Delete>".encode(), REPLICATED)
    assert (answer.status, answer.headers["x-s3d-durability"]) == (200, "replicated")
    assert b"many/" not in pair.remote.fetch("GET", "/bucket?prefix=many/").body.partition(b"<Prefix>many/")[2]


def test_too_late_says_that_the_write_is_kept(pair: Pair) -> None:
    """503 with a code of its own and the record's place, by header or by rule; it arrives once the link is back."""
    pair.link.refuse()
    answer = pair.put("late", b"late", x_s3d_durability="replicated", x_s3d_durability_timeout="0.3")
    assert (answer.status, answer.code) == (503, "NotReplicatedYet")
    assert answer.headers["x-s3d-durability"] == "journaled"
    assert pair.put("careful/late").code == "NotReplicatedYet"
    assert pair.put("careful/at-once", x_s3d_durability="journaled").status == 200
    assert pair.edge.fetch("GET", "/bucket/late").body == b"late", "an application reads what it was told is kept"
    pair.link.restore()
    report = pair.edge.ask(f"/wait?seq={answer.headers['x-s3d-seq']}&timeout=20")
    assert report["state"] == "confirmed"
    assert pair.remote.fetch("GET", "/bucket/late").body == b"late"


def test_a_client_that_hangs_up_leaves_nothing_behind(pair: Pair) -> None:
    """It waits for a minute, and goes: nobody waits for it any more. Its write is kept, and arrives."""
    pair.link.refuse()
    with socket.create_connection(("127.0.0.1", pair.edge.port)) as client:
        head = "Host: x\r\nx-s3d-durability: replicated\r\nx-s3d-durability-timeout: 60\r\nContent-Length: 1\r\n"
        client.sendall(f"PUT /bucket/hung-up HTTP/1.1\r\n{head}\r\n1".encode())
        wait_until(lambda: waiting(pair.edge) == 1)
    wait_until(lambda: waiting(pair.edge) == 0)
    pair.link.restore()
    wait_until(lambda: pair.remote.fetch("GET", "/bucket/hung-up").body == b"1")


def waiting(edge: LiveDaemon) -> float:
    """How many records somebody waits for, by the metric."""
    with urllib.request.urlopen(edge.admin + "/metrics", timeout=20) as response:
        lines = response.read().decode().splitlines()
    return float(next(one.split()[1] for one in lines if one.startswith("s3d_requests_waiting_for_remote ")))


def test_what_the_remote_refuses_says_so(pair: Pair) -> None:
    """409: the write is kept, and waits for a person; so does the next write of that key."""
    answer = pair.put("large", b"x" * 2000, **REPLICATED)
    assert (answer.status, answer.code) == (409, "ReplicationParked")
    assert b"EntityTooLarge" in answer.body
    assert answer.headers["x-s3d-durability"] == "journaled"
    assert pair.put("large", b"small", **REPLICATED).code == "ReplicationParked"


def test_a_header_that_is_not_understood_leaves_nothing(pair: Pair) -> None:
    """InvalidArgument, before the body is kept."""
    wait_until(lambda: pair.edge.ask("/pending?prefix=bucket/many")["records"] == [])
    with nothing_left(pair.edge):
        assert pair.put("k", b"y" * 100_000, x_s3d_durability="paranoid").code == "InvalidArgument"
        assert pair.put("k", x_s3d_durability_timeout="soon").code == "InvalidArgument"
