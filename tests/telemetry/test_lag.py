"""What held the loop, or the writer, is seen by whoever scrapes."""

import asyncio
import threading
import time

from prometheus_client.parser import text_string_to_metric_families

from journal import Entry, Journal, MemoryBackend
from s3d.telemetry.lag import measured_loop
from s3d.telemetry.metrics import Metrics


def shown(metrics):
    families = text_string_to_metric_families(metrics.render(None).decode())
    return {(s.name, s.labels.get("le")): s.value for family in families for s in family.samples}


def run(metrics, main):
    with asyncio.Runner(loop_factory=lambda: measured_loop(metrics.loop_lag)) as runner:
        runner.run(main())


def test_a_turn_that_blocks_the_loop_is_measured():
    """At its length or more, in the histogram and in the greatest; the turns around it are short ones."""

    async def main():
        for _ in range(20):
            await asyncio.sleep(0)
        time.sleep(0.12)
        await asyncio.sleep(0)

    metrics = Metrics()
    run(metrics, main)
    samples = shown(metrics)
    assert samples["s3d_loop_lag_max_seconds", None] >= 0.12
    total = samples["s3d_loop_lag_seconds_bucket", "+Inf"]
    assert total >= 21
    assert samples["s3d_loop_lag_seconds_bucket", "0.1"] < total
    assert samples["s3d_loop_lag_seconds_sum", None] >= 0.12


def test_what_holds_the_interpreter_while_the_loop_waits_is_measured():
    """The loop is idle, and another thread does not let go of the lock: a time-out fires late."""

    async def main():
        held = threading.Thread(target=lambda: sum(range(12_000_000)))  # one call into C: it never gives the lock away
        held.start()
        while held.is_alive():
            await asyncio.sleep(0.005)
        held.join()

    metrics = Metrics()
    run(metrics, main)
    assert shown(metrics)["s3d_loop_lag_max_seconds", None] > 0.01


def test_the_greatest_is_forgotten_after_a_while(monkeypatch):
    """Two windows, so that a scraper who comes once a minute sees every stall at least once."""
    now = [0.0]
    monkeypatch.setattr("s3d.telemetry.lag.time.monotonic", lambda: now[0])
    metrics = Metrics()
    metrics.writer_lag.observe(3.0)
    metrics.writer_lag.observe(0.1)
    seen = []
    for moment in (10.0, 61.0, 100.0, 122.0, 183.0):
        now[0] = moment
        seen.append(shown(metrics)["s3d_writer_lag_max_seconds", None])
    assert seen == [3.0, 3.0, 3.0, 3.0, 0.0]


async def test_the_writer_says_how_long_its_oldest_command_took():
    """From its hand-over to its answer: a batch that waits behind a slow one has waited as long as that."""

    class Slow(MemoryBackend):
        def append(self, records, bodies, positions):
            time.sleep(0.05)
            super().append(records, bodies, positions)

    class NoState:
        position = 0

        def begin(self): ...
        def fold(self, record):
            self.position = record.sequence

        def publish(self): ...
        def revert(self): ...

    waited = []
    journal = await Journal.open(Slow("edge"), NoState(), waited=waited.append)
    first = asyncio.ensure_future(journal.append([Entry("a", "k", b"")]))
    await asyncio.sleep(0.01)
    await asyncio.gather(first, journal.append([Entry("b", "k", b"")]))
    await journal.close()
    assert len(waited) == 2
    assert waited[0] >= 0.05
    assert waited[1] > 0.05  # its own 50 ms, and what was left of the first one's


def test_lag_that_was_never_measured_is_shown_as_none():
    """Zero turns, not a missing series."""
    assert shown(Metrics())["s3d_writer_lag_seconds_bucket", "+Inf"] == 0
