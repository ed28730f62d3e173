"""What a remote S3 can do, as far as it was found out: values, and how an answer is judged. Pure.

S3 services take each other's requests and do different things with them: one honours a condition on a write, another
refuses it, a third ignores it without a word. Only trying it tells them apart, so each capability has a verdict, and
what was said.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec

from s3d.remote.failures import FailureKind, RemoteFailure

Verdict = Literal["yes", "bare", "hidden", "suspended", "no", "ignored", "refused", "unknown"]
"""`yes`: it does it. `bare`: it does, where an ETag comes without quotes. `hidden`: a checksum is verified, and not
told by HEAD. `suspended`: of versions. `no`: it is off. `ignored`: it takes the request and does not do it. `refused`:
it says so. `unknown`: nobody could tell; these credentials may not do it, for instance.
"""
Conditions = Literal["quoted", "bare", "unsent"]
"""How conditions on writes go out: with the ETag as HTTP has it, without its quotes, or not at all."""

IF_NONE_MATCH, IF_MATCH, IF_MATCH_DELETE = "if-none-match", "if-match", "if-match-delete"
TRAILER, LIST_V2, MULTI_DELETE, MULTIPART = "checksum-trailer", "list-v2", "multi-delete", "multipart"
COPY, PART_COPY, VERSIONING, OBJECT_LOCK = "copy", "part-copy", "versioning", "object-lock"
CHECKSUM_ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
_WORST_FIRST: tuple[Conditions, ...] = ("unsent", "bare", "quoted")
SKEW_SECONDS_MAX = 60.0  # S3 refuses what is signed fifteen minutes off: time to say so


class Finding(msgspec.Struct, frozen=True):
    """One capability, and what the remote said where it has it not."""

    name: str
    verdict: Verdict
    said: str = ""


class Greeting(msgspec.Struct, frozen=True):
    """What the head of any answer tells: what the service calls itself, and how far its clock is ahead of ours.

    None: it does not say.
    """

    software: str
    ahead_seconds: float | None


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What was found with one bucket (by its local name), and when (ISO 8601). `left` are keys that could not be
    removed again.
    """

    endpoint: str
    software: str
    at: str
    bucket: str
    findings: tuple[Finding, ...]
    left: tuple[str, ...] = ()

    def verdict(self, name: str) -> Verdict:
        """Of one capability."""
        return next((one.verdict for one in self.findings if one.name == name), "unknown")

    @property
    def conditions(self) -> Conditions | None:
        """How conditions on PutObject have to go out; None: that could not be found out."""
        create, replace = self.verdict(IF_NONE_MATCH), self.verdict(IF_MATCH)
        if "unknown" in {create, replace}:
            return None
        if create != "yes" or replace not in {"yes", "bare"}:
            return "unsent"
        return "quoted" if replace == "yes" else "bare"

    @property
    def copies(self) -> bool:
        """Whether it is worth asking for a copy there."""
        return self.verdict(COPY) not in {"refused", "ignored"}

    @property
    def keeps_versions(self) -> bool | None:
        """Whether the bucket does; one where they are suspended has some. None: that could not be found out."""
        return {"yes": True, "suspended": True, "no": False}.get(self.verdict(VERSIONING))


def finding(name: str, failure: RemoteFailure | None) -> Finding:
    """Of a request that is to succeed; `failure` is what came instead."""
    if failure is None:
        return Finding(name, "yes")
    refused = 400 <= failure.status < 500 or failure.code == "NotImplemented" or failure.status == 501
    if not refused or failure.kind is FailureKind.THROTTLED or failure.code == "AccessDenied":
        return Finding(name, "unknown", told(failure))  # it failed, asked for less, or does not let these keys do it
    return Finding(name, "refused", told(failure))


def finding_of_condition(name: str, failure: RemoteFailure | None) -> Finding:
    """Of a request whose condition does not hold: it is to be refused for that, and for nothing else."""
    if failure is None:
        return Finding(name, "ignored", "a condition that did not hold was taken for one that does")
    if failure.kind is FailureKind.CONDITION:
        return Finding(name, "yes")
    return finding(name, failure)


def told(failure: RemoteFailure) -> str:
    """What the remote said, with its code."""
    return failure.message if failure.code in {"", failure.message} else f"{failure.code}: {failure.message}"


