"""Requests that were refused: a few of them as lines in a file of bounded size, all of them as numbers in the journal.

Whoever is not let in must neither buy a sync nor fill the disk (so nothing here is done for each of them but counting),
and must still be seen by an auditor. Lines are written beside the loop, at most so many a second, never synced, into
two files that take turns. What they are summed to becomes one record for each quarter of an hour.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from journal import JournalError
from s3d.clock import Clock, milliseconds
from s3d.commands.checkpointing import RecordRefusals
from s3d.events import RequestsRefused
from s3d.telemetry.report import iso_time

LINES_PER_SECOND, LINES_AT_ONCE = 10.0, 100.0
WRITE_SECONDS, SUM_SECONDS = 1.0, 900.0
SOURCES_COUNTED, SOURCES_TOLD = 1000, 10
OTHERS = "others"
TEXT_MAX = 256
NAME, NAME_BEFORE = "refused.jsonl", "refused.before.jsonl"
_CREDENTIAL = re.compile(r"(?:[ ,]|^)Credential=([^/,\s]{1,128})/").search
_CREDENTIAL_IN_QUERY = re.compile(r"(?:^|&)X-Amz-Credential=([^&%/]{1,128})(?:%2F|/)", re.IGNORECASE).search
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("s3d.notary")


class Refusal(msgspec.Struct, frozen=True):
    """One line. `claims` is the access key that it came with, whether or not there is such a key; `path` is without the
    query, which may hold a signature.
    """

    at: str
    code: str
    source: str
    method: str
    path: str
    claims: str
    request: str


class Refusals:
    """`note` each of them; `run_for_ever` writes and sums. `file_bytes_max` of 0: no lines are written."""

    def __init__(
        self, directory: str, submit: Callable[[Any], Awaitable[Any]], clock: Clock, *, file_bytes_max: int
    ) -> None:
        self._path, self._path_before = f"{directory}/{NAME}", f"{directory}/{NAME_BEFORE}"
        self._submit = submit
        self._clock = clock
        self._file_bytes_max = file_bytes_max
        self._lines: list[Refusal] = []
        self._allowance, self._allowed_at = LINES_AT_ONCE, clock.monotonic()
        self._summed_at = clock.monotonic()
        self._fails = False
        self._first_ms = self._last_ms = 0
        self._codes: dict[str, int] = {}
        self._sources: dict[str, int] = {}
        self._unwritten = 0

    def note(self, code: str, source: str, method: str, target: str, authorization: str, request: str) -> None:
        """Somebody was not let in. On the loop; it waits for nothing."""
        now = self._clock.now()
        self._first_ms = self._first_ms or milliseconds(now)
        self._last_ms = milliseconds(now)
        self._codes[code] = self._codes.get(code, 0) + 1
        known = source in self._sources or len(self._sources) < SOURCES_COUNTED
        counted_as = source if known else OTHERS
        self._sources[counted_as] = self._sources.get(counted_as, 0) + 1
        if not self._may_write():
            self._unwritten += 1
            return
        path, _, query = target.partition("?")
        claims = claimed_key(authorization, query)
        self._lines.append(Refusal(iso_time(now), code, source, method, path[:TEXT_MAX], claims, request))

    async def run_for_ever(self) -> None:
        """Write lines every second in which there are any, and sum them up every quarter of an hour."""
        while True:
            await self._clock.sleep(WRITE_SECONDS)
            await self.write()
            if self._clock.monotonic() - self._summed_at >= SUM_SECONDS:
                await self.sum_up()

    async def finish(self) -> None:
        """Write and sum up what there is."""
        await self.write()
        await self.sum_up()

    async def write(self) -> None:
        """Put the lines that there are into the file."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            await asyncio.to_thread(self._append, b"".join(_encode(one) + b"\n" for one in lines))
            self._fails = False
        except OSError as error:
            self._unwritten += len(lines)
            if not self._fails:
                _log.warning("refused requests are counted, but cannot be written", file=self._path, error=str(error))
            self._fails = True

    async def sum_up(self) -> None:
        """Make a record of what was counted, if anything was. A journal that has no room gets it later."""
        self._summed_at = self._clock.monotonic()
        if not self._codes:
            return
        sources = sorted(self._sources.items(), key=lambda one: -one[1])
        told = dict(sources[:SOURCES_TOLD])
        if rest := sum(count for _, count in sources[SOURCES_TOLD:]):
            told[OTHERS] = told.get(OTHERS, 0) + rest
        summed = RequestsRefused(
            since_ms=self._first_ms,
            until_ms=self._last_ms,
            codes=self._codes,
            sources=told,
            unwritten=self._unwritten,
        )
        counted = self._first_ms, self._last_ms, self._codes, self._sources, self._unwritten
        self._begin_again()
        try:
            await self._submit(RecordRefusals(summed))
        except JournalError as error:
            self._take_back(*counted)
            _log.info("refused requests could not be summed up yet", error=error.message)

    def _begin_again(self) -> None:
        self._first_ms = self._last_ms = self._unwritten = 0
        self._codes, self._sources = {}, {}

    def _take_back(
        self, first_ms: int, last_ms: int, codes: Mapping[str, int], sources: Mapping[str, int], unwritten: int
    ) -> None:
        self._first_ms, self._last_ms = first_ms, max(last_ms, self._last_ms)
        for counts, more in ((self._codes, codes), (self._sources, sources)):
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count
        self._unwritten += unwritten

    def _may_write(self) -> bool:
        now = self._clock.monotonic()
        self._allowance = min(LINES_AT_ONCE, self._allowance + (now - self._allowed_at) * LINES_PER_SECOND)
        self._allowed_at = now
        if not self._file_bytes_max or self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _append(self, content: bytes) -> None:
        """On a thread. Two files are kept, so that something is there right after they have changed places."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(content)
            size = file.tell()
        if size >= self._file_bytes_max:
            os.replace(self._path, self._path_before)


def claimed_key(authorization: str, query: str) -> str:
    """The access key that a request names, in its header or its query; empty: none."""
    found = _CREDENTIAL(authorization[:1024]) or _CREDENTIAL_IN_QUERY(query[:2048])
    return found[1] if found is not None else ""
