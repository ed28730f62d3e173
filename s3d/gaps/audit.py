"""Look through everything that was confirmed, a listing's page at a time, for as long as the daemon runs.

What a listing speaks against is asked for by itself before it is called a gap: a listing may lag, and keys are written
meanwhile. What the remote says of it then is a fact of the view, and a gap is nothing but such a fact against a claim
of the journal: it needs no record, ends by itself when the key is written again, and if the view forgets it, the next
round finds it again. Mending one is a record (`SendAgain`), and so is a look at everything (`RecordLook`), by which an
auditor sees later that somebody looked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import structlog

from journal import JournalError
from s3d.clock import Clock, milliseconds, sleep_unless
from s3d.commands.looking import RecordLook
from s3d.commands.sending_again import SendAgain
from s3d.errors import S3Error, remote_unreachable
from s3d.events import GAP_AUDIT, GapsLooked
from s3d.gaps.compare import Claim, Shown, suspects
from s3d.policy.rules import GapPolicy
from s3d.queries.asking import Asking
from s3d.telemetry.report import GapReport, GapRound, GapsReport, format_sequence, iso_time
from s3d.values import Extents
from s3d.view.damage import ViewDamaged
from s3d.view.looked import latest_look
from s3d.view.questions import Connection, Questions
from s3d.view.rows import Gap

PAGE = 1000
TROUBLE_SECONDS = 60.0
_LAST = "\U0010ffff"  # behind every key
_log = structlog.get_logger("s3d.gaps")


class Digest(Protocol):
    """Reads bytes that are here; their SHA-256. Raises S3Error when they are not what they were."""

    async def __call__(self, extents: Extents) -> bytes:
        """Raw."""


class Policy(Protocol):
    """What an operator has decided."""

    def __call__(self, bucket: str, key: str, *, own: bool) -> GapPolicy:
        """What a gap of an object is worth; `own`: nobody else writes to its bucket."""


class GapAudit:
    """`policy` says of an object what a gap is worth, `are_here` whether its bytes are on this disk.

    `connect` opens the view for another thread: naming all gaps reads everything that the remote ever said.
    """

    def __init__(
        self,
        questions: Questions,
        asking: Asking,
        submit: Callable[[Any], Awaitable[Any]],
        connect: Callable[[], Connection],
        epoch: int,
        clock: Clock,
        policy: Policy,
        are_here: Callable[[Extents], bool],
        digest: Digest,
        *,
        every_seconds: float,
        requests_per_minute: float,
    ) -> None:
        self._questions = questions
        self._asking = asking
        self._submit = submit
        self._connect = connect
        self._epoch = epoch
        self._looking = asyncio.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="gaps")
        self._clock = clock
        self._policy = policy
        self._are_here = are_here
        self._digest = digest
        self._every_seconds = every_seconds
        self._pace_seconds = 60 / requests_per_minute
        self._rests_since = 0.0
        self._replaced = asyncio.Event()
        self._last: GapRound | None = None
        self._began = 0.0
        self._at: dict[str, str] = {}  # how far it has come in each bucket
        self._keys = self._gaps = self._mended = 0

    async def run_for_ever(self) -> None:
        """Round after round; where the link breaks, or the view is being rebuilt, it goes on later."""
        while True:
            try:
                if self._every_seconds:
                    await self.look()
            except (S3Error, ViewDamaged, JournalError) as error:
                _log.info("the gap audit waits", error=str(error))
                await self._clock.sleep(TROUBLE_SECONDS)
                continue
            await self._rest()

    def replace(
        self, questions: Questions, policy: Policy, *, every_seconds: float, requests_per_minute: float
    ) -> None:
        """Go by other rules and times from now on. Who did not look at all begins at once."""
        self._questions, self._policy = questions, policy
        self._pace_seconds = 60 / requests_per_minute
        if not self._every_seconds:
            self._rests_since = float("-inf")
        self._every_seconds = every_seconds
        self._replaced.set()

    async def look(self) -> GapRound:
        """Look at everything once, or at the rest of it after a failure.

        Raises S3Error when the remote does not answer, ViewDamaged, JournalError.
        """
        async with self._looking:
            return await self._look()

    async def report(self) -> GapsReport:
        """Every gap that is known. Raises S3dError while the view is being rebuilt."""
        gaps, folded = await asyncio.get_running_loop().run_in_executor(self._executor, self._all)
        return GapsReport(gaps, self._last or folded)

    def close(self) -> None:
        """Let go of the thread."""
        self._executor.shutdown(wait=False)

    async def _rest(self) -> None:
        """Until the next round is due, by what is set by then."""
        self._rests_since = self._clock.monotonic()
        while True:
            self._replaced.clear()
            left = self._rests_since + self._every_seconds - self._clock.monotonic()
            if left <= 0 and self._every_seconds:
                return
            await sleep_unless(self._clock, left if self._every_seconds else float("inf"), self._replaced)

    def _all(self) -> tuple[tuple[GapReport, ...], GapRound | None]:
        """Every gap, and the last look of any run."""
        connection = self._connect()
        try:
            questions = Questions(connection)
            gaps = tuple(self._reported(gap) for gap in questions.gaps() if self._is_watched(questions, gap))
            look = latest_look(connection)
            known = None if look is None else GapRound(iso_time(look.at_ms / 1000), look.keys, look.gaps, look.mended)
            return gaps, known
        finally:
            connection.close()

    def _reported(self, gap: Gap) -> GapReport:
        return GapReport(
            bucket=gap.bucket,
            key=gap.key,
            seq=format_sequence(self._epoch, gap.sequence),
            kind=gap.kind,
            claimed_bytes=gap.claimed_size,
            claimed_etag=gap.claimed_etag,
            confirmed=iso_time(gap.confirmed_ms / 1000),
            bytes=gap.size,
            etag=gap.etag,
            seen=iso_time(gap.seen_ms / 1000),
        )

    async def _look(self) -> GapRound:
        self._began = self._began or self._clock.now()
        unreached = ""
        for bucket in self._questions.buckets():
            behind = self._at.get(bucket.name, "")
            if behind == _LAST:
                continue
            if not self._asking.upstream.reaches(bucket.name):
                unreached = unreached or bucket.name  # its remote is away, and perhaps only that one
                continue
            while behind != _LAST:
                last, found = await self._look_at_page(bucket.name, behind)
                self._gaps += len(found)
                for gap in found:
                    self._mended += await self._mend(gap)
                behind = self._at[bucket.name] = last if last is not None else _LAST
        if unreached:
            raise remote_unreachable(f"What the remote has of {unreached}")
        await self._tell()
        ended = self._last = GapRound(iso_time(self._clock.now()), self._keys, self._gaps, self._mended)
        self._begin()
        if ended.gaps:
            _log.warning("the remote does not have what it confirmed", gaps=ended.gaps, mended=ended.mended)
        return ended

    async def _tell(self) -> None:
        """The journal; not of a look at nothing. Where that fails, the next look has nothing else to do."""
        if self._keys:
            looked = GapsLooked(
                began_ms=milliseconds(self._began), keys=self._keys, gaps=self._gaps, mended=self._mended
            )
            await self._submit(RecordLook(looked))

    def _begin(self) -> None:
        self._began = 0.0
        self._at = {}
        self._keys = self._gaps = self._mended = 0

    async def _look_at_page(self, bucket: str, start: str) -> tuple[str | None, Sequence[Gap]]:
        """The gaps among the confirmed keys behind `start`, and where to go on."""
        claims = [Claim(*row) for row in self._questions.claims_after(bucket, start, PAGE)]
        last = claims[-1].key if len(claims) == PAGE else None
        watched = [claim for claim in claims if self._worth(self._questions, bucket, claim.key) != "ignore"]
        if not watched:
            return last, ()
        asked_ms = self._asking.now_ms()
        shown, end = await self._shown(bucket, start)
        if end is not None and (last is None or end < last):  # as far as the listing's page goes, and no further
            last = end
            watched = [claim for claim in watched if claim.key <= end]
        self._keys += len(watched)
        known = {gap.key for gap in self._questions.gaps_between(bucket, start, last)}
        for key in {claim.key for claim in suspects(watched, shown, asked_ms)} | known:
            await self._pace()
            await self._asking.object(bucket, key)  # which the view learns
        found = self._questions.gaps_between(bucket, start, last)
        return last, [gap for gap in found if self._is_watched(self._questions, gap)]

    async def _shown(self, bucket: str, start: str) -> tuple[dict[str, Shown], str | None]:
        """A page of the remote's listing, and its last key where there is more."""
        await self._pace()
        parameters: dict[str, Any] = {"Bucket": bucket, "MaxKeys": PAGE}
        if start:
            parameters["StartAfter"] = start
        output = await self._asking.page(parameters)
        contents = output.get("Contents") or ()
        shown = {one["Key"]: Shown(one["Size"], str(one["ETag"]).strip('"')) for one in contents}
        return shown, contents[-1]["Key"] if output.get("IsTruncated") and contents else None

    def _worth(self, questions: Questions, bucket: str, key: str) -> GapPolicy:
        row = questions.bucket(bucket)
        return self._policy(bucket, key, own=row is not None and row.sole)

    def _is_watched(self, questions: Questions, gap: Gap) -> bool:
        return self._worth(questions, gap.bucket, gap.key) != "ignore"

    async def _mend(self, gap: Gap) -> int:
        """Send it again where a rule says so and its bytes are here; how many were."""
        if gap.kind == "returned" or self._worth(self._questions, gap.bucket, gap.key) != "mend":
            return 0
        found = self._questions.object(gap.bucket, gap.key)
        if found is None or found.sequence != gap.sequence or not self._are_here(found.extents):
            return 0
        try:
            sha256 = await self._digest(found.extents)
        except S3Error as error:
            _log.error("a gap cannot be mended", bucket=gap.bucket, key=gap.key, error=error.message)
            return 0
        appended = await self._submit(SendAgain(gap.bucket, gap.key, gap.sequence, sha256, GAP_AUDIT))
        return int(appended.answer)

    async def _pace(self) -> None:
        await self._clock.sleep(self._pace_seconds)
