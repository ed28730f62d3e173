"""The state that the journal's writer keeps in step: decisions on the view, folds into it."""

import logging
import typing
from collections.abc import Sequence
from typing import Protocol

from journal import BaseInfo, Decision, Identity, JournalError, Record, StateDamaged
from s3d.commands.configuring import ChangeConfiguration, Policies
from s3d.commands.knowledge import Command, Knowledge
from s3d.view.damage import ViewDamaged
from s3d.view.facts import Fact
from s3d.view.view import View

_FACTS: tuple[type, ...] = typing.get_args(Fact)
_NOTHING = Decision()
NO_POLICIES = Policies()
_LEAVE_BUCKETS_ALONE = frozenset({"PutObject", "CopyObject", "DeleteObject", "UploadPart"})


_log = logging.getLogger(__name__)


class Origin(Protocol):
    """The journal that the view belongs to; asked once it is open."""

    @property
    def identity(self) -> Identity: ...
    def base(self) -> BaseInfo | None: ...
    def base_path(self) -> str: ...


class StateMachine:
    """Implements `journal.State` over a View. Facts come this way too, so that one thread alone writes the view.

    With an `origin` the view is bound to that journal, and an empty view begins with its base. `policies` are those
    that the view was opened with. `local`: see Knowledge.
    """

    def __init__(
        self,
        view: View,
        *,
        has_remote: bool,
        origin: Origin | None = None,
        policies: Policies = NO_POLICIES,
        local: frozenset[str] = frozenset(),
    ) -> None:
        self._view = view
        self._origin = origin
        self._knowledge = Knowledge(
            view.questions,
            has_remote=has_remote,
            backlog=view.backlog_of_batch,
            conflict=policies.conflict,
            staying=view.staying_of_batch,
            local=local,
        )
        self._policies = self._policies_before = policies
        self.begin = view.begin

    @property
    def position(self) -> int:
        """The journal asks for it first of all, when it has recovered: that is when the view learns whose it is."""
        if self._origin is not None:
            origin, self._origin = self._origin, None
            self._view.bind(origin.identity.instance, origin.identity.epoch)
            if not self._view.position:
                self._begin_with_base(origin)
        return self._view.position

    def _begin_with_base(self, origin: Origin) -> None:
        """Folding ten million records takes minutes; while they are all there, a base is only a short cut."""
        base = origin.base()
        if base is None:
            return
        try:
            self._view.restore(origin.base_path(), base.position)
        except (JournalError, ValueError, OSError) as error:
            _log.warning("the base cannot be used; folding the journal instead: %s", error)
            self._view.discard()

    def decide(self, command: Command | Fact, sequence: int, now_ms: int) -> Decision:
        try:
            if isinstance(command, _FACTS):
                self._knowledge.forget_buckets()
                self._view.learn(typing.cast("Fact", command))  # not a record: it may be lost, and is then unknown
                return _NOTHING
            if isinstance(command, ChangeConfiguration):
                self._go_by(command.policies)
            return typing.cast("Command", command).decide(self._knowledge, now_ms)
        except ViewDamaged as damaged:  # no refusal of this command: nothing can be decided
            raise StateDamaged(f"the view cannot be read: {damaged.error}") from damaged

    def fold(self, record: Record) -> None:
        if record.kind not in _LEAVE_BUCKETS_ALONE:
            self._knowledge.forget_buckets()
        self._view.fold(record)

    def fold_all(self, records: Sequence[Record]) -> None:
        self._knowledge.forget_buckets()
        self._view.fold_all(records)

    def publish(self) -> None:
        self._view.publish()
        self._policies_before = self._policies

    def revert(self) -> None:
        self._knowledge.forget_buckets()  # one of them may have been made by the batch that is taken back
        try:
            self._view.revert()
        finally:
            if self._policies is not self._policies_before:
                self._go_by(self._policies_before)

    def discard(self) -> None:
        self._knowledge.forget_buckets()
        self._view.discard()

    def restore(self, path: str, position: int) -> None:
        self._knowledge.forget_buckets()
        self._view.restore(path, position)

    def _go_by(self, policies: Policies) -> None:
        """What is decided after this is decided by these, unless the batch is reverted."""
        self._knowledge.guard_by(policies.conflict)
        self._knowledge.forget_buckets()
        self._view.questions.is_shared = policies.is_shared
        before, self._policies = self._policies, policies
        if policies.by_key != before.by_key:
            self._view.index_by_key(by_key=policies.by_key)
