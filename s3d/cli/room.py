"""What `s3d status` says of the room that is left: which writes are refused, and until when."""

from typing import TYPE_CHECKING

from s3d.cli.showing import age_text, count_text, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import CapacityReport, ClassReport, ForecastReport, Status


def refusing(found: "Status") -> list[tuple[str, str, str]]:
    """What is no longer taken in, and when it will be again."""
    capacity = found.capacity
    if capacity is None:
        return []
    if capacity.refusing:
        return [("writes", f"{_until(capacity)}; deletes and reads go on", "red")]
    return [("writes", f"of {one.match}: {_until(one)}", "yellow") for one in capacity.classes if one.refusing]


def staying(found: "Status") -> list[tuple[str, str, str]]:
    """What is on this disk and will never be anywhere else; nothing where no bucket stays local."""
    local = found.capacity.local if found.capacity is not None else None
    if local is None:
        return []
    what = f"{count_text(local.objects, 'object')}, {size_text(local.bytes)} of at most {size_text(local.bytes_max)}"
    where = f"in {count_text(local.buckets, 'bucket')} that stay{'s' if local.buckets == 1 else ''} local"
    if not local.refusing:
        return [("local", f"{what}, {where}: on this disk only", "")]
    why = "delete some of it" if local.refusing == "local-bytes" else "what waits for the remote has taken the room"
    return [("local", f"{what}, {where}; writes are refused: {why}", "red")]


def forecast(found: "Status") -> list[tuple[str, str, str]]:
    """How long the room lasts, and how long what is pending takes."""
    told = found.capacity.forecast if found.capacity is not None else None
    if told is None:
        return []
    room = f"{size_text(told.room_bytes)} more may wait for the remote: {_fills(told)}"
    if told.silence_seconds is not None:
        room += f"; a silence of {age_text(told.silence_seconds)} would fit"
    lines = [("room", room, {"full": "red", "filling": "yellow"}.get(told.fills, ""))]
    if told.drains != "empty":
        lines.append(("drained", _drains(found, told), ""))
    return lines


def _fills(told: "ForecastReport") -> str:
    if told.full_seconds is not None and told.fills == "filling":
        return f"full in {age_text(told.full_seconds)} at this rate"
    return {"full": "full", "not-filling": "not filling"}.get(told.fills, "how fast it fills is not known yet")


def _drains(found: "Status", told: "ForecastReport") -> str:
    if told.drained_seconds is not None and told.drains == "draining":
        speed = f", {size_text(told.leaving_bytes_per_second)}/s" if told.leaving_bytes_per_second else ""
        return f"in {age_text(told.drained_seconds)} at this link speed{speed}"
    if told.drains == "not-shrinking":
        return "not at this rate: it does not become less"
    if told.drains == "unknown":
        return "how fast is not known yet"
    if found.remote is None:
        return "never: no remote is configured"
    return "not while it is paused" if found.pending.paused is not None else "not while the link is down"


def _until(closed: "CapacityReport | ClassReport") -> str:
    if closed.refusing == "pending-bytes":
        until = size_text(closed.opens_at_bytes)
    else:
        until = count_text(closed.opens_at_records or 0, "record")
    return f"refused with SlowDown until no more than {until} are pending"
