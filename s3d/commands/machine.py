"""The state that the journal's writer keeps in step: decisions on the view, folds into it."""

import typing

from journal import Decision, Record
from s3d.commands.knowledge import Command, Knowledge
from s3d.view.facts import Fact
from s3d.view.view import View

_FACTS: tuple[type, ...] = typing.get_args(Fact)
_NOTHING = Decision()
_LEAVE_BUCKETS_ALONE = frozenset({"PutObject", "CopyObject", "DeleteObject", "UploadPart"})


class StateMachine:
    """Implements `journal.State` over a View. Facts come this way too, so that one thread alone writes the view."""

    def __init__(self, view: View, *, has_remote: bool) -> None:
        self._view = view
        self._knowledge = Knowledge(view.questions, has_remote=has_remote)
        self.begin = view.begin
        self.publish = view.publish

    @property
    def position(self) -> int:
        return self._view.position

    def decide(self, command: Command | Fact, sequence: int, now_ms: int) -> Decision:
        if isinstance(command, _FACTS):
            self._knowledge.forget_buckets()
            self._view.learn(typing.cast("Fact", command))  # not a record: it may be lost, and is then unknown
            return _NOTHING
        return typing.cast("Command", command).decide(self._knowledge, now_ms)

    def fold(self, record: Record) -> None:
        if record.kind not in _LEAVE_BUCKETS_ALONE:
            self._knowledge.forget_buckets()
        self._view.fold(record)

    def revert(self) -> None:
        self._knowledge.forget_buckets()  # one of them may have been made by the batch that is taken back
        self._view.revert()

    def discard(self) -> None:
        self._knowledge.forget_buckets()
        self._view.discard()
