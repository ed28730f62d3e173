"""What damage has taken, and that a person accepts it."""

from s3d.auth.operators import Operator
from s3d.commands.accepting import AcceptLoss
from s3d.operations.submitting import Submitter
from s3d.telemetry.losses import LossesReport, LossReport
from s3d.telemetry.report import format_sequence, iso_time
from s3d.view.losses import Loss
from s3d.view.questions import Questions


class LostRecords:
    """Implements `http.loss_routes.LossSource`. Used on the event loop."""

    def __init__(self, questions: Questions, submitter: Submitter, epoch: int) -> None:
        self._questions = questions
        self._submitter = submitter
        self._epoch = epoch

    async def report(self) -> LossesReport:
        """What is lost. Raises S3dError."""
        return LossesReport(loss=self._told(self._questions.loss()))

    async def accept(self, reason: str, who: Operator) -> LossesReport:
        """Have what is not here count as absent; what was lost. Raises S3dError."""
        is_unknown = self._is_unknown()
        command = AcceptLoss(reason, who.caller, who.claimed)
        appended = await self._submitter.submit(command, essential=True)
        seq = format_sequence(self._epoch, appended.records[-1].sequence) if appended.records else ""
        return LossesReport(loss=self._told(appended.answer, is_unknown=is_unknown), seq=seq)

    def _told(self, loss: Loss | None, *, is_unknown: bool | None = None) -> LossReport | None:
        if loss is None:
            return None
        return loss_report(self._epoch, loss, is_unknown=self._is_unknown() if is_unknown is None else is_unknown)

    def _is_unknown(self) -> bool:
        questions = self._questions
        return questions.may_lack(None) or questions.losses.hides(stays_local=bool(questions.local_buckets()))


def loss_report(epoch: int, loss: Loss, *, is_unknown: bool) -> LossReport:
    """The row as it is told."""
    return LossReport(
        records=loss.records,
        first=format_sequence(epoch, loss.first),
        last=format_sequence(epoch, loss.last),
        since=iso_time(loss.at_ms / 1000) if loss.at_ms else "",
        is_unknown=is_unknown,
    )
