"""What `s3d status` says of the sender process, and what it keeps to itself where there is none."""

from s3d.cli.status import _sender
from s3d.telemetry.report import LinkReport, PendingSummary, SenderReport, Status


def status(remote: LinkReport | None) -> Status:
    """A daemon with this remote."""
    return Status(
        version="9.9",
        instance="i",
        epoch=1,
        started_at="2026-11-20T00:00:00.000Z",
        data_dir="/data",
        listen="http://localhost:33333",
        authenticated=False,
        head="1-0",
        remote=remote,
        pending=PendingSummary(0, 0, 0.0, 0),
        cache_bytes=0,
        cache_capacity_bytes=0,
        ready=True,
    )


def test_the_process_is_shown():
    """Its id, so that a person can look at it."""
    shown = _sender(status(LinkReport("https://s3.example", "up", sender=SenderReport(4711, 0))))
    assert shown == [("sender", "process 4711", "")]


def test_restarts_are_counted_where_there_were_any():
    """In yellow: nothing is lost, but somebody should know."""
    shown = _sender(status(LinkReport("https://s3.example", "up", sender=SenderReport(0, 3))))
    assert shown == [("sender", "being started, restarted 3 times", "yellow")]


def test_where_the_daemon_sends_itself_there_is_nothing_to_show():
    """Nor without a remote."""
    assert _sender(status(LinkReport("https://s3.example", "up"))) == []
    assert _sender(status(None)) == []
