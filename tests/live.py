"""A real daemon in a process of its own, and what a test may ask of it from outside.

`Footprint` is what a refused request must not change: the journal's head, the blob files, and every row of the view.
"""

import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import boto3
from botocore.config import Config
from forked_command import Forked

ACCESS_KEY, SECRET_KEY, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
PROGRAM = str(Path(sys.executable).with_name("s3d"))
AWS = str(Path(sys.executable).with_name("aws"))
START_SECONDS = 60


@dataclass(frozen=True)
class Footprint:
    """All that a daemon keeps."""

    head: str
    blobs: frozenset[str]
    rows: dict[str, tuple[Any, ...]]


class LiveDaemon:
    """`start`, ask, `stop` or `kill`, and `start` again on the same directory."""

    def __init__(self, directory: Path, *, auth: bool, config: str = "") -> None:
        self.directory = directory
        self.auth = auth
        self._config = directory.with_suffix(".toml")
        self._config.write_text(config)
        self._process: Forked | None = None
        self._log: list[str] = []

    def start(self) -> "LiveDaemon":
        """Begin, and return when it is ready."""
        arguments = ["run", "--data-dir", str(self.directory), "--config", str(self._config)]
        arguments += ["--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0"]
        reading, writing = os.pipe()
        self._process = Forked(arguments, self._environment(), writing)
        os.close(writing)
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read_log, args=(reading, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_SECONDS) or self._process.poll() is not None:
            self.kill()
            raise AssertionError("".join(self._log))
        return self

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        self._end(signal.SIGKILL)

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **config: Any) -> Any:
        """A boto3 client; the caller closes it. Nothing is retried: a test sees every answer."""
        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}}
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(**{**settings, **config}),
        )

    def footprint(self) -> Footprint:
        """What the daemon keeps now."""
        blobs = frozenset(path.name for path in (self.directory / "blobs").rglob("*") if path.is_file())
        return Footprint(str(self.ask("/status")["head"]), blobs, dump_view(self.directory / "view.db"))

    def ask(self, path: str) -> Any:
        """A document of the admin listener."""
        with urllib.request.urlopen(self.admin + path, timeout=60) as response:
            return json.loads(response.read())

    def errors(self) -> list[str]:
        """Log lines that say that the daemon did something that it did not expect."""
        return [line for line in self._log if '"level": "error"' in line or "Traceback" in line]

    def fetch(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> "Answer":
        """One unsigned request whose target goes out exactly as it is given (for daemons without authentication)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection._validate_path = lambda _path: None  # type: ignore[attr-defined]
        try:
            connection.request(method, target, body=body or None, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS"))}
        if self.auth:
            environment |= {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY}
        return environment

    def _read_log(self, reading: int, ready: threading.Event) -> None:
        with open(reading, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                self._log.append(line)
                if '"event": "ready"' in line:
                    said = json.loads(line)
                    self.url, self.admin = said["listen"], said["admin"]
                    ready.set()
        ready.set()

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(60)
        self._reader.join(60)
        return code


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error document; empty when there is none."""
        _, opening, rest = self.body.partition(b"<Code>")
        return rest.partition(b"</Code>")[0].decode() if opening else ""


@contextmanager
def running_daemon(directory: Path, *, auth: bool, config: str = "") -> Iterator[LiveDaemon]:
    """A daemon for as long as the block runs; its log must hold no error then."""
    daemon = LiveDaemon(directory, auth=auth, config=config).start()
    try:
        yield daemon
    finally:
        daemon.stop()
    assert daemon.errors() == []
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def nothing_left(daemon: LiveDaemon) -> Iterator[None]:
    """What runs inside changes nothing: no record, no blob file, no row of the view."""
    before = daemon.footprint()
    yield
    after = daemon.footprint()
    assert after.head == before.head, "a record was left behind"
    assert after.blobs == before.blobs, "a blob file was left behind"
    assert after.rows == before.rows, "a row of the view was changed"


def dump_view(path: Path | str) -> dict[str, tuple[Any, ...]]:
    """Every row of every table of a view, but for the token of the run that wrote it."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return rows_of(connection)
    finally:
        connection.close()


def rows_of(connection: apsw.Connection) -> dict[str, tuple[Any, ...]]:
    """The same through a connection that is open."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: tuple(sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)) for name in sorted(names)}
    return rows | {"progress": tuple(connection.execute("SELECT position FROM progress"))}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.02)
