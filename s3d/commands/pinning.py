"""An operator decides what stays here of what the remote has as well: records, which outlive a restart."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.errors import S3Error
from s3d.events import CACHE_PINNED, CACHE_UNPINNED, OUTCOME_STREAM, CachePinned, CacheUnpinned, encode

PINS_MAX = 1000  # each is looked at for each object that is cached


class PinPrefix(msgspec.Struct, frozen=True):
    """What is here of these keys is not recycled any more. The answer is whether that is new; another reason is a
    record too. Raises S3Error where there are too many pins.
    """

    bucket: str
    prefix: str
    caller: str
    reason: str = ""
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        pin = state.questions.pin(self.bucket, self.prefix)
        if pin is not None and pin.reason == self.reason:
            return Decision(answer=False)
        if pin is None and state.questions.pins_count() >= PINS_MAX:
            raise S3Error("TooManyPins", f"There are {PINS_MAX:,} pins: shorter prefixes need fewer of them.")
        pinned = CachePinned(
            bucket=self.bucket, prefix=self.prefix, caller=self.caller, claimed=self.claimed, reason=self.reason
        )
        return Decision((Entry(OUTCOME_STREAM, CACHE_PINNED, encode(pinned)),), pin is None)


class UnpinPrefix(msgspec.Struct, frozen=True):
    """It may be recycled again. The answer is whether it was pinned."""

    bucket: str
    prefix: str
    caller: str
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        if state.questions.pin(self.bucket, self.prefix) is None:
            return Decision(answer=False)
        unpinned = CacheUnpinned(bucket=self.bucket, prefix=self.prefix, caller=self.caller, claimed=self.claimed)
        return Decision((Entry(OUTCOME_STREAM, CACHE_UNPINNED, encode(unpinned)),), answer=True)
