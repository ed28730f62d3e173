"""Why what is pending does not go to the remote, as the admin listener answers it: made of its other answers. Pure."""

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3d.telemetry.report import LinkReport, PendingSummary, RemoteStanding

Kind = Literal["parked", "paused", "link", "window", "budget", "failing", "slowed", "rebuilding"]


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. `since` and `until` are times, empty where there is none, or it is not known.

    `parked`: `records` of them wait for a person, and `held` wait behind them. `paused`: by `caller`. `link`: there is
    none; `since` is empty before it was tried. `window`, `budget`: only the priorities in `goes` go. `failing`:
    `records` have failed and are tried again; the oldest is `seq`, of which `attempts` are over. `slowed`: the remote
    asked for less. `rebuilding`: the view is, and what is pending is not known. `said` is the reason in the words of
    whoever gave it: a person, the remote, or the schedule. `remote` is whose matter it is, where there are several.
    """

    kind: Kind
    since: str = ""
    until: str = ""
    said: str = ""
    caller: str = ""
    records: int = 0
    held: int = 0
    goes: tuple[str, ...] = ()
    seq: str = ""
    attempts: int = 0
    remote: str = ""


def obstacles_of(
    remote: "LinkReport | None", pending: "PendingSummary", held: int, remotes: "Sequence[RemoteStanding]" = ()
) -> tuple[Obstacle, ...]:
    """What is in the way now, what only a person can end first; `held` records wait behind parked ones.

    Nothing is in the way of nothing: empty where nothing is pending, or where no remote is configured; of several
    `remotes` only those are named that something waits for.
    """
    if remote is None or not pending.count:
        return ()
    found: list[Obstacle] = []
    if pending.parked:
        found.append(Obstacle(kind="parked", records=pending.parked, held=held))
    if pending.paused is not None:
        paused = pending.paused
        found.append(Obstacle(kind="paused", since=paused.since, said=paused.reason, caller=paused.caller))
    if not remotes:
        return (*found, *_of_link(remote))
    for one in remotes:
        if one.count:
            found += [msgspec.structs.replace(obstacle, remote=one.name) for obstacle in _of_link(one.link)]
    return tuple(found)


def _of_link(remote: "LinkReport") -> list[Obstacle]:
    found: list[Obstacle] = []
    if remote.state != "up":
        found.append(Obstacle(kind="link", since=remote.since, said=remote.error))
    flow = remote.flow
    if flow is None:
        return found
    if flow.held_by:
        found.append(Obstacle(kind=flow.held_by, until=flow.held_until, said=flow.held, goes=flow.goes))
    if remote.state == "up" and flow.failing:  # without a link every record has failed, and that is the reason
        oldest = flow.failing[0]
        found.append(
            Obstacle(
                kind="failing",
                until=oldest.again_at,
                said=oldest.error,
                records=flow.failing_records,
                seq=oldest.seq,
                attempts=oldest.attempts,
            )
        )
    if flow.slowed:
        found.append(Obstacle(kind="slowed", said=flow.slowed))
    return found
