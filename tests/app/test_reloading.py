"""Real daemons whose configuration files change while they run: an edge, and one that is its remote and its witness."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from live import PROGRAM, LiveDaemon, running_daemon, wait_until

FIRST, SECOND = ("AKFIRST", "first/secret+key"), ("AKSECOND", "second/secret+key")
REMOTE = '[auth]\naccess_key = "{}"\nsecret_key = "{}"\n'
RULE = '[[rule]]\nmatch = "box/*"\ndurability = "replicated"\ndurability_timeout_seconds = 20\n'


@dataclass
class Pair:
    edge: LiveDaemon
    remote: LiveDaemon
    keys: tuple[str, str] = FIRST

    def write(self, more: str = "", *, top: str = "") -> None:
        """Another file for the edge."""
        self.edge._config.write_text(
            f'{top}[remote]\nendpoint = "{self.remote.url}"\nbackoff_seconds_max = 1\nsender = "inside"\n'
            f'access_key = "{self.keys[0]}"\nsecret_key = "{self.keys[1]}"\n{more}'
        )

    def put(self, key: str) -> str:
        """What the acknowledgement guarantees."""
        answer = self.edge.fetch("PUT", f"/box/{key}", b"x")
        assert answer.status == 200, answer
        return answer.headers["x-s3d-durability"]


def s3d(daemon: LiveDaemon, *arguments: str) -> tuple[int, str, str]:
    environment = {**os.environ, "S3D_ADMIN": daemon.admin}
    ran = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, env=environment)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The remote wants signatures of its first keys, and the edge has them."""
    directory = tmp_path_factory.mktemp("reloading")
    with running_daemon(directory / "remote", auth=False, config=REMOTE.format(*FIRST)) as remote:
        edge = LiveDaemon(directory / "edge", auth=False)
        pair = Pair(edge, remote)
        pair.write()
        edge.start()
        try:
            assert edge.fetch("PUT", "/box").status == 200
            yield pair
        finally:
            edge.stop()
    assert edge.errors() == []


def test_a_rule_is_in_force_from_the_reload_on(pair: Pair) -> None:
    """It comes, is named with its record, and goes again; a reload without a change is no record."""
    pair.write()
    reload(pair.edge)
    assert pair.put("before") == "journaled"
    pair.write(RULE)
    code, out, _ = s3d(pair.edge, "reload", "--check")
    assert (code, out) == (0, f"{pair.edge._config} is good. It would change: [[rule]]\n")
    assert pair.put("checked") == "journaled"
    code, out, _ = s3d(pair.edge, "reload")
    head = pair.edge.ask("/status")["head"]
    assert (code, out) == (0, f"{pair.edge._config} is in force since record {head}. Changed: [[rule]]\n")
    assert pair.put("after") == "replicated"
    record = pair.edge.ask(f"/records/{head}")
    assert (record["operation"], record["state"]) == ("ConfigurationChanged", "settled")
    assert record["details"]["caller"] == "admin"
    assert record["details"]["digest"] == pair.edge.ask("/status")["configuration"]["digest"]
    head = pair.edge.ask("/status")["head"]
    assert reload(pair.edge)["changed"] == []
    assert pair.edge.ask("/status")["head"] == head
    pair.write()
    reload(pair.edge)
    assert pair.put("last") == "journaled"


def test_of_a_broken_file_nothing_is_taken(pair: Pair) -> None:
    """The last good one stays in force, and everybody is told: who asked, the status, the metrics. SIGHUP mends it."""
    pair.write(RULE)
    reload(pair.edge)
    pair.write('[[rule]]\nmatch = "box/*"\ndurability = "journaled"\n[[rule]]\nmatch = "box/*"\npriority = "now"\n')
    code, out, err = s3d(pair.edge, "reload")
    assert (code, out) == (1, "")
    assert err.startswith(f"s3d: {pair.edge._config}:12: rule 2: ")
    assert err.endswith("hint: choose one of urgent, normal, bulk\n")
    assert pair.put("still") == "replicated"
    assert pair.edge.ask("/configuration")["error"].startswith(f"{pair.edge._config}:12: rule 2: ")
    assert metric(pair.edge, "s3d_configuration_refused") == 1
    assert metric(pair.edge, 's3d_configuration_reloads_total{result="refused"}') == 1
    pair.write(top='listen = "http://127.0.0.1:1"\n', more="[journal]\nfile_bytes_max = 100_000\n")
    shown = s3d(pair.edge, "status")[1]
    assert "so that one stays in force: " in shown
    os.kill(pair.edge.process_id, signal.SIGHUP)
    wait_until(lambda: pair.edge.ask("/configuration")["refused"] == "")
    assert pair.put("mended") == "journaled"
    assert pair.edge.ask("/configuration")["waiting"] == ["journal.file_bytes_max"]
    assert metric(pair.edge, "s3d_configuration_refused") == 0


