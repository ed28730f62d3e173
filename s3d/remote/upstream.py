"""The remote as a read sees it: one attempt, at once, and the link learns from the answer.

While the link is known to be down nothing is tried: a reader offline gets its answer in microseconds, not after a
connection timeout. The replicator's probe finds out when the link is back.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Remote, RemoteStream


class Link(Protocol):
    """What is known of the link."""

    @property
    def is_up(self) -> bool:
        """False only when it is known to be down."""

    def report_success(self) -> None:
        """The remote answered."""

    def report_failure(self, failure: RemoteFailure) -> None:
        """An attempt failed; the failure's kind says whether that is the link's fault."""


class Upstream:
    """Asks the remote on behalf of a reader. Every method raises RemoteFailure."""

    def __init__(self, remote: Remote, link: Link) -> None:
        self._remote = remote
        self._link = link

    @property
    def is_up(self) -> bool:
        """False only when the link is known to be down."""
        return self._link.is_up

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """One operation, one attempt."""
        self._refuse_while_down()
        try:
            output = await self._remote.call(operation, parameters)
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
