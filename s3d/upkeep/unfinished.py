"""Abort what clients have begun in parts and never completed, where a rule says after how long.

Each is a record, so that it is aborted at the remote as well, in its order, and an auditor sees who did it. Ages are
believed by a verified clock only (decision 20), and a thousand uploads an hour are given up at most: a clock that is
wrong does little harm until somebody notices. The first look is an hour after the start, because clients of a machine
that was switched off for long go on where they were.
"""

import asyncio
from collections.abc import Callable

import structlog

from journal import CommitAmbiguous, Journal, JournalClosed, JournalError
from s3d.clock import Clock, milliseconds
from s3d.commands.expiring import ExpireUpload
from s3d.policy.rules import Rules
from s3d.upkeep.decide import clock_is_verified
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Connection, Questions
from s3d.view.unfinished import OpenUpload

LOOK_SECONDS = 3600.0
ABORTED_MAX = 1000
PAGE = 1000
DAY_MS = 86_400_000
_log = structlog.get_logger("s3d")


class UploadExpiry:
    """`connect` opens the view for a thread of its own."""

    def __init__(self, journal: Journal, connect: Callable[[], Connection], clock: Clock, rules: Rules) -> None:
        self._journal = journal
        self._connect = connect
        self._clock = clock
        self._rules = rules
        self._began = (clock.now(), clock.monotonic())

    def replace_rules(self, rules: Rules) -> None:
        """From the next look on."""
        self._rules = rules

    async def run_for_ever(self) -> None:
        """A look an hour, until it is cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (JournalClosed, CommitAmbiguous):
                continue  # the daemon is ending
            except (JournalError, ViewDamaged) as error:
                _log.warning("unfinished uploads could not be aborted; trying again later", error=str(error))

    async def look(self) -> int:
        """Abort what is due; how many uploads that were. Raises JournalError or ViewDamaged."""
        rules, now_ms = self._rules, milliseconds(self._clock.now())
        if not (rules.speak_of_unfinished_uploads and self._journal.state_is_current and self._clock_is_good()):
            return 0
        aborted = 0
        for one in await asyncio.to_thread(self._due, rules, now_ms):
            aborted += await self._abort(one)
        return aborted

    async def _abort(self, one: OpenUpload) -> int:
        command = ExpireUpload(one.bucket, one.key, one.upload, one.latest_ms)
        appended = await self._journal.submit(command, essential=True)
        if not appended.answer:
            return 0
        _log.info("aborted an upload that nobody completed", bucket=one.bucket, key=one.key, upload=one.upload)
        return 1

    def _due(self, rules: Rules, now_ms: int) -> list[OpenUpload]:
        connection = self._connect()
        try:
            questions, found, after = Questions(connection), list[OpenUpload](), ""
            while page := questions.uploads_begun_before(now_ms, after, PAGE):
                found += [one for one in page if is_due(one, rules, now_ms)]
                after = page[-1].upload
            return sorted(found, key=lambda one: one.latest_ms)[:ABORTED_MAX]
        finally:
            connection.close()

    def _clock_is_good(self) -> bool:
        now, steady = self._clock.now(), self._clock.monotonic()
        return clock_is_verified(
            milliseconds(now),
            max(file.last_written_at_ms for file in self._journal.files()),
            milliseconds(now - self._began[0]),
            milliseconds(steady - self._began[1]),
        )


def is_due(upload: OpenUpload, rules: Rules, now_ms: int) -> bool:
    """Whether nothing has come to it for as long as the rules wait. Pure."""
    days = rules.abort_uploads_after_days(upload.bucket, upload.key)
    return days is not None and now_ms - upload.latest_ms >= days * DAY_MS
