"""The budget of one durable 4 KiB PUT, row by row: the daemon's own steps, each run in a loop in this process.

CPU time, not waiting. What is left between the sum of the steps and the daemon's CPU per request is what lies between
them: the event loop, the hand-over to the writer's thread, the GIL, and caches that a loop over one step keeps warm.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks.findings import SUBJECT, Findings
from benchmarks.references import on_core
from benchmarks.servers import ACCESS_KEY, SECRET_KEY
from benchmarks.signing import BODY_BYTES, BUCKET, Signer, key_of
from journal import SqliteBackend
from journal.writer import Committer, Submission
from s3d.auth.keys import StaticKeys
from s3d.auth.payload import body_claims
from s3d.auth.sigv4 import Verifier
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.checksums import digest_whole
from s3d.commands.buckets import CreateBucket
from s3d.commands.machine import StateMachine
from s3d.commands.objects import Origin, PutObject, ReceivedBody
from s3d.http import address
from s3d.http.reply import Replier
from s3d.operations.bodies import BodyCache
from s3d.operations.calls import Reply
from s3d.protocol.model import compile_service
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Serializer
from s3d.telemetry.metrics import Metrics
from s3d.view.view import View

BATCH = 16  # about what gathers at 32 connections while the batch before is being synced
BODY = b"x" * BODY_BYTES
_ORIGIN = Origin("bench", "127.0.0.1", "0000000000000001", 0)


@dataclass(frozen=True)
class Step:
    """One row: CPU in microseconds for one PUT, and what it was meant to cost."""

    name: str
    cpu_us: float
    aim_us: str


def measure(directory: Path, core: int, findings: Findings) -> list[Step]:
    """Every row, on this core; the first and the last come from the run."""
    with on_core(core):
        steps = [*_request_steps(directory), *_writer_steps(directory)]
    bare, whole = _cpu_of(findings, "bare aiohttp handler"), _cpu_of(findings, SUBJECT)
    if bare is None or whole is None:
        return steps
    http = Step("HTTP: aiohttp's server, sockets, the loop (the bare handler)", bare, "55-85")
    steps = [http, *steps]
    total = sum(step.cpu_us for step in steps if not step.name.startswith(" "))
    return [
        *steps,
        Step("sum", total, "195-225"),
        Step("between the steps: hand-over, wake-up, GIL, cold caches", whole - total, ""),
        Step("the daemon, as measured", whole, ""),
    ]


def _cpu_of(findings: Findings, server: str) -> float | None:
    """Per PUT at 32 connections, in this run."""
    row = findings.rows.get("put")
    spread = row.spread(server, lambda sample: sample.cpu_us) if row is not None else None
    return spread.median if spread is not None else None


def _request_steps(directory: Path) -> list[Step]:
    service = compile_service()
    router, parser, metrics = Router(service), Parser(service), Metrics()
    head = Signer(9000, ACCESS_KEY, SECRET_KEY).head(
        "PUT", f"/{BUCKET}/{key_of(1)}", sha256=_sha256(), length=BODY_BYTES
    )
    target, headers = _parsed(head)
    verifier = Verifier(StaticKeys({ACCESS_KEY: SECRET_KEY}), None)
    now = time.time()
    pool = BlobPool(BlobFiles(cast("Any", None), str(directory)), 1)
    rows = RowBodies(lambda _: None, lambda _: None, pool, BodyCache(0))
    replier = Replier(Serializer(service), pool, rows, 1)
    digests = digest_whole(BODY)
    reply = Reply({"ETag": f'"{digests.md5_hex}"', **_named(digests.checksums)}, sequence=12345)
    request = cast("BaseRequest", _Request())

    def authenticate() -> Any:
        path, _, query = target.partition("?")
        return verifier.authenticate("PUT", path, query, headers, now=now, secure=True, source="127.0.0.1")

    mode = authenticate().payload
    claims = body_claims(mode, headers)

    def parse() -> None:
        parsed = address.parse(target)
        operation = router.route("PUT", parsed.bucket, parsed.key, parsed.query, headers)
        body_claims(mode, headers)
        parser.parse(operation, parsed.bucket, parsed.key, parsed.query, headers, None)

    def answer() -> None:
        _finish(replier.send(request, "PutObject", reply, "0000000000000001"))

    def count() -> None:
        metrics.request("PutObject", 200, 0.001)

    return [
        Step("address, route, parse, claims", _cpu_us(parse), "25, with the answer"),
        Step("authentication (SigV4)", _cpu_us(authenticate), "25"),
        Step("digests of 4 KiB: MD5, SHA-256, CRC64NVME", _cpu_us(lambda: digest_whole(BODY, claims)), ""),
        Step("answer: headers of the response", _cpu_us(answer), ""),
        Step("metrics", _cpu_us(count), ""),
    ]


def _writer_steps(directory: Path) -> list[Step]:
    """Batches through the real committer, on the real disk, with the parts of it timed from outside."""
    directory.mkdir(parents=True, exist_ok=True)
    view = View(str(directory / "view.db"), token="bench", trusted=None)
    backend = SqliteBackend(str(directory / "journal"), ballast_bytes=0)
    timed_backend = _Timed(backend, ("append",))
    state = _Timed(StateMachine(view, has_remote=False), ("begin", "decide", "fold", "publish"))
    committer = Committer(cast("Any", timed_backend), cast("Any", state), lambda: time.time_ns() // 1_000_000)
    committer.open()
    committer.run([Submission(CreateBucket(BUCKET, {}, _ORIGIN, None), None)])
    _run_batches(committer, 0, 50)
    for timed in (timed_backend, state):
        timed.seconds.clear()
    batches = 250
    began = time.thread_time()
    _run_batches(committer, 50, batches)
    total = time.thread_time() - began
    backend.close()
    view.close(sync=False)

    def each(seconds: float) -> float:
        return seconds / (batches * BATCH) * 1e6

    parts = {**timed_backend.seconds, **state.seconds}
    named = [
        Step(f"  of that {name}", each(parts[name]), aim)
        for name, aim in (
            ("decide", ""),
            ("fold", "43-56, with decide and publish"),
            ("publish", ""),
            ("append", "38"),
        )
    ]
    return [Step(f"decide + append + fold, in batches of {BATCH}", each(total), "90"), *named]


def _run_batches(committer: Committer, first: int, count: int) -> None:
    digests = digest_whole(BODY)
    body = ReceivedBody(BODY_BYTES, digests.md5_hex, digests.sha256, _named(digests.checksums), BODY)
    for batch in range(first, first + count):
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        committer.run([Submission(PutObject(BUCKET, key_of(number), {}, body, _ORIGIN), None) for number in numbers])


class _Timed:
    """Hands through everything, and adds up the CPU time that some methods take."""

    def __init__(self, target: object, names: Sequence[str]) -> None:
        self._target = target
        self.seconds: dict[str, float] = {}
        for name in names:
            setattr(self, name, self._timed(name, getattr(target, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            before = time.thread_time()
            result = method(*arguments)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - before
            return result

        return call


class _Request:
    """As much of a request as an answer looks at."""

    method = "PUT"


def _parsed(head: bytes) -> tuple[str, CIMultiDictProxy[str]]:
    first, *rest = head.decode().strip().split("\r\n")
    pairs = [tuple(line.split(": ", 1)) for line in rest]
    return first.split(" ")[1], CIMultiDictProxy(CIMultiDict(cast("list[tuple[str, str]]", pairs)))


def _named(checksums: Mapping[str, str]) -> dict[str, str]:
    return {f"Checksum{name}": value for name, value in checksums.items()}


def _sha256() -> str:
    return hashlib.sha256(BODY).hexdigest()


def _finish(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("this step does not wait for anything")


def _cpu_us(step: Callable[[], object], loops: int = 3000) -> float:
    """The best of five loops: whatever else ran on the machine only ever adds."""
    for _ in range(loops // 10):
        step()
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(loops):
            step()
        best = min(best, (time.thread_time() - began) / loops)
    return best * 1e6
