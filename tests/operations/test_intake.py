"""What may be taken in: bodies on their way count, and what is given back makes room again."""

import pytest

from s3d.capacity.pending import Backlog, Cap
from s3d.commands.room import BeyondCap
from s3d.errors import S3Error
from s3d.operations.intake import Intake, Room
from s3d.operations.submitting import Submitter
from s3d.policy.rules import Rule, Rules


class Site:
    def __init__(self, cap: Cap, rules: Rules | None = None) -> None:
        self.backlog = Backlog()
        self.refused: list[str] = []
        self.intake = Intake(
            Submitter(lambda *_, **__: None, None), cap, lambda: self.backlog, self.refused.append, rules
        )

    def take(self, size_bytes: int, **given: str) -> Room:
        return self.intake.take("b", "k", given, size_bytes)


def test_bodies_on_their_way_hold_their_announced_size() -> None:
    """Two uploads of 60 do not both begin under a cap of 100; when the first has failed, the second may."""
    site = Site(Cap(100))
    first = site.take(60)
    with pytest.raises(BeyondCap):
        site.take(60)
    assert site.refused == ["pending-bytes"]
    site.intake.give(first)
    site.take(60)


def test_records_on_their_way_count_too() -> None:
    """A cap on records holds for writes without bytes."""
    site = Site(Cap(100, 2))
    site.backlog = Backlog(1, 0)
    site.take(0)
    with pytest.raises(BeyondCap):
        site.intake.check("b", "k", {})
    assert site.intake.refuses() == "pending-records"
    site.backlog = Backlog(0, 0)
    site.intake.check("b", "k", {})


def test_what_can_never_fit_is_not_told_to_come_again() -> None:
    """An SDK would retry SlowDown for nothing."""
    with pytest.raises(S3Error) as raised:
        Site(Cap(100)).take(101)
    assert raised.value.code == "EntityTooLarge"
    assert raised.value.details["MaxSizeAllowed"] == "100"


def test_a_class_has_its_share_and_its_own_mark() -> None:
    """A class that is closed closes nobody else; a body that is larger than its share never fits."""
    site = Site(Cap(100), Rules([Rule(match="b[tag:bulk=1][hdr:content-length<50]", refuse_above=0.5)]))
    site.backlog = Backlog(1, 45)
    with pytest.raises(BeyondCap):
        site.take(6, Tagging="bulk=1")
    assert (site.intake.refuses(), site.refused) == ("", ["pending-class"])
    site.take(50, Tagging="bulk=1")  # not of the class, by its length
    with pytest.raises(BeyondCap):
        site.take(6)
    assert site.refused == ["pending-class", "pending-bytes"]


def test_another_cap_holds_from_the_next_write_on() -> None:
    """What was let in keeps its room, also above a cap that has shrunk; shares come and go with the rules."""
    site = Site(Cap(100))
    held = site.take(60)
    site.intake.replace(Cap(50), Rules([Rule(match="b", refuse_above=0.5)]))
    with pytest.raises(BeyondCap):
        site.take(1)
    site.intake.give(held)
    with pytest.raises(S3Error, match="larger"):
        site.take(30)
    site.intake.replace(Cap(50), None)
    assert site.take(30) == Room(30, Cap(50))
