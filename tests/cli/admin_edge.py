"""An edge behind a real admin listener: a real journal and a real view, without S3 in front and without a remote."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from journal import Entry, Journal, MemoryBackend, Record
from s3d.auth.operators import Operator
from s3d.clock import SystemClock
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ConfirmRecords, DiscardRecords, ParkRecord, ResumeRecords
from s3d.commands.pausing import PauseReplication, ResumeReplication
from s3d.commands.rekeying import RekeyRecord
from s3d.events import Confirmation, Mutation, encode
from s3d.http.admin import build_admin
from s3d.http.operators import OperatorGate
from s3d.operations.exporting import RecordBody
from s3d.operations.records import record_report
from s3d.replicator.held import read_holding
from s3d.telemetry.flow import FlowReport, UploadReport
from s3d.telemetry.metrics import Metrics, Moment
from s3d.telemetry.obstacles import Obstacle, obstacles_of
from s3d.telemetry.report import (
    LinkReport,
    PauseChanged,
    PauseReport,
    PendingSummary,
    RecordReport,
    Status,
    format_sequence,
    iso_time,
)
from s3d.view.questions import Questions
from s3d.view.rows import Holding, PendingRow, PendingTotals
from s3d.view.view import View


class Edge:
    """Implements AdminSource over a journal and its view."""

    def __init__(self, journal: Journal, view: View) -> None:
        self._journal = journal
        self._questions = Questions(view.reader())
        self._metrics = Metrics()
        self.replicates = True
        self.trouble = ""
        self.not_ready = ""
        self.full = ""
        self.flow: FlowReport | None = None
        self.down_since = ""
        self.obstacles_asked: list[str] = []
        self.uploading: tuple[UploadReport, ...] = ()
        self.asked = 0  # how often somebody asked what is left

    # what happens to it

    async def write(self, stream: str, kind: str = "PutObject", size: int = 0) -> int:
        """A client's mutation; its sequence number."""
        body = b"x" * size
        entry = Entry(stream, kind, encode(Mutation(size=size, etag="e")), body, b"", size)
        return (await self._journal.append([entry]))[0].sequence

    async def confirm(self, *sequences: int) -> None:
        """The remote has these."""
        await self._journal.submit(ConfirmRecords(tuple(Confirmation(one) for one in sequences)))

    async def park(self, sequence: int, code: str = "AccessDenied", message: str = "no") -> None:
        """The remote will not have this one."""
        await self._journal.submit(ParkRecord(sequence, code, message))

    # what the admin listener asks

    @property
    def epoch(self) -> int:
        return self._journal.identity.epoch

    @property
    def head(self) -> int:
        return self._journal.head.sequence

    def sick(self) -> str:
        return self.trouble

    def unready(self) -> str:
        return self.not_ready

    def crowded(self) -> str:
        return self.full

    async def status(self) -> Status:
        totals, paused = self._questions.pending_totals(), await self.paused()
        pending = PendingSummary(totals.count, totals.size, 75.0 if totals.count else 0.0, totals.parked, paused)
        remote = (
            LinkReport("https://s3.example", "down", self.down_since, "refused", flow=self.flow)
            if self.replicates
            else None
        )
        held = len((await self.holding()).behind)
        return Status(
            version="9.9",
            instance=self._journal.identity.instance,
            epoch=self.epoch,
            started_at="2026-11-20T00:00:00.000Z",
            data_dir="/data",
            listen="http://localhost:33333",
            authenticated=False,
            head=format_sequence(self.epoch, self.head),
            remote=remote,
            pending=pending,
            cache_bytes=2048,
            cache_capacity_bytes=10 * 1024**3,
            ready=not self.not_ready,
            reason=self.not_ready,
            at=iso_time(time.time()),
            obstacles=obstacles_of(remote, pending, held),
            uploads=self.uploading,
        )

    async def pending(self, prefix: str, after: int, limit: int) -> Sequence[PendingRow]:
        return self._questions.pending_under(prefix, limit, after)

    async def pending_record(self, sequence: int) -> PendingRow | None:
        return self._questions.pending(sequence)

    async def remaining(self, prefix: str, through: int, since: int) -> PendingTotals:
        self.asked += 1
        return self._questions.pending_totals(prefix, through, since)

    async def parked(self, after: int, limit: int) -> Sequence[PendingRow]:
        return self._questions.parked(limit, after)

    async def discard(self, sequences: tuple[int, ...], who: Operator) -> tuple[int, ...]:
        command = DiscardRecords(sequences, who.caller, claimed=who.claimed)
        return (await self._journal.submit(command)).answer

    async def record(self, sequence: int) -> RecordReport | None:
        found = self._journal.pick([sequence])
        pending = self._questions.pending(sequence)
        return record_report(self.epoch, found[0], pending, await self.holding()) if found else None

    async def holding(self, *, exact: bool = True) -> Holding:
        return read_holding(self._journal, self._questions)

    async def uploads(self, limit: int) -> tuple[UploadReport, ...]:
        return self.uploading[:limit]

    async def obstacles(self, bucket: str = "") -> tuple[Obstacle, ...]:
        self.obstacles_asked.append(bucket)
        return (await self.status()).obstacles

    async def rekey(self, sequence: int, key: str, who: Operator) -> Record:
        (record,) = self._journal.pick([sequence])
        return (await self._journal.submit(RekeyRecord(record, key, who.caller, 0, (), who.claimed))).records[0]

    async def body(self, sequence: int) -> RecordBody:
        body = self._journal.body(sequence) or b""

        async def pieces():
            yield body

        return RecordBody(len(body), pieces())

    async def resume(self, sequences: tuple[int, ...] | None, who: Operator) -> tuple[int, ...]:
        return (await self._journal.submit(ResumeRecords(sequences, who.caller, who.claimed))).answer

    async def paused(self) -> PauseReport | None:
        row = self._questions.paused()
        return PauseReport("2026-11-20T00:00:00.000Z", "1-1", row.caller, row.reason) if row is not None else None

    async def pause(self, reason: str, who: Operator) -> PauseChanged:
        command = PauseReplication(reason, who.caller, who.claimed)
        return PauseChanged(paused=True, changed=(await self._journal.submit(command)).answer)

    async def go_on(self, reason: str, who: Operator) -> PauseChanged:
        command = ResumeReplication(reason, who.caller, who.claimed)
        return PauseChanged(paused=False, changed=(await self._journal.submit(command)).answer)

    async def changed(self, after: int) -> None:
        await self._journal.wait(after + 1)

    async def metrics(self) -> bytes:
        totals = self._questions.pending_totals()
        moment = Moment(
            pending=totals.count,
            pending_bytes=totals.size,
            pending_oldest_seconds=0.0,
            parked=totals.parked,
            link_up=False,
            head=self.head,
            cache_bytes=0,
        )
        return self._metrics.render(moment)


@asynccontextmanager
async def open_edge(directory: str, gate: OperatorGate | None = None):
    """An edge and the port of its admin listener, with a gate for operators."""
    view = View(f"{directory}/view.db", token="run", trusted=None)
    journal = await Journal.open(MemoryBackend("edge"), StateMachine(view, has_remote=True))
    edge = Edge(journal, view)
    edge.runner = web.AppRunner(build_admin(edge, SystemClock(), gate=gate))
    await edge.runner.setup()
    site = web.TCPSite(edge.runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield edge, site._server.sockets[0].getsockname()[1]
    finally:
        await edge.runner.cleanup()
        await journal.close()
        view.close(sync=False)


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


async def s3d(*arguments: str, admin: str | None = None, **environment: str) -> Ran:
    """Run the real command in a process of its own, away from this machine's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS_", "XDG_"))}
    if admin is not None:
        environment["S3D_ADMIN"] = admin
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "s3d.cli.main",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | environment,
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())
