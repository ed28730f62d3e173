"""An operator decides that nothing more goes to the remote, or that it goes on: records, which outlive a restart."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import OUTCOME_STREAM, PAUSED, UNPAUSED, ReplicationPaused, ReplicationResumed, encode


class PauseReplication(msgspec.Struct, frozen=True):
    """Begin nothing at the remote from now on. The answer is whether that is new; another reason is a record too."""

    reason: str
    caller: str
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        paused = state.questions.paused()
        if paused is not None and paused.reason == self.reason:
            return Decision(answer=False)
        payload = encode(ReplicationPaused(caller=self.caller, claimed=self.claimed, reason=self.reason))
        return Decision((Entry(OUTCOME_STREAM, PAUSED, payload),), paused is None)


class ResumeReplication(msgspec.Struct, frozen=True):
    """Go on. The answer is whether it was paused."""

    reason: str
    caller: str
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        if state.questions.paused() is None:
            return Decision(answer=False)
        payload = encode(ReplicationResumed(caller=self.caller, claimed=self.claimed, reason=self.reason))
        return Decision((Entry(OUTCOME_STREAM, UNPAUSED, payload),), answer=True)
