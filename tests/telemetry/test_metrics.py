"""What Prometheus sees is what is declared, and what the page says."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from journal import Entry, Head, MemoryBackend
from journal.record import link
from s3d.telemetry.caching import CacheCounts
from s3d.telemetry.catalogue import METRICS
from s3d.telemetry.document import table
from s3d.telemetry.drops import DropReport
from s3d.telemetry.metrics import Metrics, Moment
from s3d.telemetry.report import FlowReport, LinkReport, RemoteStanding
from s3d.telemetry.timed import timed

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
FLOW = FlowReport(requests=32, requests_max=32, under_way=0, records_per_second=5.6)
MOMENT = Moment(
    pending=3,
    pending_bytes=9,
    pending_oldest_seconds=1.5,
    parked=1,
    link_up=True,
    head=7,
    cache_bytes=5,
    remote_requests_allowed=32,
    pending_bytes_max=100,
    room_bytes=91,
    full_seconds=5.0,
    drained_seconds=6.0,
    silence_seconds=7.0,
    local_bytes=8,
    local_bytes_max=9,
    remotes=(
        RemoteStanding(
            name="default", link=LinkReport("", "up", flow=FLOW), count=0, bytes=0, oldest_seconds=0.0, parked=0
        ),
        RemoteStanding(name="city", link=LinkReport("", "unknown"), count=3, bytes=9, oldest_seconds=1.5, parked=1),
    ),
)

DROP = DropReport(
    name="camera",
    directory="/srv/camera",
    bucket="camera",
    prefix="",
    after="keep",
    waiting=4,
    oldest_seconds=1.5,
    taken=9,
    taken_bytes=81,
    failed=2,
)


class Pins:
    pinned_bytes, max_bytes = 700, 500


def samples(metrics, moment=MOMENT):
    text = metrics.render(moment).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def busy():
    metrics = Metrics()
    metrics.request("PutObject", 200, 0.004)
    metrics.request("PutObject", 200, 0.2)
    metrics.request("GetObject", 404, 0.001)
    metrics.body_in(10)
    metrics.body_out(20)
    metrics.commit(0.002, 16)
    metrics.fsync(0.01)
    metrics.read("local")
    metrics.remote_request("PutObject", "ok", 0.1)
    metrics.replicated(2, 30)
    metrics.watch_drops(lambda: (DROP,))
    metrics.watch_cache(CacheCounts(hits=3, misses=1, mismatches=2), Pins())
    return metrics


def test_exactly_the_declared_metrics_are_shown(busy):
    """Under their names, with their kinds; besides them only the process's own."""
    shown = {}
    for family in text_string_to_metric_families(busy.render(MOMENT).decode()):
        shown[f"{family.name}_total" if family.type == "counter" else family.name] = family.type
    ours = {name: kind for name, kind in shown.items() if not name.startswith("process_")}
    assert ours == {metric.name: metric.kind for metric in METRICS}


def test_where_there_is_one_remote_nothing_is_said_of_each(busy):
    """Its own gauges have no label."""
    alone = msgspec.structs.replace(MOMENT, remotes=())
    assert not [name for name, _ in samples(busy, alone) if name.startswith("s3d_remote_link")]
    assert samples(busy)["s3d_remote_pending_records", (("remote", "city"),)] == 3
    assert ("s3d_remote_link_up", (("remote", "city"),)) not in samples(busy), "not tried is neither"


def test_names_carry_their_units():
    """Prometheus' convention: base units, last; counters end in _total."""
    for metric in METRICS:
        assert metric.name.startswith("s3d_")
        if metric.unit in {"seconds", "bytes"}:
            assert metric.name.removesuffix("_total").endswith(metric.unit)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")


def test_counting_adds_up(busy):
    """By operation and status."""
    found = samples(busy)
    assert found["s3d_requests_total", (("operation", "PutObject"), ("status", "200"))] == 2
    assert found["s3d_requests_total", (("operation", "GetObject"), ("status", "404"))] == 1
    assert found["s3d_request_seconds_count", (("operation", "PutObject"),)] == 2
    assert found["s3d_request_seconds_bucket", (("le", "0.005"), ("operation", "PutObject"))] == 1
    assert found["s3d_body_bytes_total", (("direction", "in"),)] == 10
    assert found["s3d_body_bytes_total", (("direction", "out"),)] == 20
    assert found["s3d_journal_commit_records_sum", ()] == 16
    assert found["s3d_replicated_bytes_total", ()] == 30
    assert found["s3d_cache_reads_total", (("result", "hit"),)] == 3
    assert found["s3d_cache_mismatches_total", ()] == 2
    assert (found["s3d_cache_pinned_bytes", ()], found["s3d_cache_pinned_max_bytes", ()]) == (700, 500)


def test_gauges_show_the_moment_of_the_scrape(busy):
    """Not the one before."""
    assert samples(busy)["s3d_pending_records", ()] == 3
    later = samples(busy, Moment(
        pending=0, pending_bytes=0, pending_oldest_seconds=0.0, parked=0, link_up=False, head=8, cache_bytes=0
    ))  # fmt: skip
    assert later["s3d_pending_records", ()] == 0
    assert later["s3d_link_up", ()] == 0


def test_what_is_not_known_is_absent(busy):
    """A link that was never tried is neither up nor down, and zero pending records would be a lie."""
    unknown = Moment(
        pending=0, pending_bytes=0, pending_oldest_seconds=0.0, parked=0, link_up=None, head=0, cache_bytes=0
    )
    assert ("s3d_link_up", ()) not in samples(busy, unknown)
    assert ("s3d_pending_records", ()) not in samples(busy, None)


def test_two_daemons_in_a_process_do_not_share_counters(busy):
    """Each has its own registry."""
    assert ("s3d_requests_total", (("operation", "PutObject"), ("status", "200"))) not in samples(Metrics())


def test_the_page_has_the_table_that_the_code_makes():
    """Print it with `python -m s3d.telemetry.document` after a change."""
    assert table() in PAGE


def test_a_timed_backend_reports_each_commit_and_passes_the_rest_on():
    """With the seconds of the clock that it was given, and the records of the batch."""
    seen, ticks = [], iter([10.0, 10.25])
    backend = timed(
        MemoryBackend("edge"), lambda: next(ticks), lambda seconds, records: seen.append((seconds, records))
    )
    head = backend.open()
    record = link(head.hash, 1, 0, Entry("s", "k", b"{}"))
    backend.append([record], {}, {"f": 1})
    assert seen == [(0.25, 1)]
    assert backend.read(0, 10) == [record]
    assert backend.positions() == {"f": 1}
    assert backend.open() == Head(1, record.hash)


def test_a_commit_that_failed_is_not_measured():
    """Its duration says nothing about the disk."""

    class Broken(MemoryBackend):
        def append(self, records, bodies, positions):
            raise OSError("no")

    seen = []
    with pytest.raises(OSError, match="no"):
        timed(Broken(), lambda: 0.0, lambda *measured: seen.append(measured)).append([], {}, {})
    assert seen == []


def test_drop_folders_are_told_apart_by_name(busy):
    """What each has taken, what waits there, and what cannot be taken."""
    shown, folder = samples(busy), (("folder", "camera"),)
    names = ("taken_total", "taken_bytes_total", "waiting_files", "oldest_seconds", "failed_files")
    assert [shown[f"s3d_drop_{name}", folder] for name in names] == [9, 81, 4, 1.5, 2]
    assert not any("drop" in name for name, _ in samples(Metrics()))
