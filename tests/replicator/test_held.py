"""What is told of records that wait behind a parked one is what the lanes do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from journal import Entry
from s3d.commands.outcomes import ParkRecord
from s3d.events import Mutation, encode
from s3d.replicator.held import holding, read_holding
from s3d.replicator.lanes import Lanes
from s3d.replicator.window import claims_of_row
from s3d.view.rows import PendingRow

from .replicating import Site
from .test_window import quiet  # noqa: F401 - a fixture

GROUPS = st.sampled_from([("", None), ("", None), ("g", None), ("g", True), ("g", False)])
ROWS = st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(["", "1", "2"]), GROUPS, st.booleans()), max_size=30)


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_exactly_what_the_lanes_hold_back_is_named(
    given_rows: list[tuple[str, str, tuple[str, bool | None], bool]],
) -> None:
    """Every held record, with a parked one that is older than it, and no other."""
    rows = [
        PendingRow(number, "PutObject", bucket, key, 0, 0, int(parked and not number % 3), "", "", group, barrier)
        for number, (bucket, key, (group, barrier), parked) in enumerate(given_rows, 1)
    ]
    lanes = Lanes()
    held, parked = set(), {row.sequence for row in rows if row.parked}
    for row in rows:
        claims = claims_of_row(row, None)
        if row.parked:
            lanes.block(row.sequence, claims)
        elif not lanes.admit(row.sequence, claims):
            held.add(row.sequence)
    found = holding(rows, lambda _: None, rows_max=1000)
    assert set(found.behind) == held
    assert all(root in parked and root < sequence for sequence, root in found.behind.items())
    assert sum(found.counts.values()) == len(held)
    assert found.complete


def test_there_is_an_end_to_looking() -> None:
    """What was not looked at is not said to be free: it is said that there is more."""
    rows = [PendingRow(number, "PutObject", "b", "k", 0, 0, int(number == 1), "", "") for number in range(1, 100)]
    found = holding(rows, lambda _: None, rows_max=10)
    assert (found.counts, found.complete) == ({1: 9}, False)


async def test_copies_wait_for_their_source(quiet: Site) -> None:  # noqa: F811 - the fixture
    """Which only their records name; the same is true of what waits for the copy."""
    source = await quiet.put("source", b"1")
    payload = encode(Mutation(copy_bucket="b", copy_key="source", copy_sequence=source))
    ((copy,), target) = (
        await quiet.journal.append([Entry("b/copy", "CopyObject", payload)]),
        await quiet.put("copy", b"2"),
    )
    assert read_holding(quiet.journal, quiet.questions).behind == {}
    await quiet.journal.submit(ParkRecord(source, "AccessDenied", "no"))
    found = read_holding(quiet.journal, quiet.questions)
    assert found.behind == {copy.sequence: source, target: source}
    assert found.counts == {source: 2}
    apart = read_holding(quiet.journal, quiet.questions, lambda one, other: one == other == "b")
    assert apart.behind == {}, "a copy from another remote has its bytes"
