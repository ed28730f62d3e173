"""An upload was begun at the remote in the place of one that it had forgotten."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import OUTCOME_STREAM, UPLOAD_BEGUN, UploadBegun, encode


class NoteUploadBegun(msgspec.Struct, frozen=True):
    """The remote calls it `remote_id`; it takes the place of our `upload`, whose Complete is pending at `sequence`.

    The answer is whether that is still so: what is settled by other means needs no upload.
    """

    sequence: int
    upload: str
    remote_id: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        if state.questions.pending(self.sequence) is None:
            return Decision(answer=False)
        begun = UploadBegun(upload=self.upload, remote_id=self.remote_id)
        return Decision((Entry(OUTCOME_STREAM, UPLOAD_BEGUN, encode(begun)),), answer=True)
