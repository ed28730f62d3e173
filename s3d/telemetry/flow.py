"""What the admin listener answers about the flow to the remote: how much goes, what of it is large, what fails."""

from typing import Literal

import msgspec


class FailingReport(msgspec.Struct, frozen=True, kw_only=True):
    """A record that has failed `attempts` times, not counting those without a link, and is tried again at `again_at`.

    `error` is what the last attempt was told.
    """

    seq: str
    operation: str
    bucket: str
    key: str
    attempts: int
    error: str
    again_at: str


class BodyReport(msgspec.Struct, frozen=True, kw_only=True):
    """A large body, or a part of one (`part` from 1, else 0), on its way: `sent_bytes` of `bytes` have left.

    `seconds_left` is at the mean rate of this attempt; None before anything has left.
    """

    bucket: str
    key: str
    part: int
    bytes: int
    sent_bytes: int
    bytes_per_second: int
    seconds_left: float | None


class UploadReport(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload of which the remote does not have everything, begun by the record `seq`.

    It has `parts_done` of the `parts` that there are, and `bytes_done` of their `bytes`, what has left of parts on
    their way included; `complete` says that no more parts will come. `seconds_left` is at `bytes_per_second`, the mean
    of the last minute; None while nothing goes.
    """

    seq: str
    bucket: str
    key: str
    parts: int
    parts_done: int
    bytes: int
    bytes_done: int
    bytes_per_second: int
    seconds_left: float | None
    complete: bool


class FlowReport(msgspec.Struct, frozen=True, kw_only=True):
    """How much goes to the remote: requests that may be under way at once, of how many as configured, and that are.

    `slowed` is what the remote said when it asked for less, empty when it takes everything; `records_per_second` is the
    mean of confirmations in the last minute. `held` says what an hour or a month's budget holds back, empty when
    nothing is (`held_by` which of them: `window` or `budget`), `held_until` when that ends or changes, `goes` which
    priorities go; `month_bytes` is what was confirmed of the budget `month_bytes_max` in this calendar month (UTC),
    None where there is none. `bodies` are the large ones under way, the first to begin first. `superseded` records, of
    so many bytes, were not sent since the daemon began, because a later one of their key was. `failing` are the oldest
    of the `failing_records` that have failed and are tried again.
    """

    requests: int
    requests_max: int
    under_way: int
    slowed: str = ""
    records_per_second: float = 0.0
    held: str = ""
    held_by: Literal["", "window", "budget"] = ""
    held_until: str = ""
    goes: tuple[str, ...] = ("urgent", "normal", "bulk")
    month_bytes: int | None = None
    month_bytes_max: int | None = None
    bodies: tuple[BodyReport, ...] = ()
    superseded: int = 0
    superseded_bytes: int = 0
    failing: tuple[FailingReport, ...] = ()
    failing_records: int = 0
