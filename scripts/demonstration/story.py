"""What happens in the demonstration. Each step says what it did, and the model notes what was acknowledged."""

import random
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from clients import CLI_PART_BYTES, AwsCli, boto3_client, real_files
from daemons import Daemon
from expected import Comparison, Content, Expected

from s3d.cli.asking import AdminClient
from s3d.telemetry.report import Status, WaitReport

BUCKET = "demo"
MIB = 1024 * 1024
LARGE_BYTES = 64 * MIB
CLI_UPLOAD_BYTES = 20 * MIB
WRITERS = 4
WRITING_SECONDS = 1.2
DRAIN_SECONDS_MAX = 120.0
Drained = Callable[[int, int], object]  # records confirmed, of how many


class Wrong(Exception):
    """The demonstration does not show what it should."""


class Story:
    """An edge, its remote, and everything that was acknowledged."""

    def __init__(self, directory: str, sources: str) -> None:
        self._directory = directory
        self._sources = sources
        self.remote = Daemon("remote", directory)
        self.edge = Daemon("edge", directory, self.remote.endpoint)
        self.expected = Expected(BUCKET)
        self.client: Any = boto3_client(self.edge)
        self._aws = AwsCli(directory, self.edge)
        self._chance = random.Random(20261123)

    def start(self) -> str:
        """The remote is an s3d as well, one without a remote of its own; any S3 service would do."""
        self.remote.launch()
        self.edge.launch()
        self.remote.wait()
        self.edge.wait()
        return f"edge at {self.edge.endpoint}, its remote at {self.remote.endpoint}"

    def upload(self) -> str:
        """Real files with the AWS CLI; with boto3 what files rarely are: large, empty, oddly named, with metadata."""
        self._aws("s3", "mb", f"s3://{BUCKET}")
        self._aws("s3", "sync", self._sources, f"s3://{BUCKET}/source", "--exclude", "*__pycache__*")
        for path, body in real_files(self._sources):
            self.expected.objects[f"source/{path}"] = Content(body)
        self._put("large/64 MiB", self._chance.randbytes(LARGE_BYTES))
        self._put("empty", b"")
        self._put("names/a b+c%20d/ünï çødé/日本 🛰", b"names are bytes", place="roof, north side", empty="")
        self._upload_in_parts("large/in parts", self._chance.randbytes(CLI_UPLOAD_BYTES))
        for number in range(40):
            self._put(f"sensor/{number:03}", self._chance.randbytes(4096), number=str(number))
        return f"{len(self.expected.objects)} objects, {self._size_mib():.0f} MiB, with the AWS CLI and boto3"

    def go_on_offline(self) -> str:
        """Write, overwrite, copy, delete and list, with nobody at the other end."""
        for number in range(0, 40, 2):
            self._put(f"sensor/{number:03}", self._chance.randbytes(5000), number=f"{number} again")
        for number in range(40, 100):
            self._put(f"sensor/{number:03}", self._chance.randbytes(self._chance.randrange(200_000)))
        for number in range(1, 40, 4):
            self._delete(f"sensor/{number:03}")
        self._upload_in_parts("large/in parts, offline", self._chance.randbytes(CLI_UPLOAD_BYTES))
        self._copy("large/64 MiB", "large/copy")
        self._copy("sensor/000", "sensor/copy of 000")
        self._delete("large/64 MiB")
        self._aws("s3", "cp", f"s3://{BUCKET}/empty", f"s3://{BUCKET}/names/copied by the CLI")
        self.expected.objects["names/copied by the CLI"] = self.expected.objects["empty"]
        self._aws("s3", "rm", f"s3://{BUCKET}/empty")
        del self.expected.objects["empty"]
        listed = self._aws("s3", "ls", "--recursive", f"s3://{BUCKET}/").splitlines()
        if len(listed) != len(self.expected.objects):
            raise Wrong(f"`aws s3 ls` shows {len(listed)} objects, {len(self.expected.objects)} were acknowledged")
        status = self._status_of("sensor/000")
        return f"`aws s3 ls` shows all {len(listed)} objects; x-amz-replication-status: {status}"

    def kill_while_writing(self) -> str:
        """Four writers; SIGKILL in the middle; only what was acknowledged counts."""
        writers = [_Writer(self.edge, index) for index in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(WRITING_SECONDS)
        self.edge.kill()
        for writer in writers:
            writer.join()
            self.expected.objects |= writer.acknowledged
            self.expected.uncertain |= writer.unanswered
        count = sum(len(writer.acknowledged) for writer in writers)
        if not count:
            raise Wrong("nothing was acknowledged before the kill")
        return f"{count} more writes acknowledged until then"

    def restart(self) -> str:
        """Start again on the same directory."""
        began = time.monotonic()
        self.edge.start()
        seconds = time.monotonic() - began
        happened, not_happened = self.expected.settle(self.client)
        return f"ready after {seconds:.1f} s; {happened + not_happened} writes had no answer: {happened} are there"

    def drain(self, drained: Drained) -> str:
        """Wait until the remote has confirmed everything."""
        admin = AdminClient(self.edge.admin)
        began = time.monotonic()
        query = {"all": "1", "timeout": "0"}
        first = None
        while True:
            report = admin.get("/wait", WaitReport, query, patience_seconds=1)
            first = first or report
            drained(first.count - report.count, first.count)
            seconds = time.monotonic() - began
            if report.state == "confirmed" and first.count == 0:
                return "nothing was left to send"
            if report.state == "confirmed":
                return f"{first.count} records, {first.bytes / MIB:.0f} MiB in {seconds:.1f} s"
            if report.state != "pending" or seconds > DRAIN_SECONDS_MAX:
                raise Wrong(f"the drain ended as {report.state}, with {report.count} records left")
            query = {"all": "1", "timeout": "0.25", "through": report.through}

    def pending(self) -> Status:
        """Where the edge stands."""
        return AdminClient(self.edge.admin).get("/status", Status)

    def compare_edge(self) -> Comparison:
        """Everything, as the edge's clients see it."""
        return self.expected.compare(self.client)

    def compare_remote(self) -> Comparison:
        """Everything, asked of the remote directly."""
        return self.expected.compare(boto3_client(self.remote))

    def close(self) -> None:
        """End both, whatever state they are in."""
        self.edge.kill()
        self.remote.kill()

    def _put(self, key: str, body: bytes, **metadata: str) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
        self.expected.objects[key] = Content(body, tuple(sorted(metadata.items())))

    def _upload_in_parts(self, key: str, body: bytes) -> None:
        """A file as large as the AWS CLI sends in parts, several at a time."""
        with tempfile.NamedTemporaryFile(dir=self._directory) as file:
            file.write(body)
            file.flush()
            self._aws("s3", "cp", file.name, f"s3://{BUCKET}/{key}")
        self.expected.objects[key] = Content(body, part_bytes=CLI_PART_BYTES)

    def _copy(self, source: str, target: str) -> None:
        self.client.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": source})
        self.expected.objects[target] = self.expected.objects[source]

    def _delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)
        del self.expected.objects[key]

    def _status_of(self, key: str) -> str:
        return str(self.client.head_object(Bucket=BUCKET, Key=key).get("ReplicationStatus"))

    def _size_mib(self) -> float:
        return sum(len(content.body) for content in self.expected.objects.values()) / MIB


class _Writer(threading.Thread):
    """An application that writes one object after the other until the daemon is gone."""

    def __init__(self, edge: Daemon, index: int) -> None:
        super().__init__(daemon=True)
        self._client = boto3_client(edge)
        self._chance = random.Random(index)
        self._index = index
        self.acknowledged: dict[str, Content] = {}
        self.unanswered: dict[str, Content] = {}

    def run(self) -> None:
        number = 0
        while True:
            key = f"writer-{self._index}/{number:05}"
            content = Content(self._chance.randbytes(self._chance.randrange(100_000)))
            try:
                self._client.put_object(Bucket=BUCKET, Key=key, Body=content.body)
            except (BotoCoreError, ClientError):
                self.unanswered[key] = content
                return
            self.acknowledged[key] = content
            number += 1
