"""The circuit, pure, and the task that probes."""

import asyncio
from random import Random

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.link import (
    PROBE_SECONDS_MAX,
    Circuit,
    Link,
    LinkStatus,
    after_answer,
    after_failure,
    after_probe_failure,
)

from .doubles import FakeRemote, Fault, denied, failed, lost, refused


def test_only_the_first_of_many_failures_opens_the_circuit() -> None:
    """Thirty-two lanes fail at once when a link breaks; the probe is not put off by each of them."""
    opened = after_failure(Circuit(LinkStatus.UP), "refused", now=10.0, jitter=1.0)
    assert opened == Circuit(LinkStatus.DOWN, "refused", 1, 10.5)
    assert after_failure(opened, "refused too", now=10.1, jitter=1.0) is opened


def test_probes_come_further_apart_up_to_a_limit() -> None:
    """Twice the pause each time."""
    circuit = Circuit()
    pauses = []
    for _ in range(10):
        circuit = after_probe_failure(circuit, "refused", 0.0, 1.0)
        pauses.append(circuit.probe_at)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == PROBE_SECONDS_MAX


def test_an_answer_closes_the_circuit_and_forgets_the_failures() -> None:
    """The next outage begins with short pauses again."""
    assert after_answer(Circuit(LinkStatus.DOWN, "refused", 9, 99.0)) == Circuit(LinkStatus.UP)
    assert after_failure(Circuit(LinkStatus.UP), "again", 0.0, 1.0).failures == 1


async def test_a_link_is_found_up_and_its_buckets_are_handed_on(remote: FakeRemote) -> None:
    """The first probe goes out at once, and what it was told is a fact."""
    remote.buckets["b"] = {}
    seen: list[object] = []
    link = Link(remote, remote.clock, Random(1), buckets_seen=lambda output, _asked: seen.append(output))
    assert link.is_up, "not tried is not down"
    link.start()
    await link.wait_until_up()
    await link.stop()
    assert seen == [{"Buckets": [{"Name": "b"}]}]


async def test_any_answer_means_up_and_silence_means_down(remote: FakeRemote) -> None:
    """A 403 is an answer, a 503 too; a timeout is none, nor are credentials that nobody has."""
    for failure in (denied, lambda: failed(FailureKind.THROTTLED, "SlowDown", 503)):
        remote.faults = [Fault(failure, "ListBuckets", times=1)]
        link = Link(remote, remote.clock, Random(1))
        link.start()
        await link.wait_until_up()
        await link.stop()
    for silence in (lost, lambda: RemoteFailure(FailureKind.TRANSIENT, code="NoCredentialsError")):
        remote.faults = [Fault(silence, "ListBuckets", times=3)]
        link = Link(remote, remote.clock, Random(1))
        statuses: list[LinkStatus] = []
        link.observe(statuses.append)
        link.start()
        await link.wait_until_up()
        await link.stop()
        assert statuses == [LinkStatus.DOWN, LinkStatus.UP]


async def test_a_reported_failure_opens_and_a_probe_closes(remote: FakeRemote) -> None:
    """Readers and lanes report; whoever waits goes on when the remote answers again."""
    link = Link(remote, remote.clock, Random(1))
    link.start()
    await link.wait_until_up()
    link.report_failure(lost())
    assert link.is_up, "a timeout alone proves nothing"
    link.report_failure(refused())
    assert not link.is_up
    waiting = asyncio.create_task(link.wait_until_up())
    await waiting
    assert link.is_up
    await link.stop()
