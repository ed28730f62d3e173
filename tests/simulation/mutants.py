"""What would be wrong about sending and answering, each as a patch: the simulation has to notice every one of them."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from s3d.capacity.pending import Backlog
from s3d.errors import S3Error, no_such_key
from s3d.events import Confirmation
from s3d.queries import objects
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator import delivery, window
from s3d.replicator.decide import Done, Park, RetryAt
from s3d.replicator.lanes import Claims
from s3d.view import confirming
from s3d.view.questions import Questions

from .mutants_of_keeping import OF_KEEPING
from .mutants_of_others import OF_OTHERS

_decide = delivery.Delivery._decide
_next_step = delivery.next_step


def silence_is_success() -> AbstractContextManager[Any]:
    """No answer came: it will have arrived."""

    def decide(self: delivery.Delivery, failure: RemoteFailure, *, looked: bool = False) -> Any:
        if failure.kind is FailureKind.AMBIGUOUS:
            return Done(Confirmation(self.job.sequence))
        return _decide(self, failure, looked=looked)

    return patch.object(delivery.Delivery, "_decide", decide)


def the_cursor_passes_a_failure() -> AbstractContextManager[Any]:
    """After five attempts a record is let go of."""

    def decide(self: delivery.Delivery, failure: RemoteFailure, *, looked: bool = False) -> Any:
        if self.attempts >= 5:
            return Done(Confirmation(self.job.sequence))
        return _decide(self, failure, looked=looked)

    return patch.object(delivery.Delivery, "_decide", decide)


def nobody_looks_before_repeating() -> AbstractContextManager[Any]:
    """After a lost answer the record is sent again at once."""

    def step(*arguments: Any, **named: Any) -> Any:
        found = _next_step(*arguments, **named)
        return RetryAt(found.at, look=False, reason=found.reason) if isinstance(found, RetryAt) else found

    return patch.object(delivery, "next_step", step)


def own_success_is_a_conflict() -> AbstractContextManager[Any]:
    """A condition that is not met parks the record without a look at who stands in the way."""

    def step(failure: RemoteFailure, *arguments: Any, **named: Any) -> Any:
        if failure.kind is FailureKind.CONDITION:
            return Park("PreconditionFailed", "")
        found = _next_step(failure, *arguments, **named)
        return RetryAt(found.at, look=False, reason=found.reason) if isinstance(found, RetryAt) else found

    return patch.object(delivery, "next_step", step)


def what_passes_is_permanent() -> AbstractContextManager[Any]:
    """Credentials that have expired park whatever was sent with them."""

    def step(failure: RemoteFailure, *arguments: Any, **named: Any) -> Any:
        if failure.code in {"ExpiredToken", "RequestTimeTooSkewed", "InvalidAccessKeyId"}:
            return Park(failure.code, failure.message)
        return _next_step(failure, *arguments, **named)

    return patch.object(delivery, "next_step", step)


def records_overtake_each_other() -> AbstractContextManager[Any]:
    """Nothing is claimed, so everything goes at once."""
    return patch.object(window, "claims_of_row", lambda row, _job: Claims((f"{row.sequence}/x",)))


def unknown_is_absent() -> AbstractContextManager[Any]:
    """The link is down, so there is no such key."""

    def unknown(_what: str) -> S3Error:
        return no_such_key("?")

    return patch.object(objects, "remote_unreachable", unknown)


def pending_writes_are_not_listed() -> AbstractContextManager[Any]:
    """In a bucket that others write to, the remote's page is the listing."""

    def none(*_: Any, **__: Any) -> list[Any]:
        return []

    return patch.object(Questions, "unconfirmed_from", none)


def nobody_probes() -> AbstractContextManager[Any]:
    """A link that was down stays down."""
    return patch.object(delivery.Link, "_probe", _for_ever)


def what_was_superseded_is_never_settled() -> AbstractContextManager[Any]:
    """The later write has arrived, and those in whose place it was sent wait for ever."""
    return patch.object(confirming, "settle_superseded", lambda *_: Backlog())


async def _for_ever(*_: Any) -> None:
    await asyncio.sleep(1e12)


@dataclass(frozen=True)
class Mutant:
    """`noticed` is a seed that showed it when it was written: the first to be lived, in the `life` of that name."""

    make: Callable[[], AbstractContextManager[Any]]
    life: str
    noticed: int


OF_SENDING = (
    (silence_is_success, "short everything", 11),
    (the_cursor_passes_a_failure, "short everything", 12),
    (nobody_looks_before_repeating, "short everything", 12),
    (own_success_is_a_conflict, "short everything", 12),
    (what_passes_is_permanent, "short everything", 11),
    (records_overtake_each_other, "short everything", 4),
    (unknown_is_absent, "short everything", 4),
    (pending_writes_are_not_listed, "everything", 7),
    (nobody_probes, "short overwrites", 0),
    (what_was_superseded_is_never_settled, "short overwrites", 3),
)
MUTANTS: Mapping[str, Mutant] = {one[0].__name__: Mutant(*one) for one in (*OF_SENDING, *OF_KEEPING, *OF_OTHERS)}
