"""What `s3d status` says of the sender process, and what it keeps to itself where there is none."""

from s3d.cli.links import one_remote
from s3d.telemetry.report import LinkReport, SenderReport


def test_the_process_is_shown():
    """Its id, so that a person can look at it."""
    shown = one_remote(LinkReport("https://s3.example", "up", sender=SenderReport(4711, 0)))
    assert shown[1:] == [("sender", "process 4711", "")]


def test_restarts_are_counted_where_there_were_any():
    """In yellow: nothing is lost, but somebody should know."""
    shown = one_remote(LinkReport("https://s3.example", "up", sender=SenderReport(0, 3)))
    assert shown[1:] == [("sender", "being started, restarted 3 times", "yellow")]


def test_where_the_daemon_sends_itself_there_is_nothing_to_show():
    """Nor without a remote."""
    assert one_remote(LinkReport("https://s3.example", "up"))[1:] == []
    assert one_remote(None)[1:] == []
