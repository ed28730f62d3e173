"""One way in: authorise, then dispatch. Every surface calls `perform`, and nothing else of this floor."""

from collections.abc import Awaitable, Callable, Mapping

from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.durability import Contract
from s3d.operations.ownership import check_owner
from s3d.view.damage import RowDamaged

Handler = Callable[[Call], Awaitable[Reply]]


class Operations:
    """The table of what this daemon can do; `is_current` says whether the view shows all that was acknowledged.

    Every bucket belongs to `account`, a number of twelve digits. `distrust` has a view rebuilt that turned out to be
    damaged. `contract` knows what an acknowledgement has to wait for; None: for the journal, always.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        is_current: Callable[[], bool],
        account: str,
        distrust: Callable[[], None] = lambda: None,
        contract: Contract | None = None,
        key_bytes_max: Callable[[str], int] | None = None,
    ) -> None:
        self._handlers = handlers
        self._is_current = is_current
        self._account = account
        self._distrust = distrust
        self._contract = contract
        self._key_bytes_max = key_bytes_max

    def replace(self, handlers: Mapping[str, Handler]) -> None:
        """Others handle every call that begins from now on; one that has begun is handled to its end as it began."""
        self._handlers = handlers

    def check_known(self, operation: str) -> None:
        """Raise NotImplemented for an operation that is not in the table: a surface asks before it reads anything."""
        if operation not in self._handlers:
            raise S3Error(
                "NotImplemented",
                "A header or query you provided implies functionality that is not implemented",
                details={"Operation": operation},
            )

    async def perform(self, call: Call) -> Reply:
        """Do what an authenticated caller asks. Raises S3Error.

        Authorisation is one question today: who was authenticated may do everything. Policies will be asked here.
        """
        self.check_known(call.operation)
        handler = self._handlers[call.operation]
        if not self._is_current():  # a read behind the last acknowledgement would be a lie
            raise S3Error("ServiceUnavailable", "The local view is being rebuilt.", headers={"Retry-After": "1"})
        if call.bucket:
            limits.check_named_bucket(call.bucket)
        if call.key:
            limits.check_key(call.key)
            if self._key_bytes_max is not None:
                limits.check_key(call.key, self._key_bytes_max(call.bucket))
        check_owner(call.input, self._account)
        promise = self._contract.promised(call) if self._contract is not None else None
        try:
            reply = await handler(call)
            if promise is not None and self._contract is not None:
                return await self._contract.keep(promise, call, reply)
            return reply
        except RowDamaged:
            self._distrust()
            raise
