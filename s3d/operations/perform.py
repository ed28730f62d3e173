"""One way in: authorise, then dispatch. Every surface calls `perform`, and nothing else of this floor."""

from collections.abc import Awaitable, Callable, Mapping

from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply

Handler = Callable[[Call], Awaitable[Reply]]


class Operations:
    """The table of what this daemon can do; `is_current` says whether the view shows all that was acknowledged."""

    def __init__(self, handlers: Mapping[str, Handler], is_current: Callable[[], bool]) -> None:
        self._handlers = handlers
        self._is_current = is_current

    async def perform(self, call: Call) -> Reply:
        """Do what an authenticated caller asks. Raises S3Error.

        Authorisation is one question today: who was authenticated may do everything. Policies will be asked here.
        """
        handler = self._handlers.get(call.operation)
        if handler is None:
            raise S3Error(
                "NotImplemented",
                "A header or query you provided implies functionality that is not implemented",
                details={"Operation": call.operation},
            )
        if not self._is_current():  # a read behind the last acknowledgement would be a lie
            raise S3Error("ServiceUnavailable", "The local view is being rebuilt.", headers={"Retry-After": "1"})
        if call.key:
            limits.check_key(call.key)
        return await handler(call)
