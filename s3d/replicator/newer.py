"""What a restored backup would send again must not take the place of what has come there since. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.conflicting import is_guarded
from s3d.replicator.requests import TOKEN_KEY, Job, bare
from s3d.replicator.tokens import Tokens

CODE = "NewerAtRemote"
CLOCK_MS = 1000  # the remote tells whole seconds


def refuse_older(job: Job, head: Mapping[str, Any], tokens: Tokens) -> None:
    """Raise RemoteFailure, for a person, when what is there may be newer than a record that a backup brought back.

    A later write of ours was recognised before, by its token. This is about all others: of a stranger, or of ours where
    objects carry no tokens. A guarded write has a policy of its own.
    """
    if job.sequence > tokens.restored_through or is_guarded(job):
        return
    written, given = head.get("LastModified"), head.get("Metadata", {})
    if not isinstance(written, datetime) or written.timestamp() * 1000 + CLOCK_MS <= job.record.written_at:
        return
    if tokens.is_earlier(given.get(TOKEN_KEY, ""), job.sequence):
        return  # an earlier write of ours, which arrived late
    if job.mutation.replaces and bare(head.get("ETag", "")) == job.mutation.replaces_etag != "":
        return
    raise RemoteFailure(
        FailureKind.PERMANENT,
        code=CODE,
        message=f"a backup brought this back, and the remote has something that came after it ({written.isoformat()})",
    )
