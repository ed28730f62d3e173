"""How many requests may be under way at once, learned from the remote's answers. Pure: frozen values in and out.

Additive increase, multiplicative decrease, as TCP does it: whoever asks for less gets half at once, and whoever answers
gets one more for each round of answers. Who does not answer in time counts as asking for less: over a link that is too
thin for what is under way nothing would be done in time, and everything sent again for ever. The answers to one burst
are one piece of news: an attempt that was begun before the last cut says nothing about how things are since.
"""

from dataclasses import dataclass, replace

from s3d.replicator.decide import BACKOFF_SECONDS_MAX, backoff_seconds

HOLD_SECONDS_FIRST = 1.0
_LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class Allowance:
    """`most` is the setting, `limit` what has been learned (a part of a request is growth that is not whole yet).

    `cut_at` and `hold_until` are in monotonic seconds: nothing is begun before the latter. `cuts` counts those since
    the last success, `reason` says why `limit` is below `most`.
    """

    most: int
    limit: float
    cut_at: float = _LONG_AGO
    hold_until: float = _LONG_AGO
    cuts: int = 0
    reason: str = ""

    @property
    def requests(self) -> int:
        """How many may be under way: from 1 to `most`."""
        return max(1, int(self.limit))


def full_allowance(most: int) -> Allowance:
    """Before the remote has said anything."""
    return Allowance(most, float(most))


def after_throttled(
    allowance: Allowance,
    began: float,
    under_way: int,
    now: float,
    jitter: float,
    reason: str,
    hold_seconds_max: float = BACKOFF_SECONDS_MAX,
) -> Allowance:
    """An attempt that began at `began` was told to slow down, while `under_way` were.

    Half of what was really under way: to halve an allowance that nobody used would change nothing. Nothing new is begun
    for a while, and for longer each time when nothing succeeds in between.
    """
    if began <= allowance.cut_at:
        return allowance
    limit = max(1.0, min(allowance.limit, under_way) / 2)
    cuts = allowance.cuts + 1
    hold = backoff_seconds(cuts, jitter, HOLD_SECONDS_FIRST, hold_seconds_max)
    return Allowance(allowance.most, limit, now, now + hold, cuts, reason)


def after_silence(allowance: Allowance, began: float, under_way: int, now: float, reason: str) -> Allowance:
    """An attempt that began at `began` had no answer in time, while `under_way` were.

    Half as much, but no pause: it may be that one request only, and others must not wait for it.
    """
    if began <= allowance.cut_at:
        return allowance
    limit = max(1.0, min(allowance.limit, under_way) / 2)
    return replace(allowance, limit=limit, cut_at=now, reason=reason)


def after_success(allowance: Allowance, began: float) -> Allowance:
    """An attempt that began at `began` was done."""
    if allowance.limit >= allowance.most or began <= allowance.cut_at:
        return allowance
    limit = min(float(allowance.most), allowance.limit + 1.0 / allowance.limit)
    reason = allowance.reason if limit < allowance.most else ""
    return Allowance(allowance.most, limit, allowance.cut_at, allowance.hold_until, 0, reason)
