"""The remote as a read sees it: one attempt, at once, and the link learns from the answer.

While the link is known to be down nothing is tried: a reader offline gets its answer in microseconds, not after a
connection timeout. The replicator's probe finds out when the link is back. Of several remotes each bucket's own is
asked, so that one that is away is away for its buckets only.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Remote, RemoteStream


class Link(Protocol):
    """What is known of the link."""

    @property
    def is_up(self) -> bool:
        """False only when it is known to be down."""

    def report_success(self) -> None:
        """The remote answered."""

    def report_failure(self, failure: RemoteFailure) -> None:
        """An attempt failed; the failure's kind says whether that is the link's fault."""


class Reads(Protocol):
    """Asks on behalf of a reader: one remote, or several by bucket. `call` and `open` raise RemoteFailure."""

    def reaches(self, bucket: str) -> bool:
        """False only when the link to this bucket's remote is known to be down."""

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """One operation, one attempt."""

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """One operation whose answer has a body, one attempt."""


class Upstreams:
    """Implements `Reads` over several remotes, by their names; `remote_of` says of a bucket where it is.

    What is about no bucket is asked at the remote of all buckets that nobody names, `of_others`.
    """

    def __init__(self, upstreams: Mapping[str, Reads], remote_of: Callable[[str], str], of_others: str) -> None:
        self._upstreams = upstreams
        self._remote_of = remote_of
        self._of_others = of_others

    def reaches(self, bucket: str) -> bool:
        """See `Reads`."""
        return self._of(bucket).reaches(bucket)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Reads`."""
        return await self._of(parameters.get("Bucket")).call(operation, parameters)

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `Reads`."""
        return await self._of(parameters.get("Bucket")).open(operation, parameters)

    def _of(self, bucket: str | None) -> Reads:
        return self._upstreams[self._of_others if bucket is None else self._remote_of(bucket)]


class Upstream:
    """Implements `Reads` over one remote, and tells its link."""

    def __init__(self, remote: Remote, link: Link) -> None:
        self._remote = remote
        self._link = link

    def reaches(self, bucket: str) -> bool:
        """See `Reads`."""
        return self._link.is_up

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> Mapping[str, Any]:
        """One operation, one attempt."""
        self._refuse_while_down()
        try:
            output = await self._remote.call(operation, parameters, content)
        except RemoteFailure as failure:
            self._report(failure)
            raise
        self._link.report_success()
        return output

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """One operation whose answer has a body, one attempt."""
        self._refuse_while_down()
        try:
            stream = await self._remote.open(operation, parameters)
        except RemoteFailure as failure:
            self._report(failure)
            raise
        self._link.report_success()
        return stream

    def _refuse_while_down(self) -> None:
        if not self._link.is_up:
            raise RemoteFailure(FailureKind.UNREACHABLE, message="the link to the remote is down")

    def _report(self, failure: RemoteFailure) -> None:
        if failure.status:
            self._link.report_success()
        else:
            self._link.report_failure(failure)
