"""What an operator has decided for some objects: the first rule that says something about a question answers it."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from s3d.errors import S3dError
from s3d.policy.filters import Filter, Subject
from s3d.policy.urgency import ORDINARY, Priority, Urgency

DURABILITY_SECONDS_MAX = 3600
YEAR_SECONDS = 366 * 24 * 3600
Freshness = Annotated[float, Meta(ge=0, le=YEAR_SECONDS)] | Literal["forever"]
ConflictPolicy = Literal["local", "remote", "keep-both", "hold"]
GapPolicy = Literal["ignore", "report", "mend"]
_ANY_KEY = ("", "")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the objects that `match` is about; of several rules the first that sets something decides it."""

    match: Annotated[
        str,
        Meta(
            description="Which objects: `BUCKET` or `BUCKET/KEY`, with `*` for any run of characters.",
            min_length=1,
            extra={"default": "every rule has one"},
        ),
    ]
    shared: Annotated[
        Literal[True] | None,
        Meta(
            description="`true`: others write to these buckets too. Without it, a bucket that was created through this "
            "daemon counts as its own, and the remote is not asked about what is in it. For whole buckets only."
        ),
    ] = None
    fresh_seconds: Annotated[
        Freshness | None,
        Meta(
            description="In buckets that others write to: for how long a read is answered from what is known of an "
            'object, with its age, before the remote is asked again. 0: always asked; `"forever"`: only about what is '
            "not known. Conditional writes always ask. A listing is answered likewise, by the first rule that matches "
            "its prefix as if that were a key. Unset: 0."
        ),
    ] = None
    partial_listings: Annotated[
        bool | None,
        Meta(
            description="`true`: a listing that cannot be complete while the remote cannot be reached leaves out what "
            "is not known, and says `x-s3d-partial: true`, which few clients look at. By its prefix, as above. "
            "Unset: it is refused."
        ),
    ] = None

    durability: Annotated[
        Literal["journaled", "replicated"] | None,
        Meta(
            description="When a mutation is acknowledged: once it is in the journal, or once the remote has confirmed "
            "it. The header `x-s3d-durability` of a request decides before any rule. Unset: `journaled`."
        ),
    ] = None
    durability_timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=DURABILITY_SECONDS_MAX)] | None,
        Meta(
            description="How long an answer that waits for the remote may take: then it is 503 `NotReplicatedYet`, "
            "and the write is kept and sent all the same. The header `x-s3d-durability-timeout` decides before any "
            "rule. Unset: 30."
        ),
    ] = None
    priority: Annotated[
        Priority | None,
        Meta(
            description="How replication shares the link while more waits than it takes: `urgent`, `normal` and `bulk` "
            "get 16, 4 and 1 turns each. Order per key is kept: what stands before an urgent write of the same key "
            "goes with it. By name only. Unset: `normal`."
        ),
    ] = None
    deadline_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=YEAR_SECONDS)] | None,
        Meta(
            description="So long after its acknowledgement a write goes before all that is not overdue, whatever its "
            "priority (one turn in eight is left to the others). Unset: never."
        ),
    ] = None
    order: Annotated[
        Literal["oldest", "newest"] | None,
        Meta(
            description="Which of these objects' writes goes first within its priority; with `newest` one turn in four "
            "is left to the oldest. Unset: `oldest`."
        ),
    ] = None

    refuse_above: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Objects that match are refused (503 SlowDown) once what waits for the remote has reached this "
            "share of the cap (`capacity.pending_…_max`), so that what matters more still gets in. Unset: 1."
        ),
    ] = None
    gaps: Annotated[
        GapPolicy | None,
        Meta(
            description="What the gap audit does about objects that the remote has lost or changed since it confirmed "
            "them: nothing, name them (`s3d gaps`), or send them again as long as their bytes are here. Unset: "
            "`report` in buckets that are this daemon's own, `ignore` in those that others write to as well."
        ),
    ] = None

    conflict: Annotated[
        ConflictPolicy | None,
        Meta(
            description="Guards writes against others: they leave with the ETag that was believed to be at the remote. "
            "Where the remote has something else by then: `local`, ours goes over it; `remote`, ours gives way; "
            "`keep-both`, ours goes out as `NAME (conflict SITE SEQ).EXT` beside it; `hold`, ours is parked for a "
            "person. Unset: unguarded, the last writer wins."
        ),
    ] = None

    coalesce: Annotated[
        Literal[False] | None,
        Meta(
            description="`false`: every write of a key is sent. Without it, of several that wait the last is enough "
            "where the remote is known to keep no versions. The journal has them all either way."
        ),
    ] = None

    abort_uploads_after_days: Annotated[
        Annotated[float, Meta(gt=0, le=3660)] | None,
        Meta(
            description="An upload in parts that its client has not completed is aborted, here and at the remote, when "
            "no part has come for so long. Looked at once an hour. Unset: never."
        ),
    ] = None


