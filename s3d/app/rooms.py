"""The rooms that can go by other settings while the daemon runs, and how each of them is told.

One literal list of what depends on what: a setting that is not asked for here, or when it is needed, waits for a
restart (config/difference.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from s3d.app.auditing import HOUR_SECONDS
from s3d.app.doors import S3Door
from s3d.app.ground import Ground
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.app.room import pending_cap
from s3d.commands.configuring import Policies, asked_under
from s3d.config.remotes import remotes_by_name
from s3d.config.settings import Settings
from s3d.gaps.audit import GapAudit
from s3d.http.webhooks import Webhooks
from s3d.operations.durability import Contract
from s3d.operations.foreseeing import Foreseeing
from s3d.operations.intake import Intake
from s3d.operations.perform import Handler, Operations
from s3d.operations.standing import Standing
from s3d.policy.rules import Rules
from s3d.telemetry import logs
from s3d.upkeep.decide import Limits
from s3d.upkeep.unfinished import UploadExpiry
from s3d.upkeep.upkeep import Upkeep
from s3d.view.questions import Questions


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration with what follows from it."""

    settings: Settings
    rules: Rules


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything that can go by other settings while it runs."""

    ground: Ground
    questions: Questions
    handlers: Callable[[Questions, Rules], Mapping[str, Handler]]
    operations: Operations
    door: S3Door
    contract: Contract
    intake: Intake
    foreseeing: Foreseeing
    volume_bytes: int
    upkeep: Upkeep
    expiry: UploadExpiry
    standing: Standing
    webhooks: Webhooks
    replication: Replication | Replications | None
    audit: GapAudit | None

    def go_by(self, after: InForce, changed: frozenset[str]) -> None:
        """Everything at once, by what has changed: nothing here waits, so no request sees half of it."""
        sections = {name.partition(".")[0] for name in changed}
        if "[[rule]]" in changed:
            self._go_by_rules(after)
        if sections & {"capacity", "[[rule]]"}:
            self._resize(after)
        if sections & {"gaps", "[[rule]]"} and self.audit is not None:
            self._look_otherwise(self.audit, after)
        if sections & {"remote", "other_remote", "[[window]]"} and self.replication is not None:
            remotes = remotes_by_name(after.settings.remote, after.settings.other_remotes)
            self.replication.replace_plan(remotes, after.settings.windows)
        if sections & {"auth", "[[client_key]]"}:
            self.door.verify_by(after.settings)
        if "journal" in sections:
            self.upkeep.replace_limits(limits_of(after.settings))
        if "log" in sections:
            logs.configure(after.settings.log.level, after.settings.log.format)
            self.door.log_anew()
        self.standing.replace_settings(after.settings)

    def _go_by_rules(self, after: InForce) -> None:
        rules = after.rules
        questions = asked_under(self.questions, policies_of(after.settings, rules))
        self.operations.replace(self.handlers(questions, rules))
        self.expiry.replace_rules(rules)
        self.contract.replace_rules(rules if rules.speak_of_durability else None)
        if self.replication is not None:
            self.replication.replace_rules(rules)

    def _resize(self, after: InForce) -> None:
        settings, rules = after.settings.capacity, after.rules
        cap = pending_cap(settings, self.volume_bytes)
        self.intake.replace(cap, rules if rules.refusals else None)
        self.foreseeing.replace_cap(cap)

    def _look_otherwise(self, audit: GapAudit, after: InForce) -> None:
        audit.replace(
            asked_under(self.questions, policies_of(after.settings, after.rules)),
            after.rules.gap_policy,
            every_seconds=after.settings.gaps.every_hours * HOUR_SECONDS,
            requests_per_minute=after.settings.gaps.requests_per_minute,
        )


def policies_of(settings: Settings, rules: Rules) -> Policies:
    """What decisions ask of the rules; None where they do not speak of it, which then costs nothing."""
    return Policies(
        rules.is_shared if settings.rules else None,
        rules.conflict if rules.speak_of_conflicts else None,
        by_key=rules.speak_of_urgency and settings.remote.configured,
    )


def limits_of(settings: Settings) -> Limits:
    """How much of the journal's files is kept."""
    journal = settings.journal
    return Limits(
        keep_unsealed_bytes=journal.keep_unsealed_bytes,
        retain_files=journal.retain_files,
        retain_bytes=journal.retain_bytes,
        retain_days=journal.retain_days,
        has_remote=settings.remote.configured,
    )