def greeting_of(headers: dict[str, Any], asked: float, answered: float) -> Greeting:
    """From an answer's `Date` and `Server`. `Date` counts whole seconds, so that the skew is good to one, more or less.

    `asked` and `answered` are in seconds since 1970, by our clock.
    """
    date = _moment(str(headers.get("Date", "")))
    ahead = None if date is None else round(date.timestamp() + 0.5 - (asked + answered) / 2, 1)
    return Greeting(str(headers.get("Server", "")), ahead)


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None  # a zone that nobody knows, and so no moment


class GuardReport(msgspec.Struct, frozen=True):
    """How conditions go out on guarded writes in a bucket; `bucket` is empty for all that were not probed.

    `by` is who says so: `configured`, `probed`, `answers` (it refused another form) or `assumed`.
    """

    bucket: str
    conditions: Conditions
    by: Literal["configured", "probed", "answers", "assumed"]


class RemoteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `s3d remote probe` shows: what is known of the remote, and what is made of it.

    `probed` has an entry for each bucket, the latest last. `copies`: copies are asked for, and not uploaded.
    """

    endpoint: str
    link: str
    software: str
    ahead_seconds: float | None
    probed: tuple[Probed, ...]
    guards: tuple[GuardReport, ...]
    copies: bool
    warnings: tuple[str, ...]


def conditions_to_send(configured: bool | None, probed: Sequence[Probed], bucket: str = "") -> Conditions:  # noqa: FBT001 - of a setting
    """How conditions are to go out. The configuration has the first word, and the probe what it does not say.

    A bucket that was not probed is taken for the worst of those that were: services do not treat all of them alike
    (Ceph RGW 16 ignores conditions where versions are kept, and honours them elsewhere).
    """
    found = [one.conditions for one in probed if not bucket or one.bucket == bucket] or [
        one.conditions for one in probed
    ]
    worst = next((form for form in _WORST_FIRST if form in found), None)
    if configured is None:
        return worst or "quoted"
    if not configured:
        return "unsent"
    return "bare" if worst == "bare" else "quoted"


def warnings_of(
    configured: bool | None,  # noqa: FBT001
    probed: Sequence[Probed],
    greeting: Greeting | None,
) -> tuple[str, ...]:
    """What somebody should know who runs an edge against this remote."""
    found = [*_of_greeting(probed[-1] if probed else None, greeting)]
    for one in probed:
        found += _of_probe(configured, one)
    return tuple(dict.fromkeys(found))


def clock_warning(ahead_seconds: float | None) -> str:
    """What to say of the two clocks; empty while they agree well enough, or where the remote does not tell."""
    if ahead_seconds is None or abs(ahead_seconds) <= SKEW_SECONDS_MAX:
        return ""
    return f"{skew_text(ahead_seconds)}; S3 refuses what is signed 15 min off"


def skew_text(ahead_seconds: float) -> str:
    """Whose clock is ahead."""
    side = "behind" if ahead_seconds > 0 else "ahead of"
    return f"this machine's clock is {abs(ahead_seconds):.0f} s {side} the remote's"


def _of_greeting(probed: Probed | None, greeting: Greeting | None) -> Iterator[str]:
    if greeting is None:
        return
    if clock := clock_warning(greeting.ahead_seconds):
        yield clock
    if probed is not None and probed.software and greeting.software and probed.software != greeting.software:
        yield f"it was {probed.software} when it was probed, and is {greeting.software} now: probe it again"


def _of_probe(configured: bool | None, probed: Probed) -> Iterator[str]:  # noqa: FBT001
    if configured and probed.conditions == "unsent":
        yield (
            f"remote.conditional_writes = true, but it does not honour conditions on PutObject in {probed.bucket}: "
            "what a rule with `conflict` guards is overwritten"
        )
    if configured is False and probed.conditions in {"quoted", "bare"}:
        yield (
            f"remote.conditional_writes = false, but it honours conditions on PutObject in {probed.bucket}: "
            "each guarded write costs one request more, and leaves a window"
        )
    if probed.verdict(LIST_V2) in {"ignored", "refused"}:
        yield "it has no ListObjectsV2: listings of its buckets and the gap audit cannot be answered"
    if probed.verdict(MULTIPART) == "refused":
        yield "it has no uploads in parts: objects that clients upload in parts will be parked"
    if probed.left:
        yield f"these keys could not be removed from {probed.bucket}: {', '.join(probed.left)}"
