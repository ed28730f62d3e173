"""`s3d status` says how many files the journal has, how old they are, and why each is still kept."""

from s3d.cli.status import _files
from s3d.telemetry.report import FileReport, PendingSummary, Status


def status(*files, base=""):
    return Status(
        version="1",
        instance="i",
        epoch=1,
        started_at="",
        data_dir="",
        listen="",
        authenticated=False,
        head="1-9",
        remote=None,
        pending=PendingSummary(0, 0, 0.0, 0),
        cache_bytes=0,
        cache_capacity_bytes=0,
        ready=True,
        files=files,
        base=base,
    )


def file(number, state, why, age_seconds=60.0):
    return FileReport(number=number, state=state, records=10, bytes=1024, age_seconds=age_seconds, why=why)


def test_neighbours_that_are_kept_for_one_reason_share_a_line():
    """A journal may have hundreds of files."""
    files = [file(number, "sealed", "retained", 7200.0) for number in range(3, 8)]
    found = status(*files, file(8, "closed", "2 bodies wait"), file(9, "active", "being written", 0.0), base="1-70")
    assert [(name, text) for name, text, _ in _files(found)] == [
        ("files", "7 files, 7.0 KiB, oldest 2 h; a snapshot stands for all up to 1-70"),
        ("", "3 to 7: sealed, 50 records, 5.0 KiB: retained"),
        ("", "8: closed, 10 records, 1.0 KiB: 2 bodies wait"),
        ("", "9: active, 10 records, 1.0 KiB: being written"),
    ]


def test_an_older_daemon_says_nothing_of_files():
    """Its answer has none."""
    assert _files(status()) == []
