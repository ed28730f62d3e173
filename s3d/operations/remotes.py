"""What there is to say of each remote, where there are several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from s3d.events import DEFAULT_REMOTE
from s3d.remote.capabilities import Greeting
from s3d.telemetry.flow import FlowReport
from s3d.telemetry.report import LinkReport, RemoteStanding, SenderReport, iso_time
from s3d.view.rows import PendingTotals


class LinkState(Protocol):
    """What the link says of itself; `since` is in seconds since 1970."""

    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def error(self) -> str: ...
    @property
    def greeting(self) -> Greeting | None: ...


class SenderState(Protocol):
    """What there is to say of the sender; `pid` is None when it is not a process of its own."""

    @property
    def pid(self) -> int | None: ...
    @property
    def restarts(self) -> int: ...


class RemoteState(msgspec.Struct, frozen=True):
    """A remote by its name (empty: `[remote]`), and whom to ask about it."""

    name: str
    endpoint: str
    link: LinkState
    sender: SenderState
    flow: Callable[[], FlowReport]


class SeveralRemotes:
    """`remote_of` says of a bucket where it is."""

    def __init__(self, states: Sequence[RemoteState], remote_of: Callable[[str], str]) -> None:
        self._states = states
        self._remote_of = remote_of

    def name_for(self, bucket: str) -> str:
        """The name of the remote that a bucket is at."""
        return self._remote_of(bucket) or DEFAULT_REMOTE

    def links(self) -> dict[str, str]:
        """The state of each link by the remote's name."""
        return {one.name or DEFAULT_REMOTE: one.link.state for one in self._states}

    def reports(self, pending: Mapping[str, PendingTotals], now: float) -> tuple[RemoteStanding, ...]:
        """One for each; `pending` is what waits in each bucket, `now` in seconds since 1970."""
        return tuple(self._report(one, pending, now) for one in self._states)

    def _report(self, one: RemoteState, pending: Mapping[str, PendingTotals], now: float) -> RemoteStanding:
        own = [totals for bucket, totals in pending.items() if self._remote_of(bucket) == one.name]
        oldest_ms = min((totals.oldest_ms for totals in own), default=0)
        return RemoteStanding(
            name=one.name or DEFAULT_REMOTE,
            link=link_report(one.endpoint, one.link, one.sender, one.flow),
            count=sum(totals.count for totals in own),
            bytes=sum(totals.size for totals in own),
            oldest_seconds=max(0.0, now - oldest_ms / 1000) if own else 0.0,
            parked=sum(totals.parked for totals in own),
        )


def link_report(
    endpoint: str, link: LinkState, sender: SenderState | None, flow: Callable[[], FlowReport] | None
) -> LinkReport:
    """One remote in the words of the admin listener."""
    since = iso_time(link.since) if link.since else ""
    process = None if sender is None or sender.pid is None else SenderReport(sender.pid, sender.restarts)
    greeting = link.greeting
    return LinkReport(
        endpoint,
        link.state,
        since,
        link.error,
        process,
        flow() if flow is not None else None,
        greeting.software if greeting is not None else "",
        greeting.ahead_seconds if greeting is not None else None,
    )
