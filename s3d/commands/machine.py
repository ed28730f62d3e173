"""The state that the journal's writer keeps in step: decisions on the view, folds into it."""

import typing

from journal import Decision
from s3d.commands.knowledge import Command, Knowledge
from s3d.view.facts import Fact
from s3d.view.view import View

_FACTS: tuple[type, ...] = typing.get_args(Fact)
_NOTHING = Decision()


class StateMachine:
    """Implements `journal.State` over a View. Facts come this way too, so that one thread alone writes the view."""

    def __init__(self, view: View, *, has_remote: bool) -> None:
        self._view = view
        self._knowledge = Knowledge(view.questions, has_remote=has_remote)
        self.begin = view.begin
        self.fold = view.fold
        self.publish = view.publish
        self.revert = view.revert
        self.discard = view.discard

    @property
    def position(self) -> int:
        return self._view.position

    def decide(self, command: Command | Fact, sequence: int, now_ms: int) -> Decision:
        if isinstance(command, _FACTS):
            self._view.learn(typing.cast("Fact", command))  # not a record: it may be lost, and is then unknown
            return _NOTHING
        return typing.cast("Command", command).decide(self._knowledge, now_ms)
