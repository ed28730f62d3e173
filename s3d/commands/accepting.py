"""An operator says that what is here is all there is, although records were lost: a record that outlives a restart."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import LOSS_ACCEPTED, OUTCOME_STREAM, LossAccepted, encode


class AcceptLoss(msgspec.Struct, frozen=True):
    """What is not here is absent from now on. The answer is the loss (view/losses.py), None where nothing is lost."""

    reason: str
    caller: str
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        loss = state.questions.loss()
        if loss is None:
            return Decision(answer=None)
        accepted = LossAccepted(caller=self.caller, claimed=self.claimed, reason=self.reason, records=loss.records)
        return Decision((Entry(OUTCOME_STREAM, LOSS_ACCEPTED, encode(accepted)),), loss)
