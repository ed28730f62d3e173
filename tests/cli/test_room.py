"""What `s3d status` says of the room that is left, and of the time that is left."""

from typing import Any

from s3d.cli.room import forecast, staying
from s3d.cli.status import _safe_to_power_off
from s3d.telemetry.report import CapacityReport, ForecastReport, LinkReport, LocalReport, PendingSummary, Status

MIB = 1024 * 1024


def status(*, remote: LinkReport | None = None, local: LocalReport | None = None, **told: Any) -> Status:
    """A daemon that foresees this."""
    given: dict[str, Any] = {
        "room_bytes": 500 * MIB,
        "arriving_bytes_per_second": 0.0,
        "leaving_bytes_per_second": None,
        "fills": "unknown",
        "full_seconds": None,
        "drains": "empty",
        "drained_seconds": None,
        "silence_seconds": None,
    }
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
        capacity=CapacityReport(
            volume_bytes=10**9,
            pending_bytes_max=10**9,
            pending_records_max=None,
            opens_at_bytes=0,
            opens_at_records=None,
            forecast=ForecastReport(**(given | told)),
            local=local,
        ),
    )


def test_what_is_not_known_is_not_said() -> None:
    """A young daemon, with nothing pending: no line about draining."""
    ((name, text, _),) = forecast(status())
    assert (name, text) == ("room", "500 MiB more may wait for the remote: how fast it fills is not known yet")


def test_filling_and_draining_have_their_times() -> None:
    """In the two largest units, with the speed of the link."""
    (_, room, colour), (_, drained, _) = forecast(
        status(
            fills="filling",
            full_seconds=11_000.0,
            silence_seconds=7300.0,
            drains="draining",
            drained_seconds=2400.0,
            leaving_bytes_per_second=3.1 * MIB,
        )
    )
    assert room.endswith("full in 3 h 3 min at this rate; a silence of 2 h 1 min would fit")
    assert drained == "in 40 min at this link speed, 3.1 MiB/s"
    assert colour == "yellow"


def test_why_it_does_not_drain() -> None:
    """Too slow, not measured yet, no link, no remote."""
    link = LinkReport("https://s3.example", "down")
    assert forecast(status(drains="not-shrinking"))[1][1] == "not at this rate: it does not become less"
    assert forecast(status(drains="unknown"))[1][1] == "how fast is not known yet"
    assert forecast(status(drains="stopped", remote=link))[1][1] == "not while the link is down"
    assert forecast(status(drains="stopped"))[1][1] == "never: no remote is configured"


def test_what_stays_local_has_a_line_of_its_own() -> None:
    """It says where it is, and that only here; full, what helps. Without such buckets there is no line."""
    assert staying(status()) == []
    held = LocalReport(buckets=2, objects=3, bytes=5 * MIB, bytes_max=10 * MIB)
    ((name, text, _),) = staying(status(local=held))
    assert name == "local"
    assert text == "3 objects, 5.0 MiB of at most 10.0 MiB, in 2 buckets that stay local: on this disk only"
    full = LocalReport(buckets=1, objects=1, bytes=10 * MIB, bytes_max=10 * MIB, refusing="local-bytes")
    ((_, text, colour),) = staying(status(local=full))
    assert text.endswith("in 1 bucket that stays local; writes are refused: delete some of it")
    assert colour == "red"
    code, answer = _safe_to_power_off(status(local=held))
    assert code == 0
    assert answer.endswith("1-0, but for 3 objects (5.0 MiB) that stay local, on this disk only.")