class RuleError(S3dError):
    """A rule that cannot be; `field` is the setting that is wrong."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class Rules:
    """All rules, ready to be asked. Raises RuleError or FilterError for one that cannot be."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        read = [(_filter(rule), rule) for rule in rules]
        self._shared = [_whole_buckets(matching) for matching, rule in read if rule.shared]
        self._freshness = [
            (_by_name(matching, "fresh_seconds"), _milliseconds(rule.fresh_seconds))
            for matching, rule in read
            if rule.fresh_seconds is not None
        ]
        self._durability = [
            (_by_name(matching, "durability"), rule.durability)
            for matching, rule in read
            if rule.durability is not None
        ]
        self._refusals = [(matching, rule.refuse_above) for matching, rule in read if rule.refuse_above is not None]
        self._gaps = [(_by_name(matching, "gaps"), rule.gaps) for matching, rule in read if rule.gaps is not None]
        self._durability_seconds = [
            (_by_name(matching, "durability_timeout_seconds"), rule.durability_timeout_seconds)
            for matching, rule in read
            if rule.durability_timeout_seconds is not None
        ]
        self._partial_listings = [
            (_by_name(matching, "partial_listings"), rule.partial_listings)
            for matching, rule in read
            if rule.partial_listings is not None
        ]

        self._conflicts = [
            (_by_name(matching, "conflict"), rule.conflict) for matching, rule in read if rule.conflict is not None
        ]

        self._urgency = [
            (_by_name(matching, _first_of_urgency(rule)), rule) for matching, rule in read if _first_of_urgency(rule)
        ]
        self._unfinished = [
            (_by_name(matching, "abort_uploads_after_days"), rule.abort_uploads_after_days)
            for matching, rule in read
            if rule.abort_uploads_after_days is not None
        ]
        self._every_write = [_by_name(matching, "coalesce") for matching, rule in read if rule.coalesce is False]

    def is_shared(self, bucket: str) -> bool:
        """Whether others write to this bucket, whoever created it."""
        return any(matching.bucket.matches(bucket) for matching in self._shared)

    def gap_policy(self, bucket: str, key: str, *, own: bool) -> GapPolicy:
        """What a gap of an object is worth; `own`: nobody else writes to its bucket."""
        for matching, policy in self._gaps:
            if matching.matches_name(bucket, key):
                return policy
        return "report" if own else "ignore"

    def fresh_ms(self, bucket: str, key: str) -> float:
        """For how many milliseconds what is known of an object is good enough; 0: not at all, `inf`: always."""
        for matching, fresh_ms in self._freshness:
            if matching.matches_name(bucket, key):
                return fresh_ms
        return 0

    def may_coalesce(self, bucket: str, key: str) -> bool:
        """Whether the last of several writes of this key that wait is enough."""
        return not any(matching.matches_name(bucket, key) for matching in self._every_write)

    @property
    def refusals(self) -> Sequence[tuple[str, float]]:
        """Which objects may use only a share of what may be pending: filter and share, in the order of precedence."""
        return [(matching.text, share) for matching, share in self._refusals]

    def refuse_above(self, subject: Subject) -> float:
        """The share of the cap on what is pending that this object may use."""
        return next((share for matching, share in self._refusals if matching.matches(subject)), 1.0)

    @property
    def speak_of_durability(self) -> bool:
        """Whether any rule says something of it."""
        return bool(self._durability or self._durability_seconds)

    def durability(self, bucket: str, key: str) -> Literal["journaled", "replicated"] | None:
        """What the acknowledgement of a mutation guarantees; None: no rule says."""
        return next((said for matching, said in self._durability if matching.matches_name(bucket, key)), None)

    def durability_timeout_seconds(self, bucket: str, key: str) -> float | None:
        """How long an acknowledgement may wait for the remote; None: no rule says."""
        return next((said for matching, said in self._durability_seconds if matching.matches_name(bucket, key)), None)

    @property
    def speak_of_conflicts(self) -> bool:
        """Whether any rule guards writes."""
        return bool(self._conflicts)

    def conflict(self, bucket: str, key: str) -> ConflictPolicy | None:
        """What a write does that meets somebody else's; None: it is not guarded."""
        return next((said for matching, said in self._conflicts if matching.matches_name(bucket, key)), None)

    def may_list_partially(self, bucket: str, prefix: str) -> bool:
        """Whether a listing may leave out what is not known."""
        return next((may for matching, may in self._partial_listings if matching.matches_name(bucket, prefix)), False)

    @property
    def speak_of_unfinished_uploads(self) -> bool:
        """Whether any rule says when they are aborted."""
        return bool(self._unfinished)

    def abort_uploads_after_days(self, bucket: str, key: str) -> float | None:
        """How long an upload of this key may be left alone; None: for ever."""
        return next((days for matching, days in self._unfinished if matching.matches_name(bucket, key)), None)

    @property
    def lowest_priority(self) -> Priority:
        """The class of which nothing overtakes anything."""
        return "bulk" if any(rule.priority == "bulk" for _, rule in self._urgency) else ORDINARY.priority

    @property
    def speak_of_urgency(self) -> bool:
        """Whether any rule says something of it."""
        return bool(self._urgency)

    def urgency(self, bucket: str, key: str) -> Urgency:
        """How urgent it is that the remote gets this; each part of it is said by the first rule that says it."""
        said = [rule for matching, rule in self._urgency if matching.matches_name(bucket, key)]
        if not said:
            return ORDINARY
        return Urgency(
            next((rule.priority for rule in said if rule.priority is not None), ORDINARY.priority),
            next((rule.order for rule in said if rule.order is not None), "oldest") == "newest",
            next((rule.deadline_seconds for rule in said if rule.deadline_seconds is not None), None),
        )


def _filter(rule: Rule) -> Filter:
    from s3d.policy.filter_language import parse_filter  # only who has rules pays for the parser, in time and memory

    return parse_filter(rule.match)


def _first_of_urgency(rule: Rule) -> str:
    """The first setting of this rule that says how urgent something is; empty: none does."""
    return next((name for name in ("priority", "deadline_seconds", "order") if getattr(rule, name) is not None), "")


def _whole_buckets(matching: Filter) -> Filter:
    if matching.predicates or matching.key.runs != _ANY_KEY:
        raise RuleError("shared", "a bucket is shared as a whole", hint=f'match = "{matching.text.partition("/")[0]}"')
    return matching


def _by_name(matching: Filter, field: str) -> Filter:
    if matching.predicates:
        why = (
            "whether an object is asked about cannot depend on its tags, headers or metadata, which the answer tells"
            if field == "fresh_seconds"
            else "this is decided by bucket and key: not every mutation carries tags, headers or metadata"
        )
        raise RuleError(field, why, hint=f"match by bucket and key only, or leave {field} out of this rule")
    return matching


def _milliseconds(seconds: float | str) -> float:
    return float("inf") if isinstance(seconds, str) else seconds * 1000