def test_keys_are_rotated_on_both_sides_without_a_restart(pair: Pair) -> None:
    """What is written while the old ones are no good waits, and arrives with the new ones. No secret is in a record."""
    pair.write()
    reload(pair.edge)
    pair.remote._config.write_text(REMOTE.format(*SECOND))
    assert reload(pair.remote)["changed"] == ["auth.access_key", "auth.secret_key"]
    for number in range(5):
        pair.put(f"rotated{number}")
    wait_until(lambda: metric(pair.edge, 's3d_remote_requests_total{operation="PutObject",result="transient"}') > 0)
    assert pair.edge.ask("/status")["pending"]["count"] == 5
    pair.keys = SECOND
    pair.write()
    assert reload(pair.edge)["changed"] == ["remote.access_key", "remote.secret_key"]
    wait_until(lambda: pair.edge.ask("/status")["pending"]["count"] == 0)
    for daemon in (pair.edge, pair.remote):
        for path in daemon.directory.rglob("*"):
            if path.is_file():
                assert SECOND[1].encode() not in path.read_bytes(), path
        assert not any(SECOND[1] in line for line in daemon._log)


def test_two_pairs_of_keys_are_good_while_they_are_exchanged(pair: Pair) -> None:
    """The new one beside the old one, then instead of it: whoever has either of them is let in at each moment."""
    second = '[[client_key]]\naccess_key = "{}"\nsecret_key = "{}"\n'
    old, new = pair.keys, FIRST if pair.keys == SECOND else SECOND
    steps = [
        (REMOTE.format(*old) + second.format(*new), (old, new), ["[[client_key]]"]),
        (
            REMOTE.format(*new) + second.format(*old),
            (old, new),
            ["auth.access_key", "auth.secret_key", "[[client_key]]"],
        ),
        (REMOTE.format(*new), (new,), ["[[client_key]]"]),
    ]
    for number, (config, good, changed) in enumerate(steps):
        pair.remote._config.write_text(config)
        assert reload(pair.remote)["changed"] == changed
        for pair.keys in good:
            pair.write(RULE)
            reload(pair.edge)
            assert pair.put(f"pair{number}") == "replicated"


def test_no_request_fails_while_the_configuration_changes(pair: Pair) -> None:
    """Twenty files, one after another, each fourth with a mistake: who writes meanwhile is answered as ever, what was
    good last is in force, and everything goes to the remote.
    """
    pair.write()
    reload(pair.edge)
    refused = metric(pair.edge, 's3d_configuration_reloads_total{result="refused"}')
    answers: list[list[int]] = [[] for _ in range(4)]
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            key = f"/box/busy/{number}/{len(answers[number])}"
            answers[number].append(pair.edge.fetch("PUT", key, b"x").status)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(len(answers))]
    for one in writers:
        one.start()
    try:
        for number in range(20):
            told = [len(one) for one in answers]
            wait_until(lambda told=told: all(len(one) > before for one, before in zip(answers, told, strict=True)))
            more = f'[log]\nlevel = "{("info", "warning")[number % 2]}"\n[[rule]]\nmatch = "box/*"\ncoalesce = false\n'
            pair.write("[log]\nlevel = 7\n" if number % 4 == 3 else more if number % 4 else "")
            with pytest.raises(urllib.error.HTTPError) if number % 4 == 3 else contextlib.nullcontext():
                reload(pair.edge)
    finally:
        stop.set()
        for one in writers:
            one.join()
    assert {status for one in answers for status in one} == {200}
    assert metric(pair.edge, 's3d_configuration_reloads_total{result="refused"}') == refused + 5
    assert pair.edge.ask("/configuration")["error"]
    pair.write(RULE)
    reload(pair.edge)
    assert pair.put("calm") == "replicated"
    wait_until(lambda: pair.edge.ask("/status")["pending"]["count"] == 0)


def test_operators_are_let_in_and_out(pair: Pair) -> None:
    """From the reload on who has no token changes nothing; who takes the last operator out lets everybody in again."""
    token = "a-token-of-alice"
    pair.write(f'[[operator]]\nname = "alice"\ntoken_hash = "{sha256(token.encode()).hexdigest()}"\n')
    assert "[[operator]]" in reload(pair.edge)["changed"]
    for wrong in ("", "another"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            reload(pair.edge, wrong)
    code, _, err = s3d(pair.edge, "pause", "--reason", "without a token")
    assert (code, "this needs an operator's token" in err) == (1, True)
    pair.write()
    assert "[[operator]]" in reload(pair.edge, token)["changed"]
    record = pair.edge.ask(f"/records/{pair.edge.ask('/status')['head']}")
    assert record["details"]["caller"] == "operator:alice"
    assert reload(pair.edge)["changed"] == []


def reload(daemon: LiveDaemon, token: str = "") -> Any:
    """As `s3d reload` does it."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{daemon.admin}/configuration/reload", b"{}", headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def metric(daemon: LiveDaemon, name: str) -> float:
    with urllib.request.urlopen(f"{daemon.admin}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)
