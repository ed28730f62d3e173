"""The lines of `s3d status` about the remotes: the link, what goes there, and what holds the rest back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3d.cli.obstacles import between, duration_text
from s3d.cli.showing import age_text, count_text, size_text

if TYPE_CHECKING:
    from s3d.telemetry.flow import BodyReport, FlowReport
    from s3d.telemetry.report import LinkReport, RemoteStanding

BODIES_SHOWN = 10
_LINK_COLOURS = {"up": "green", "down": "red"}
Line = tuple[str, str, str]


def one_remote(link: "LinkReport | None", at: str = "") -> list[Line]:
    """The only remote, or that there is none; `at` is when that was told."""
    if link is None:
        return [("remote", "none configured: everything stays pending on this disk", "yellow")]
    return [("remote", _link(link, at), _LINK_COLOURS.get(link.state, "")), *_details(link, at)]


def several(remotes: "Sequence[RemoteStanding]", at: str = "") -> list[Line]:
    """A line for each link; beneath it what waits for it, and what else there is to say."""
    lines: list[Line] = []
    for one in remotes:
        lines.append(("remote", f"{one.name}: {_link(one.link, at)}", _LINK_COLOURS.get(one.link.state, "")))
        lines.append(("", *_waiting(one)))
        details = _details(one.link, at)
        lines += [("", " ".join(word for word in (name, value) if word), colour) for name, value, colour in details]
    return lines


def _waiting(remote: "RemoteStanding") -> tuple[str, str]:
    rate = remote.link.flow.records_per_second if remote.link.flow is not None else 0.0
    sent = f", {rate:g} records/s in the last minute" if rate else ""
    if not remote.count:
        return f"nothing pending{sent}", "green"
    text = f"{count_text(remote.count, 'record')} pending, {size_text(remote.bytes)}"
    text += f", oldest {age_text(remote.oldest_seconds)}{sent}"
    return (f"{text}; {remote.parked:,} parked", "red") if remote.parked else (text, "yellow")


def _link(link: "LinkReport", at: str) -> str:
    since = f" since {link.since}{duration_text(link.since, at)}" if link.since else ""
    error = f": {link.error}" if link.error else ""
    software = f" ({link.software})" if link.software else ""
    return f"{link.endpoint}{software}, link {link.state}{since}{error}"


def _clock(link: "LinkReport") -> list[Line]:
    from s3d.remote.capabilities import clock_warning

    warning = clock_warning(link.ahead_seconds)
    return [("clock", warning, "yellow")] if warning else []


def _details(link: "LinkReport", at: str) -> list[Line]:
    flow = [*_flow(link.flow, at), *_saved(link.flow)] if link.flow is not None else []
    return [*_clock(link), *_sender(link), *flow]


def _sender(link: "LinkReport") -> list[Line]:
    if link.sender is None:
        return []
    process = f"process {link.sender.pid}" if link.sender.pid else "being started"
    restarts = f", restarted {count_text(link.sender.restarts, 'time')}" if link.sender.restarts else ""
    return [("sender", process + restarts, "yellow" if link.sender.restarts else "")]


def _flow(flow: "FlowReport", at: str) -> list[Line]:
    """What is under way, and what holds the rest back; nothing where nothing does and nothing is."""
    lines: list[Line] = []
    if flow.held:
        left = f" (in {age_text(between(at, flow.held_until))})" if at else ""
        until = f" until {flow.held_until}{left}" if flow.held_until else ""
        goes = f"only {', '.join(flow.goes)} goes" if flow.goes else "nothing goes"
        lines.append(("held", f"{flow.held}{until}: {goes}", "yellow"))
    if flow.month_bytes is not None and flow.month_bytes_max is not None:
        used, most = size_text(flow.month_bytes), size_text(flow.month_bytes_max)
        lines.append(("budget", f"{used} of {most} confirmed in this month (UTC)", ""))
    if flow.slowed:
        said = f"{flow.under_way} of {flow.requests} requests at once, {flow.requests_max} as configured"
        lines.append(("sending", f"{said}: {flow.slowed}", "yellow"))
    elif flow.under_way:
        said = f"{count_text(flow.under_way, 'request')} at once, {flow.records_per_second:g} records/s"
        lines.append(("sending", said, ""))
    lines += [("", _body(one), "") for one in flow.bodies[:BODIES_SHOWN]]
    if len(flow.bodies) > BODIES_SHOWN:
        lines.append(("", f"and {len(flow.bodies) - BODIES_SHOWN} more large bodies", ""))
    return lines


def _body(body: "BodyReport") -> str:
    part = f" part {body.part}" if body.part else ""
    rate = f"{size_text(body.bytes_per_second)}/s" if body.sent_bytes else "beginning"
    left = f", {age_text(body.seconds_left)} left" if body.seconds_left is not None else ""
    return f"{body.bucket}/{body.key}{part}: {size_text(body.sent_bytes)} of {size_text(body.bytes)}, {rate}{left}"


def _saved(flow: "FlowReport") -> list[Line]:
    """What did not have to be sent."""
    if not flow.superseded:
        return []
    what = f"{count_text(flow.superseded, 'record')} ({size_text(flow.superseded_bytes)})"
    return [("saved", f"{what} not sent, because a later one of the same key was", "")]
