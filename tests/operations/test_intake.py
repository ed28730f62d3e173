"""What may be taken in: bodies on their way count, and what is given back makes room again."""

import pytest

from s3d.capacity.pending import Backlog, Cap
from s3d.commands.room import BeyondCap
from s3d.errors import S3Error
from s3d.operations.intake import Intake
from s3d.operations.submitting import Submitter


class Site:
    def __init__(self, cap: Cap) -> None:
        self.backlog = Backlog()
        self.refused: list[str] = []
        self.intake = Intake(Submitter(lambda *_, **__: None, None), cap, lambda: self.backlog, self.refused.append)


def test_bodies_on_their_way_hold_their_announced_size() -> None:
    """Two uploads of 60 do not both begin under a cap of 100; when the first has failed, the second may."""
    site = Site(Cap(100))
    site.intake.take(60)
    with pytest.raises(BeyondCap):
        site.intake.take(60)
    assert site.refused == ["pending-bytes"]
    site.intake.give(60)
    site.intake.take(60)


def test_records_on_their_way_count_too() -> None:
    """A cap on records holds for writes without bytes."""
    site = Site(Cap(100, 2))
    site.backlog = Backlog(1, 0)
    site.intake.take(0)
    with pytest.raises(BeyondCap):
        site.intake.check()
    assert site.intake.refuses() == "pending-records"
    site.backlog = Backlog(0, 0)
    site.intake.check()


def test_what_can_never_fit_is_not_told_to_come_again() -> None:
    """An SDK would retry SlowDown for nothing."""
    with pytest.raises(S3Error) as raised:
        Site(Cap(100)).intake.take(101)
    assert raised.value.code == "EntityTooLarge"
    assert raised.value.details["MaxSizeAllowed"] == "100"
