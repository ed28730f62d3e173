"""Give up an upload that its client has forgotten: an abort like any other, decided on what is so at that moment."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import UPLOAD_EXPIRY, Mutation, encode
from s3d.values import upload_stream


class ExpireUpload(msgspec.Struct, frozen=True):
    """Abort an upload to which nothing has come since a moment. The answer is whether it was: not when it has been
    completed, aborted or gone on with meanwhile.
    """

    bucket: str
    key: str
    upload: str
    idle_since_ms: int

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        found = state.questions.unfinished_upload(self.upload)
        if found is None or found.latest_ms > self.idle_since_ms:
            return Decision((), answer=False)
        stays = self.bucket in state.local
        mutation = Mutation(caller=UPLOAD_EXPIRY, upload=self.upload, stays_local=stays)
        stream = upload_stream(self.bucket, self.key, self.upload)
        return Decision((Entry(stream, "AbortMultipartUpload", encode(mutation)),), answer=True)
