"""What `s3d status` says of the room that is left: which writes are refused, and until when."""

from typing import TYPE_CHECKING

from s3d.cli.showing import count_text, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import CapacityReport, ClassReport, Status


def refusing(found: "Status") -> list[tuple[str, str, str]]:
    """What is no longer taken in, and when it will be again."""
    capacity = found.capacity
    if capacity is None:
        return []
    if capacity.refusing:
        return [("writes", f"{_until(capacity)}; deletes and reads go on", "red")]
    return [("writes", f"of {one.match}: {_until(one)}", "yellow") for one in capacity.classes if one.refusing]


def _until(closed: "CapacityReport | ClassReport") -> str:
    if closed.refusing == "pending-bytes":
        until = size_text(closed.opens_at_bytes)
    else:
        until = count_text(closed.opens_at_records or 0, "record")
    return f"refused with SlowDown until no more than {until} are pending"
