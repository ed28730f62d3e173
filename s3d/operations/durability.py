"""What an acknowledgement guarantees: that the journal has it, or, for who asks for that, that the remote has it.

Every mutation is journaled first, whatever was asked. `replicated` delays the answer until the record is confirmed;
when it is not in time, or cannot be, the answer says that the write is kept all the same. Nothing here is state: what
has become of a record is asked of the view, so a wake-up that comes too often or too late changes nothing.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import cast

import msgspec

from s3d.clock import Clock
from s3d.errors import S3Error
from s3d.events import GIVE_WAY
from s3d.operations.calls import Asked, Call, Durability, Reply
from s3d.policy.rules import DURABILITY_SECONDS_MAX, Rules
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Questions
from s3d.view.rows import PendingRow

HEADER, TIMEOUT_HEADER = "x-s3d-durability", "x-s3d-durability-timeout"
TIMEOUT_SECONDS = 30.0
RECHECK_SECONDS = 1.0  # what stands in the way, or who has gone, is noticed without being told
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?\Z", re.ASCII)
_READS = ("Get", "Head", "List")  # how S3 names its operations


class Promise(msgspec.Struct, frozen=True):
    """An answer that waits for the remote, at most so long."""

    timeout_seconds: float


def read_headers(durability: str | None, timeout: str | None) -> Asked | None:
    """What the headers ask for; None: nothing. Raises InvalidArgument."""
    if durability is None and timeout is None:
        return None
    if durability not in {None, "journaled", "replicated"}:
        raise _invalid(HEADER, str(durability), f"{HEADER} is journaled or replicated")
    level = cast("Durability | None", durability)
    seconds = None
    if timeout is not None:
        seconds = float(timeout) if _SECONDS.match(timeout) else 0.0
        if not 0 < seconds <= DURABILITY_SECONDS_MAX:
            most = f"{DURABILITY_SECONDS_MAX:g}"
            raise _invalid(TIMEOUT_HEADER, timeout, f"{TIMEOUT_HEADER} is a number of seconds up to {most}")
    return Asked(level, seconds)


class Contract:
    """Decides what a request is promised, and keeps the promise. Bound to one event loop.

    `rules` is None when no rule says anything of durability. `settled` is to be told of records whose outcome is
    durable: it costs one look-up each while somebody waits, and nothing otherwise. `local` are the buckets that stay
    here.
    """

    def __init__(
        self,
        questions: Questions,
        rules: Rules | None,
        clock: Clock,
        epoch: int,
        *,
        has_remote: bool,
        local: frozenset[str] = frozenset(),
    ) -> None:
        self._questions = questions
        self._rules = rules
        self._clock = clock
        self._epoch = epoch
        self._has_remote = has_remote
        self._local = local
        self._waiting: dict[int, asyncio.Event] = {}
        self._waiters: dict[int, int] = {}
        self._closing = False

    def replace_rules(self, rules: Rules | None) -> None:
        """What is promised from now on; who waits already was promised what it was."""
        self._rules = rules

    def promised(self, call: Call) -> Promise | None:
        """What the answer to this call has to wait for; None: for the journal only. To be asked before anything is
        kept. Raises InvalidRequest where it can never be.
        """
        asked = call.asked
        if asked is None and self._rules is None:
            return None
        if call.operation.startswith(_READS):
            return None
        level = asked.durability if asked is not None else None
        if level is None and self._rules is not None:
            level = self._rules.durability(call.bucket, call.key)
        if level != "replicated":
            return None
        if not self._has_remote:
            raise S3Error("InvalidRequest", "No remote is configured here: nothing can be replicated.")
        if call.bucket in self._local:
            raise S3Error("InvalidRequest", f"The bucket {call.bucket} stays local: nothing of it is ever replicated.")
        seconds = asked.timeout_seconds if asked is not None else None
        if seconds is None and self._rules is not None:
            seconds = self._rules.durability_timeout_seconds(call.bucket, call.key)
        return Promise(TIMEOUT_SECONDS if seconds is None else seconds)

    async def keep(self, promise: Promise, call: Call, reply: Reply) -> Reply:
        """The reply, once the remote has confirmed its records.

        Raises NotReplicatedYet, ReplicationParked, or ConnectionResetError when the client has gone: the records are
        in the journal all the same, and go out.
        """
        if not reply.sequence or not reply.durability:
            return reply
        if call.presence is not None:
            call.presence.let_go()
        deadline = self._clock.monotonic() + promise.timeout_seconds
        first, last = reply.first or reply.sequence, reply.sequence
        while (left := self._unconfirmed(first, last)) is not None:
            self._refuse_parked(left, last)
            if call.presence is not None and call.presence.has_gone:
                raise ConnectionResetError("the client has gone")
            seconds = deadline - self._clock.monotonic()
            if seconds <= 0 or self._closing:
                raise self._not_yet(last, promise.timeout_seconds)
            await self._change(left.sequence, min(seconds, RECHECK_SECONDS))
        self._refuse_given_way(first, last)
        return msgspec.structs.replace(reply, durability="replicated")

    def settled(self, sequences: Iterable[int]) -> None:
        """These records have an outcome, durably."""
        if not self._waiting:
            return
        for sequence in sequences:
            event = self._waiting.get(sequence)
            if event is not None:
                event.set()

    def close(self) -> None:
        """Have everybody who waits answered now."""
        self._closing = True
        for event in self._waiting.values():
            event.set()

    @property
    def waiting(self) -> int:
        """How many records somebody waits for."""
        return len(self._waiting)

    async def _change(self, sequence: int, seconds: float) -> None:
        """Return when this record is settled, or after so long."""
        event = self._waiting.setdefault(sequence, asyncio.Event())
        self._waiters[sequence] = self._waiters.get(sequence, 0) + 1
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters[sequence] -= 1
            if not self._waiters[sequence]:
                del self._waiters[sequence], self._waiting[sequence]
            elif event.is_set():
                event.clear()

    def _unconfirmed(self, first: int, last: int) -> PendingRow | None:
        """The first of these records that the remote does not have; None: it has them all.

        A view that is being rebuilt does not know: then it is the last one, about which nothing is said.
        """
        try:
            rows = self._questions.pending_after(first - 1, 1)
            is_known = self._questions.position >= last
        except ViewDamaged:
            rows, is_known = [], False
        if not is_known:
            return PendingRow(last, "", "", "", 0, 0, 0, "", "")
        return rows[0] if rows and rows[0].sequence <= last else None

    def _refuse_parked(self, row: PendingRow, last: int) -> None:
        """Raise when a person has to act first: on this record, or on one before it that it cannot get past."""
        blocking = self._blocking(row)
        if blocking is None:
            return
        raise S3Error(
            "ReplicationParked",
            f"The write is kept here, but the remote has refused record {self._epoch}-{blocking.sequence}: "
            f"{blocking.code} {blocking.message}".rstrip()
            + " It waits for a person (s3d parked).",
            headers=self._headers(last),
        )

    def _refuse_given_way(self, first: int, last: int) -> None:
        """Raise when one of them is settled because somebody else's write stands in its place."""
        for row in self._questions.conflicts_of(first, last):
            if (decided := row.details.decided) in GIVE_WAY:
                went = f" It went out as {row.details.sibling}." if row.details.sibling else ""
                raise S3Error(
                    "ReplicationConflict",
                    f"The write is kept here, but somebody else has written {row.key} at the remote, and it gave way "
                    f"(conflict = {decided}).{went}",
                    headers=self._headers(last),
                )

    def _blocking(self, row: PendingRow) -> PendingRow | None:
        """A parked record: this one, the one that is sent in its place, or one before that."""
        try:
            while row.superseded_by and (later := self._questions.pending(row.superseded_by)) is not None:
                row = later
            if row.parked:
                return row
            return self._questions.parked_before(row.bucket, row.key, row.sequence) if row.bucket else None
        except ViewDamaged:
            return None

    def _not_yet(self, last: int, seconds: float) -> S3Error:
        why = "the daemon is stopping" if self._closing else f"the remote has not confirmed it within {seconds:g} s"
        return S3Error(
            "NotReplicatedYet",
            f"The write is kept here and will be sent; {why}. Repeating it is harmless.",
            headers=self._headers(last),
        )

    def _headers(self, sequence: int) -> dict[str, str]:
        return {"x-s3d-seq": f"{self._epoch}-{sequence}", HEADER: "journaled"}


def _invalid(header: str, value: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, details={"ArgumentName": header, "ArgumentValue": value[:100]})
