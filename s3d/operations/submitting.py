"""Commands into the journal, and what a client is told when one cannot be decided or kept."""

import sys
from collections.abc import Callable
from typing import Any

from journal import Appended, CommitAmbiguous, DiskFull, JournalError, StateBehind
from s3d.commands.knowledge import Need, NeedBucket
from s3d.errors import S3Error, remote_unreachable
from s3d.operations.limits import Queue
from s3d.queries.asking import Asking

_ANSWERS_MAX = 4  # a decision asks for the bucket, then the object; more means that the clock runs backwards
_FEW_RECORDS = 50
Submit = Callable[..., Any]


class Submitter:
    """Submits commands; where a decision needs a fact, asks the remote for it and submits again."""

    def __init__(self, submit: Submit, asking: Asking | None, queue: Queue | None = None) -> None:
        self._submit = submit
        self._asking = asking
        self._queue = queue or Queue(sys.maxsize)

    async def submit(self, command: Any, *, essential: bool = False, records: int = 1) -> Appended:
        """The command's records, durable and visible; `records` is about how many there will be.

        Raises the S3Error that the decision came to, SlowDown when too much waits for the writer, or a 503 when the
        remote would have to be asked and cannot.
        """
        if records > _FEW_RECORDS:
            async with self._queue.alone(records):
                return await self._decided(command, essential=essential)
        self._queue.enter()
        try:
            appended: Appended = await self._submit(command, essential=essential)
        except Need as need:
            await self._answer(need)
            return await self._decided(command, essential=essential)
        except JournalError as error:
            raise as_s3_error(error) from error
        else:
            return appended
        finally:
            self._queue.leave()

    async def _decided(self, command: Any, *, essential: bool) -> Appended:
        for _ in range(_ANSWERS_MAX):
            try:
                appended: Appended = await self._submit(command, essential=essential)
            except Need as need:
                await self._answer(need)
            except JournalError as error:
                raise as_s3_error(error) from error
            else:
                return appended
        raise remote_unreachable("What this operation depends on")

    async def _answer(self, need: Need) -> None:
        if self._asking is None:
            raise remote_unreachable("What this operation depends on")
        if isinstance(need.question, NeedBucket):
            await self._asking.bucket(need.question.bucket)
        else:
            await self._asking.object(need.question.bucket, need.question.key)


def may_be_kept(error: S3Error) -> bool:
    """Whether the operation may be durable although the client is told of an error."""
    return error.code in {"InternalError", "ServiceUnavailable"}


def as_s3_error(error: JournalError) -> S3Error:
    """Nothing kept: come again. Perhaps kept: a 500, after which a client looks or repeats."""
    if isinstance(error, DiskFull):
        return S3Error(
            "SlowDown",
            "The local disk is full; nothing was kept. Deletes and reads go on.",
            headers={"Retry-After": "10"},
        )
    if isinstance(error, CommitAmbiguous):
        return S3Error("InternalError", "The operation may or may not have been kept; look before repeating it.")
    if isinstance(error, StateBehind) and error.kept:
        return S3Error("InternalError", "The operation was kept, but cannot be read back yet.")
    return S3Error("ServiceUnavailable", error.message, headers={"Retry-After": "1"})
