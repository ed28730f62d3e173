"""What the remote answered to earlier records: the ETags that later ones depend on."""

from collections import OrderedDict

from s3d.events import Confirmation
from s3d.view.questions import Questions

REMEMBERED_MAX = 10_000


class KnownEtags:
    """The latest answers in memory, the rest from the view while the record is its key's current one."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._etags: OrderedDict[int, str] = OrderedDict()

    def remember(self, confirmation: Confirmation) -> None:
        """The remote answered."""
        if confirmation.etag:
            self._etags[confirmation.sequence] = confirmation.etag
            if len(self._etags) > REMEMBERED_MAX:
                self._etags.popitem(last=False)

    def etag(self, sequence: int, bucket: str, key: str) -> str | None:
        """The remote's ETag of the object that a record made; None: not known any more, or never confirmed."""
        known = self._etags.get(sequence)
        if known is not None or not sequence:
            return known
        row = self._questions.object(bucket, key)
        return (row.remote_etag or None) if row is not None and row.sequence == sequence else None
