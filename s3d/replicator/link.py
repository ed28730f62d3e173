"""Whether the remote can be reached: a circuit that opens on failed connections and is closed by a probe.

While it is open nobody burns attempts or waits for connection timeouts: lanes wait for the link, readers answer from
what is here. Any answer at all, a 403 included, means that the link is up.
"""

import asyncio
import enum
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from s3d.clock import Clock
from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import Remote
from s3d.replicator.decide import backoff_seconds

PROBE_SECONDS_FIRST = 0.5
PROBE_SECONDS_MAX = 30.0
_log = logging.getLogger(__name__)


class LinkStatus(enum.Enum):
    """What is known of the link."""

    UNKNOWN = "unknown"  # not tried yet
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of the link; `probe_at` is in monotonic seconds and counts while the link is not up."""

    status: LinkStatus = LinkStatus.UNKNOWN
    reason: str = ""
    failures: int = 0
    probe_at: float = 0.0


def after_answer(circuit: Circuit) -> Circuit:
    """The remote answered something."""
    return circuit if circuit.status is LinkStatus.UP else Circuit(LinkStatus.UP)


def after_failure(circuit: Circuit, reason: str, now: float, jitter: float) -> Circuit:
    """A connection failed. Many lanes fail at once when a link breaks: only the first one opens the circuit."""
    if circuit.status is LinkStatus.DOWN:
        return circuit
    return after_probe_failure(replace(circuit, failures=0), reason, now, jitter)


def after_probe_failure(
    circuit: Circuit, reason: str, now: float, jitter: float, seconds_max: float = PROBE_SECONDS_MAX
) -> Circuit:
    """A probe got no answer: the next one comes later."""
    failures = circuit.failures + 1
    pause = backoff_seconds(failures, jitter, PROBE_SECONDS_FIRST, seconds_max)
    return Circuit(LinkStatus.DOWN, reason, failures, now + pause)


class Link:
    """The circuit of one remote, and the task that probes it.

    `buckets_seen` gets the output of every ListBuckets that a probe was answered with, and when that was asked (seconds
    since 1970): it is a fact worth keeping. `name` is the remote's, for the log, where there are several.
    """

    def __init__(
        self,
        remote: Remote,
        clock: Clock,
        random: Random,
        *,
        buckets_seen: Callable[[Mapping[str, Any], float], None] | None = None,
        name: str = "",
    ) -> None:
        self._words = f"the remote {name}" if name else "the remote"
        self._remote = remote
        self._clock = clock
        self._random = random
        self._buckets_seen = buckets_seen
        self._circuit = Circuit()
        self._up = asyncio.Event()
        self._not_up = asyncio.Event()
        self._not_up.set()
        self._observers: list[Callable[[LinkStatus], None]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def circuit(self) -> Circuit:
        """The state, for people and metrics."""
        return self._circuit

    @property
    def is_up(self) -> bool:
        """False only when the link is known to be down."""
        return self._circuit.status is not LinkStatus.DOWN

    def observe(self, observer: Callable[[LinkStatus], None]) -> None:
        """Be told of every change of status."""
        self._observers.append(observer)

    def report_success(self) -> None:
        """The remote answered."""
        self._become(after_answer(self._circuit))

    def report_failure(self, failure: RemoteFailure) -> None:
        """An attempt failed; the failure says itself whether that was the link."""
        if failure.link_down:
            now, jitter = self._clock.monotonic(), self._random.random()
            self._become(after_failure(self._circuit, failure.message, now, jitter))
        elif failure.status:
            self.report_success()

    async def wait_until_up(self) -> None:
        """Return when the remote is known to answer."""
        await self._up.wait()

    def start(self) -> None:
        """Probe until the link is up, now and whenever it goes down."""
        self._task = asyncio.create_task(self._probe_for_ever(), name="link-probe")

    async def stop(self) -> None:
        """Probe no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _probe_for_ever(self) -> None:
        while True:
            await self._not_up.wait()
            pause = self._circuit.probe_at - self._clock.monotonic()
            if pause > 0:
                await self._clock.sleep(pause)
            if self._circuit.status is not LinkStatus.UP:
                await self._probe()

    async def _probe(self) -> None:
        asked = self._clock.now()
        try:
            output = await self._remote.call("ListBuckets", {})
        except RemoteFailure as failure:
            if not failure.status:  # silence is no answer, and neither is what kept us from asking: no credentials, say
                now, jitter = self._clock.monotonic(), self._random.random()
                self._become(after_probe_failure(self._circuit, failure.message, now, jitter))
            else:
                _log.warning("%s answers, but refuses ListBuckets: %s %s", self._words, failure.code, failure.message)
                self.report_success()
            return
        self.report_success()
        if self._buckets_seen is not None:
            self._buckets_seen(output, asked)

    def _become(self, circuit: Circuit) -> None:
        before, self._circuit = self._circuit, circuit
        if before.status is circuit.status:
            return
        if circuit.status is LinkStatus.UP:
            self._up.set()
            self._not_up.clear()
            _log.info("%s answers", self._words)
        else:
            self._up.clear()
            self._not_up.set()
            _log.warning("%s cannot be reached: %s", self._words, circuit.reason)
        for observer in self._observers:
            observer(circuit.status)
