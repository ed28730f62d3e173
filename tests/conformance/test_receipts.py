"""Receipts and the stream of events of a running edge, before and after a restart; its remote is another daemon."""

import http.client
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until

CONFIG = """
[remote]
sender = "inside"
endpoint = "{url}"
access_key = "any"
secret_key = "any"
[[webhook]]
name = "listener"
url = "http://127.0.0.1:{port}/told"
secret = "s"
"""
ETAG_OF_ONE = "c4ca4238a0b923820dcc509a6f75849b"


class Stream:
    """A client of /v1/events."""

    def __init__(self, daemon: LiveDaemon, query: str = "", last: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(daemon.admin.removeprefix("http://"), timeout=20)
        headers = {} if last is None else {"Last-Event-ID": last}
        self._connection.request("GET", f"/v1/events{query}", headers=headers)
        self.response = self._connection.getresponse()

    def next(self) -> tuple[str, str, Any]:
        """The next event: its id, its kind and its data."""
        fields: dict[str, str] = {}
        while (line := self.response.readline().decode().rstrip("\n")) or not fields:
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        return fields.get("id", ""), fields["event"], json.loads(fields["data"])

    def close(self) -> None:
        self._connection.close()


class Listener(ThreadingHTTPServer):
    """A webhook's receiver: the keys that it was told of."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                listener.keys += [one.get("key", "") for one in told["records"]]
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    it = Listener()
    thread = threading.Thread(target=it.serve_forever)
    thread.start()
    yield it
    it.shutdown()
    thread.join()
    it.server_close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Iterator[LiveDaemon]:
    directory: Path = tmp_path_factory.mktemp("receipts")
    with (
        running_daemon(directory / "remote", auth=False, config="[http]\nobject_bytes_max = 1000\n") as remote,
        running_daemon(
            directory / "edge", auth=False, config=CONFIG.format(url=remote.url, port=listener.server_port)
        ) as it,
    ):
        assert it.fetch("PUT", "/bucket").status == 200
        yield it


def put(edge: LiveDaemon, key: str, body: bytes = b"1") -> str:
    """Write, and return when something has become of it: its place."""
    seq = edge.fetch("PUT", f"/bucket/{key}", body).headers["x-s3d-seq"]
    wait_until(lambda: edge.ask(f"/wait?seq={seq}&timeout=5")["state"] != "pending")
    return seq


def receipt(edge: LiveDaemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "receipt", *arguments, "--admin", edge.admin]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_receipt_says_what_the_remote_said(edge: LiveDaemon) -> None:
    """Of the current object at once; of one that was replaced since from the journal; with the body's digests."""
    first, second = put(edge, "k"), put(edge, "k", b"2")
    found = edge.ask(f"/v1/receipts/{first}")
    assert (found["state"], found["replaced_by"], found["remote"]["etag"]) == ("confirmed", second, ETAG_OF_ONE)
    assert found["remote"]["seq"] > first
    assert found["sha256"].startswith("6b86b273")
    now = edge.ask(f"/v1/receipts/{second}")
    assert (now["state"], now["replaced_by"], now["etag"]) == ("confirmed", "", now["remote"]["etag"])


def test_the_command_says_it_for_people_and_for_programs(edge: LiveDaemon) -> None:
    """Exit code 0 for what the remote has, 4 for what is parked, 1 for what there is not; nothing is a traceback."""
    ran = receipt(edge, put(edge, "shown"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "the remote has it" in ran.stdout
    assert f"ETag {ETAG_OF_ONE}" in ran.stdout
    parked = receipt(edge, put(edge, "large", b"x" * 2000), "--json")
    assert (parked.returncode, json.loads(parked.stdout)["code"]) == (4, "EntityTooLarge")
    for strange, why in (("1-999999", "there is no record"), ("7-1", "epoch 7")):
        ran = receipt(edge, strange)
        assert (ran.returncode, why in ran.stderr) == (1, True), ran.stderr


def test_the_stream_goes_on_where_a_client_stopped(edge: LiveDaemon) -> None:
    """Resumed by its last id over a restart of the daemon: every confirmation once, in order, none missing."""
    with closing(Stream(edge, "?kinds=confirmed")) as stream:
        first = put(edge, "streamed/1")
        place, kind, data = stream.next()
        assert kind == "confirmed"
        assert [(one["seq"], one["key"], one["etag"]) for one in data["records"]] == [
            (first, "streamed/1", ETAG_OF_ONE)
        ]
    assert "tells of others" in receipt(edge, place).stderr
    missed = [put(edge, f"streamed/{number}") for number in (2, 3)]
    assert edge.stop() in {0, 3}
    edge.start()
    wait_until(lambda: edge.ask("/status")["remote"]["state"] == "up")
    missed.append(put(edge, "streamed/4"))
    with closing(Stream(edge, "?kinds=confirmed", last=place)) as stream:
        told: list[str] = []
        while len(told) < 3:
            told += [one["seq"] for one in stream.next()[2]["records"]]
    assert told == missed


def test_a_webhook_is_told_the_same(edge: LiveDaemon, listener: Listener) -> None:
    """By the daemon itself."""
    put(edge, "hooked")
    wait_until(lambda: "hooked" in listener.keys)
    with urllib.request.urlopen(edge.admin + "/metrics", timeout=20) as metrics:
        assert b's3d_webhook_deliveries_total{name="listener",result="ok"}' in metrics.read()


def test_the_link_and_what_is_parked_are_told_too(edge: LiveDaemon) -> None:
    """A new stream begins with where the link stands, which has no place in the journal."""
    with closing(Stream(edge)) as stream:
        assert stream.next() == ("", "link", {"state": "up", "error": ""})
        put(edge, "refused", b"x" * 2000)
        _, kind, data = stream.next()
        assert (kind, data["records"][0]["code"]) == ("parked", "EntityTooLarge")


@pytest.mark.parametrize("query", ["?kinds=all", "?after=x", "?after=9-1", "?since=1"])
def test_a_stream_that_cannot_be_is_refused(edge: LiveDaemon, query: str) -> None:
    """400 with a reason: a client that names another epoch would otherwise miss things without knowing."""
    with closing(Stream(edge, query)) as stream:
        assert stream.response.status == 400
        assert json.loads(stream.response.read())["error"]
