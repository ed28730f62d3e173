"""Waiting until the remote has it, for `s3d wait`: how it stands, and what is in the way.

A wait answers when it is over or nothing more will happen until a person acts, else when its time is; whoever wants to
wait longer asks again. What it is about is fixed by the first question: later writes do not prolong it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from s3d.clock import Clock
from s3d.errors import S3dError
from s3d.operations.records import pending_record
from s3d.telemetry.obstacles import Obstacle
from s3d.telemetry.report import PauseReport, RecordReport, WaitReport, format_sequence, iso_time, sequence_in
from s3d.view.rows import Holding, PendingRow, PendingTotals

WAIT_SECONDS_MAX = 60.0
PARKED_NAMED_MAX = 20
PARKED_LOOKED_AT = 10_000
HELD_LOOKED_AT = 1000  # what is held stays, and so comes to be among the oldest
RECHECK_SECONDS = 0.2  # counting what is left reads the pending table: not after every batch of a busy journal


class WaitSource(Protocol):
    """What a wait asks; `http.admin.AdminSource` says more of each."""

    @property
    def epoch(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def replicates(self) -> bool: ...
    async def pending(self, prefix: str, after: int, limit: int) -> Sequence[PendingRow]: ...
    async def pending_record(self, sequence: int) -> PendingRow | None: ...
    async def remaining(self, prefix: str, through: int, since: int) -> PendingTotals: ...
    async def parked(self, after: int, limit: int) -> Sequence[PendingRow]: ...
    async def paused(self) -> PauseReport | None: ...
    async def holding(self, *, exact: bool = True) -> Holding: ...
    async def record(self, sequence: int) -> RecordReport | None: ...
    async def obstacles(self, bucket: str = "") -> tuple[Obstacle, ...]: ...


class _Target(msgspec.Struct, frozen=True):
    """What a wait is about: one record, or all records under a prefix up to and with `through`."""

    sequence: int | None
    prefix: str
    through: int


class Waits:
    """Answers waits until `closing` is set. `change` waits for the journal, for `closing`, or for so many seconds."""

    def __init__(
        self,
        source: WaitSource,
        clock: Clock,
        closing: asyncio.Event,
        change: Callable[[int, float], Awaitable[None]],
    ) -> None:
        self._source = source
        self._clock = clock
        self._closing = closing
        self._change = change

    async def answer(self, query: Mapping[str, str]) -> WaitReport:
        """How it stands when it is over, or the time is. Raises S3dError for a question that makes no sense."""
        target, timeout_seconds = self._target(query), _timeout(query)
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            seen = self._source.head
            report = await self._standing(target)
            left = deadline - self._clock.monotonic()
            if report.state != "pending" or left <= 0 or self._closing.is_set():
                return await self._explained(report, target)
            await self._clock.sleep(min(RECHECK_SECONDS, left))
            await self._change(seen, max(0.0, deadline - self._clock.monotonic()))

    def _target(self, query: Mapping[str, str]) -> _Target:
        source = self._source
        if sum(name in query for name in ("seq", "prefix", "all")) != 1:
            raise S3dError("a wait is for one of seq, prefix and all", hint="for instance /wait?seq=1-42&timeout=10")
        if "seq" in query:
            sequence = sequence_in(source.epoch, query["seq"])
            if sequence > source.head:
                raise S3dError(
                    f"there is no record {query['seq']}; the last one is {format_sequence(source.epoch, source.head)}",
                    hint="was it written on another edge?",
                )
            return _Target(sequence, "", sequence)
        through = sequence_in(source.epoch, query["through"]) if "through" in query else source.head
        return _Target(None, query.get("prefix", ""), min(through, source.head))

    async def _standing(self, target: _Target) -> WaitReport:
        """How the wait stands now. A parked record ends it: nothing will happen there until a person acts."""
        through = format_sequence(self._source.epoch, target.through)
        totals = await self._source.remaining(target.prefix, target.through, target.sequence or 0)
        if totals.position < target.through:  # the view is being rebuilt: not known
            rebuilding = (Obstacle(kind="rebuilding"),)
            return WaitReport("pending", totals.count, totals.size, through, obstacles=rebuilding)
        if totals.count == 0:
            record = await self._source.record(target.sequence) if target.sequence is not None else None
            return WaitReport("local" if record is not None and record.state == "local" else "confirmed", 0, 0, through)
        blocking = await self._blocking(target, totals)
        paused = await self._source.paused()
        held = "parked" if blocking else "paused" if paused is not None else "pending"
        state = held if self._source.replicates else "no-remote"
        now = self._clock.now()
        named = tuple(pending_record(self._source.epoch, now, row) for row in blocking[:PARKED_NAMED_MAX])
        return WaitReport(state, totals.count, totals.size, through, named, paused)

    async def _explained(self, report: WaitReport, target: _Target) -> WaitReport:
        """With what is in the way, once, when it is told: of parked records and remotes only what is in *this* way."""
        found = report.obstacles
        if report.state not in {"confirmed", "local", "no-remote"} and not found:
            found = await self._source.obstacles(await self._bucket_of(target))
            found = tuple(one for one in found if one.kind != "parked" or report.state == "parked")
        return msgspec.structs.replace(report, obstacles=found, at=iso_time(self._clock.now()))

    async def _bucket_of(self, target: _Target) -> str:
        """The one bucket that this wait is about; empty: there may be several."""
        if target.sequence is not None:
            row = await self._source.pending_record(target.sequence)
            return row.bucket if row is not None else ""
        bucket, slash, _ = target.prefix.partition("/")
        return bucket if slash else ""

    async def _blocking(self, target: _Target, totals: PendingTotals) -> list[PendingRow]:
        """The parked records that what is waited for is, or cannot get past."""
        if target.sequence is None:
            return await self._parked_under(target) if totals.parked else await self._in_front_of(target)
        row = await self._sent_for(target.sequence)
        if row is None:
            return []
        found = await self._parked_before(row)
        return found or await self._still_parked((await self._behind()).get(row.sequence))

    async def _sent_for(self, sequence: int) -> PendingRow | None:
        """The record, or the one that is sent in its place."""
        row = await self._source.pending_record(sequence)
        while row is not None and row.superseded_by:
            row = await self._source.pending_record(row.superseded_by)
        return row

    async def _parked_before(self, row: PendingRow) -> list[PendingRow]:
        """Earlier ones of its key, or of its bucket as a whole."""
        return [
            one
            for one in await self._source.parked(0, PARKED_LOOKED_AT)
            if one.sequence <= row.sequence and one.bucket == row.bucket and one.key in {row.key, ""}
        ]

    async def _parked_under(self, target: _Target) -> list[PendingRow]:
        return [
            one
            for one in await self._source.parked(0, PARKED_LOOKED_AT)
            if one.sequence <= target.through and f"{one.bucket}/{one.key}".startswith(target.prefix)
        ]

    async def _in_front_of(self, target: _Target) -> list[PendingRow]:
        """Parked ones that do not lie under the prefix, and hold what does: a bucket, a copy's source, an order group.

        Of all records none is outside.
        """
        behind = await self._behind() if target.prefix else {}
        if not behind:
            return []
        rows = await self._source.pending(target.prefix, 0, HELD_LOOKED_AT)
        roots = {behind[row.sequence] for row in rows if row.sequence <= target.through and row.sequence in behind}
        return [one for root in sorted(roots)[:PARKED_NAMED_MAX] for one in await self._still_parked(root)]

    async def _behind(self) -> Mapping[int, int]:
        """The parked record that each one waits for, as it was a moment ago."""
        parked = await self._source.parked(0, 1)
        return (await self._source.holding(exact=False)).behind if parked else {}

    async def _still_parked(self, sequence: int | None) -> list[PendingRow]:
        """Somebody may have retried it since that moment: then it is in nobody's way."""
        row = await self._source.pending_record(sequence) if sequence is not None else None
        return [row] if row is not None and row.parked else []


def _timeout(query: Mapping[str, str]) -> float:
    text = query.get("timeout", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise S3dError(
            f"timeout is a number of seconds from 0 to {WAIT_SECONDS_MAX:g}",
            hint="to wait longer, ask again with the `through` of the answer",
        )
    return seconds
