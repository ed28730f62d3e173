"""An edge and its remote, both real daemons in processes of their own, and the link between them.

The remote is s3d as well, without a remote of its own. What the edge must always be is checked here against the
dictionary; what is only true when all has settled, too.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from edge_state import FACTS
from forking import text
from live import dump_view
from peers.fault_proxy import FaultProxy

from journal import Journal, SqliteBackend
from journal.disk import RealDisk
from model.dictionary import Dictionary
from model.nursery import Child, Nursery
from model.values import Object, Upload, md5
from model.wire import Answer, Wire, tags_in
from s3d.commands.machine import StateMachine
from s3d.view.view import View

DRAIN_SECONDS_MAX = 60
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2**30 else None
REMOTE_SETTINGS = {"admin.listen": "http://127.0.0.1:0", "journal.ballast_bytes": 0}
EDGE_SETTINGS = REMOTE_SETTINGS | {
    "listen": "http://127.0.0.1:0",
    "remote.access_key": "edge",
    "remote.secret_key": "edge-secret",
    "remote.connect_timeout_seconds": 20.0,  # faults are refusals and resets: silence is only a machine that is busy
    "remote.read_timeout_seconds": 20.0,
    "remote.backoff_seconds_max": 1.0,
    "shutdown.drain_seconds": 0.0,
    "journal.inline_bytes_max": 8192,
    "journal.file_bytes_max": 64 * 1024,
    "journal.keep_unsealed_bytes": 0,
    "journal.retain_files": 1,
}
_AIOHTTP = "Cannot write to closing transport"  # a task of the client library's own, which nobody can await
UNREACHABLE = "RemoteUnreachable"


class Site:
    """`start`, then ask `edge`; `cut`, `restore`, `end` and `start_edge` are what can happen; `close` ends it.

    `wobbly` says that the link has had a fault since all was settled: then the edge may say that it cannot know what is
    at the remote only. `faults` says that there ever was one, or an end of the edge. `foreign` are buckets that were at
    the remote before.
    """

    def __init__(self, nursery: Nursery, dictionary: Dictionary, settings: dict[str, Any]) -> None:
        self._nursery = nursery
        self._dictionary = dictionary
        self._settings = settings
        self.directory = tempfile.mkdtemp(prefix="s3d-model-", dir=FAST)
        self.wobbly = self.faults = False
        self.foreign: set[str] = set()
        self._remote_settings = REMOTE_SETTINGS | {"data_dir": f"{self.directory}/remote"}
        self._start_remote("http://127.0.0.1:0")
        self.proxy = FaultProxy("127.0.0.1", self.remote.port)
        self._edge_settings = EDGE_SETTINGS | settings
        self._edge_settings |= {"data_dir": f"{self.directory}/edge", "remote.endpoint": self.proxy.url}
        self._log = ""
        self._edge, self.edge, self.admin = self._remote, self.remote, self.remote  # until it is started

    # what happens

    def start_edge(self) -> None:
        child = self._nursery.ready(self._nursery.fork(self._edge_settings))
        self._edge, self.edge, self.admin = child, Wire(child.port), Wire(child.admin_port)

    def start_and_kill(self, after_seconds: float) -> None:
        """A start that does not come to its end, or just so."""
        child = self._nursery.fork(self._edge_settings)
        time.sleep(after_seconds)
        self._end(child, signal.SIGKILL)

    def end_edge(self, number: int) -> None:
        """By a signal; a clean end says with its code that all is well here."""
        self.faults = True
        code = self._end(self._edge, number)
        self.edge.close()
        self.admin.close()
        assert code == -number if number == signal.SIGKILL else code in {0, 3}, f"exit code {code}\n{self.log}"

    def forget_view(self) -> None:
        """The view is disposable."""
        for name in os.listdir(f"{self.directory}/edge"):
            if name.startswith("view"):
                os.unlink(f"{self.directory}/edge/{name}")

    def cut(self) -> None:
        self.wobbly = self.faults = True
        self.proxy.refuse()

    def lose_answers(self, method: str, times: int) -> None:
        self.wobbly = self.faults = True
        self.proxy.lose_answers(method, times)

    def restart_remote(self) -> None:
        self.wobbly = self.faults = True
        port = self.remote.port
        self.remote.close()
        self._nursery.end(self._remote)
        self._start_remote(f"http://127.0.0.1:{port}")

    def settle(self) -> None:
        """The link is well, and the remote has everything."""
        self.proxy.restore()
        report = self.admin.json(f"/wait?all=1&timeout={DRAIN_SECONDS_MAX}")
        assert report["state"] == "confirmed", f"{report}\n{self.admin.json('/pending')}\n{self.log}"
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while self.admin.json("/status")["remote"]["state"] != "up":
            assert time.monotonic() < deadline, f"the link does not come back\n{self.log}"
            time.sleep(0.005)
        self.wobbly = False

    def close(self) -> None:
        for wire in (self.edge, self.admin, self.remote):
            wire.close()
        for child in (self._edge, self._remote):
            self._nursery.end(child)
        self.proxy.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # what must be so

    @property
    def log(self) -> str:
        """What the edge has said since the example began."""
        return self._log + text(f"{self.directory}/edge.log")

    @property
    def remote_log(self) -> str:
        """What the remote has said since it was started."""
        return text(self._remote.log)

    def cannot_know(self, answer: Answer, bucket: str) -> bool:
        """Whether this is the answer of an edge that would have to ask the remote, and truly cannot."""
        return answer.code == UNREACHABLE and self.may_not_know(bucket)

    def may_not_know(self, bucket: str) -> bool:
        """Whether only the remote knows of a bucket what the edge is asked, and may be out of reach."""
        return self.wobbly and (bucket in self.foreign or bucket not in self._dictionary.buckets)

    def has_left(self, answer: Answer, bucket: str, key: str) -> bool:
        """Whether this is the answer of an edge whose bytes have gone to the remote for good, and that cannot ask."""
        if answer.code != UNREACHABLE or not self.wobbly:
            return False
        head = self.edge.ask("HEAD", bucket, key)
        return head.headers.get("x-amz-replication-status") == "COMPLETED" or bucket in self.foreign

    def check(self, *, settled: bool = False) -> None:
        """Everything that the edge shows is what the dictionary says; when it is `settled`, the remote's too."""
        self.check_buckets(self.edge)
        for bucket in self._dictionary.buckets:
            self._check_bucket(self.edge, bucket, at_edge=True)
        parked = self.admin.json("/parked")["records"]
        assert not parked, f"parked: {parked}"
        if settled:
            assert not self.wobbly
            self.check_buckets(self.remote)
            for bucket in self._dictionary.buckets:
                self._check_bucket(self.remote, bucket, at_edge=False)

    def check_end(self) -> None:
        """After a clean end: the code, the log, and that the view is what base and journal say."""
        code = self._end(self._edge, signal.SIGTERM)
        assert code == 0, f"exit code {code}\n{self.log}"
        errors = [line for line in self.log.splitlines() if '"level": "error"' in line and _AIOHTTP not in line]
        assert not errors, "\n".join(errors)
        self._check_fold()

    # inside

    def _start_remote(self, listen: str) -> None:
        self._remote = self._nursery.ready(self._nursery.fork(self._remote_settings | {"listen": listen}))
        self.remote = Wire(self._remote.port)

    def _end(self, child: Child, number: int) -> int:
        code = self._nursery.end(child, number)
        self._log += text(child.log)
        with contextlib.suppress(FileNotFoundError):  # it was killed before it said anything
            os.unlink(child.log)
        return code

    def check_buckets(self, wire: Wire) -> None:
        answer = wire.ask("GET")
        if wire is self.edge and self.wobbly and answer.code == UNREACHABLE:
            return
        assert answer.ok, answer
        assert answer.all("Buckets/Bucket/Name") == sorted(self._dictionary.buckets)

    def _check_bucket(self, wire: Wire, bucket: str, *, at_edge: bool) -> None:
        where = f"{bucket} at the {'edge' if at_edge else 'remote'}"
        answer = wire.ask("GET", bucket, query={"list-type": "2"})
        objects = self._dictionary.buckets[bucket]
        if not (at_edge and self.cannot_know(answer, bucket)):
            assert answer.ok, (where, answer)
            listed = {
                (one.findtext("Key"), one.findtext("ETag"), int(one.findtext("Size", "-1")))
                for one in answer.xml.findall("Contents")
            }
            wanted = {(key, f'"{it.etag}"', len(it.body)) for key, it in objects.items()}
            assert listed == wanted, f"{where}: extra {listed - wanted}, missing {wanted - listed}"
        for key, it in objects.items():
            self._check_object(wire, bucket, key, it, at_edge=at_edge)
        self._check_uploads(wire, bucket, at_edge=at_edge)

    def _check_object(self, wire: Wire, bucket: str, key: str, it: Object, *, at_edge: bool) -> None:
        where = f"{bucket}/{key} at the {'edge' if at_edge else 'remote'}"
        head = wire.ask("HEAD", bucket, key)
        if at_edge and self.wobbly and bucket in self.foreign and head.status == 503:
            return
        self.check_description(where, head, it)
        if at_edge:
            self.check_standing(where, head, bucket, it)
        answer = wire.ask("GET", bucket, key)
        if not (at_edge and self.has_left(answer, bucket, key)):
            self.check_description(where, answer, it)
            assert answer.body == it.body, f"{where}: {md5(answer.body)} instead of {md5(it.body)}"
        tagging = wire.ask("GET", bucket, key, {"tagging": ""})
        if not (at_edge and self.cannot_know(tagging, bucket)):
            assert tagging.ok, (where, tagging)
            assert tags_in(tagging) == it.tags, where

    def check_description(self, where: str, answer: Answer, it: Object) -> None:
        """Headers of HEAD and GET."""
        assert answer.ok, (where, answer)
        assert int(answer.headers["content-length"]) == len(it.body), (where, answer.headers)
        assert answer.etag == it.etag, (where, answer.headers)
        assert answer.attributes == it.attributes.shown, (where, answer.headers)

    def check_standing(self, where: str, head: Answer, bucket: str, it: Object) -> None:
        """`x-amz-replication-status`: nothing is ever parked here, and what others wrote has none."""
        status = head.headers.get("x-amz-replication-status")
        allowed = {"PENDING", "COMPLETED"} | ({None} if bucket in self.foreign else set())
        assert status in allowed, (where, status)

    def _check_uploads(self, wire: Wire, bucket: str, *, at_edge: bool) -> None:
        where = f"uploads of {bucket} at the {'edge' if at_edge else 'remote'}"
        answer = wire.ask("GET", bucket, query={"uploads": ""})
        if at_edge and self.cannot_know(answer, bucket):
            return
        assert answer.ok, (where, answer)
        found = [
            (one.findtext("Key", ""), _parts(wire, bucket, one.findtext("Key", ""), one.findtext("UploadId", "")))
            for one in answer.xml.findall("Upload")
        ]
        wanted = [(one.key, _parts_of(one)) for one in self._dictionary.open_uploads(bucket)]
        extra = Counter(map(repr, found))
        extra.subtract(map(repr, wanted))
        may_be_more = not at_edge and self.faults  # begun there, and nobody here was told under which id
        assert min(extra.values(), default=0) >= 0, f"{where}: {found} instead of {wanted}"
        assert may_be_more or not +extra, f"{where}: {found} instead of {wanted}"

    def _check_fold(self) -> None:
        """Decision 6: the view is the fold of base and journal, for the tables that are folded."""
        kept = _folded(f"{self.directory}/edge/view.db")
        again = f"{self.directory}/again.db"
        asyncio.run(_fold(f"{self.directory}/edge/journal", again))
        folded = _folded(again)
        for name in kept.keys() | folded.keys():
            assert kept.get(name) == folded.get(name), f"table {name}: {kept.get(name)} is not {folded.get(name)}"


def _parts(wire: Wire, bucket: str, key: str, upload: str) -> list[tuple[int, str]]:
    answer = wire.ask("GET", bucket, key, {"uploadId": upload})
    assert answer.ok, answer
    return [(int(one.findtext("PartNumber", "")), one.findtext("ETag", "")) for one in answer.xml.findall("Part")]


def _parts_of(upload: Upload) -> list[tuple[int, str]]:
    return [(number, f'"{md5(body)}"') for number, body in sorted(upload.parts.items())]


def _folded(path: str) -> dict[str, tuple[Any, ...]]:
    return {name: rows for name, rows in dump_view(Path(path)).items() if name not in FACTS}


async def _fold(directory: str, path: str) -> None:
    """A new view from base and journal alone."""
    view = View(path, token="again", trusted=None)
    backend = SqliteBackend(directory, disk=RealDisk(), ballast_bytes=0)
    machine = StateMachine(view, has_remote=True, origin=backend)
    journal = await Journal.open(backend, machine, now_ms=lambda: 0)
    await journal.close()
    view.close(sync=False)
