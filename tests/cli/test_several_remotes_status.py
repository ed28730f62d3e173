"""What commands say where there are several remotes."""

from s3d.cli.links import several
from s3d.cli.status import _safe_to_power_off
from s3d.telemetry.flow import FlowReport
from s3d.telemetry.obstacles import obstacles_of
from s3d.telemetry.report import LinkReport, PendingSummary, RemoteStanding, SenderReport, Status

FLOW = FlowReport(requests=32, requests_max=32, under_way=0, records_per_second=5.6)
UP = RemoteStanding(
    name="default",
    link=LinkReport("https://store.example", "up", sender=SenderReport(7, 0), flow=FLOW),
    count=0,
    bytes=0,
    oldest_seconds=0.0,
    parked=0,
)
DOWN = RemoteStanding(
    name="city",
    link=LinkReport("https://city.example", "down", error="refused"),
    count=3,
    bytes=2048,
    oldest_seconds=65.0,
    parked=1,
)


def test_each_remote_has_its_link_and_what_waits_for_it():
    """In the colour of how it stands."""
    assert several((UP, DOWN)) == [
        ("remote", "default: https://store.example, link up", "green"),
        ("", "nothing pending, 5.6 records/s in the last minute", "green"),
        ("", "sender process 7", ""),
        ("remote", "city: https://city.example, link down: refused", "red"),
        ("", "3 records pending, 2.0 KiB, oldest 1 min 5 s; 1 parked", "red"),
    ]


def test_who_wants_to_power_off_is_told_which_link_is_in_the_way():
    """And not of those that have everything."""
    pending = PendingSummary(3, 2048, 65.0, 0)
    found = Status(
        version="9.9",
        instance="i",
        epoch=1,
        started_at="",
        data_dir="/data",
        listen="http://localhost:33333",
        authenticated=False,
        head="1-9",
        remote=UP.link,
        pending=pending,
        cache_bytes=0,
        cache_capacity_bytes=0,
        ready=True,
        remotes=(UP, DOWN),
        obstacles=obstacles_of(UP.link, pending, 0, (UP, DOWN)),
    )
    assert "disk only; city: the link is down: refused." in _safe_to_power_off(found)[1]
