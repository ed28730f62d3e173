"""How much may stay: a share of the volume, and together with what is pending no more than fits."""

import pytest
from edge_state import Edge, create, put

from s3d.capacity.local import LocalCap, Staying, judge_local
from s3d.capacity.pending import Backlog, Cap
from s3d.commands.local_buckets import SettleLocalBuckets
from s3d.commands.room import BeyondCap, InsideCap, InsideLocalCap, LocalFull
from s3d.errors import S3Error
from s3d.operations.intake import Intake
from s3d.operations.local_room import LocalRoom
from s3d.operations.submitting import Submitter

CAP = LocalCap(bytes_max=50, together_bytes_max=90)
STAYS = frozenset({"stays"})


class Site:
    def __init__(self) -> None:
        self.backlog, self.staying = Backlog(), Staying()
        self.refused: list[str] = []
        room = LocalRoom(STAYS, CAP, lambda: self.staying)
        self.intake = Intake(
            Submitter(lambda *_, **__: None, None), Cap(90), lambda: self.backlog, self.refused.append, None, room
        )

    def take(self, bucket: str, size_bytes: int):
        return self.intake.take(bucket, "k", {}, size_bytes)


@pytest.mark.parametrize(
    ("staying", "pending", "adding", "reason"),
    [
        (0, 0, 50, None),
        (0, 0, 51, "local-bytes"),
        (50, 0, 1, "local-bytes"),
        (50, 90, 0, None),
        (20, 50, 20, None),
        (20, 50, 21, "pending-bytes"),
        (0, 90, 1, "pending-bytes"),
    ],
)
def test_both_caps_hold(staying, pending, adding, reason):
    """What stays has a cap of its own; what is pending can take the room as well, for a while."""
    assert judge_local(CAP, staying, Backlog(1, pending), adding) == reason


def test_what_stays_is_not_pending_and_takes_its_room_all_the_same():
    """Bodies on their way count on both sides, from their first byte until they are given back."""
    site = Site()
    held = site.take("stays", 40)
    with pytest.raises(LocalFull) as full:
        site.take("stays", 11)
    assert (full.value.code, full.value.headers) == ("LocalStorageFull", {}), "to come again would not help"
    site.take("goes", 50)
    with pytest.raises(BeyondCap):
        site.take("goes", 1)
    site.intake.give(held)
    site.take("goes", 1)
    assert site.refused == ["local-bytes", "pending-bytes"]
    with pytest.raises(BeyondCap):
        site.take("stays", 40)
    with pytest.raises(S3Error, match="larger than all that may stay here") as raised:
        site.take("stays", 51)
    assert raised.value.code == "EntityTooLarge"


def test_what_adds_nothing_is_never_refused():
    """An empty object, or the beginning of an upload, in a full bucket."""
    site = Site()
    site.staying, site.backlog = Staying(3, 50), Backlog(1, 40)
    site.intake.check("stays", "k", {})
    assert site.intake.refuses_local() == "local-bytes"
    assert site.intake.left_of(Cap(90)) == Cap(40)
    assert site.intake.room_bytes == 0


def test_racing_writes_do_not_pass_a_cap_together(tmp_path):
    """Decided one after another: what a command before it in the batch has added counts, on either side."""
    edge = Edge(tmp_path, local=STAYS)
    edge.run(SettleLocalBuckets(), create("goes"))
    racing = [InsideLocalCap(put("stays", f"k{n}", b"x" * 20), 20, CAP) for n in range(3)]
    outcomes = edge.run(*racing)
    assert [type(one) for one in outcomes[2:]] == [LocalFull]
    outcomes = edge.run(*(InsideCap(put("goes", f"k{n}", b"x" * 30), 30, Cap(90), CAP) for n in range(2)))
    assert [type(one) for one in outcomes[1:]] == [BeyondCap]
    assert (edge.view.staying, edge.view.backlog.size_bytes) == (Staying(2, 40), 30)
    edge.close()
