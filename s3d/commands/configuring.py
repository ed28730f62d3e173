"""Other rules hold from a record on: it stands in the journal where decisions by the old ones end.

What decisions ask of the rules is handed over with the command, and taken over by the writer together with the record:
a batch that is not kept gives both back (machine.py).
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import CONFIGURED, OUTCOME_STREAM, ConfigurationChanged, Policy, encode
from s3d.view.questions import Questions


@dataclass(frozen=True, slots=True)
class Policies:
    """What the rules say to whoever decides; None: they do not speak of it.

    `is_shared` tells of a bucket whether others write to it, `conflict` what guards writes of a key. `by_key`: see
    View.
    """

    is_shared: Callable[[str], bool] | None = None
    conflict: Callable[[str, str], Policy | None] | None = None
    by_key: bool = False


def asked_under(questions: Questions, policies: Policies) -> Questions:
    """The same questions on the same connection for whoever goes by these policies."""
    other = copy(questions)
    other.is_shared = policies.is_shared
    return other


class ChangeConfiguration(msgspec.Struct, frozen=True):
    """Put these policies in force, and say so in the journal."""

    change: ConfigurationChanged
    policies: Policies

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision((Entry(OUTCOME_STREAM, CONFIGURED, encode(self.change)),))
