"""How records have ended, as their own journal says it."""

from types import SimpleNamespace
from typing import Any

from journal import Record
from journal.record import LOST
from s3d.events import Confirmation, Confirmed, Conflicted, Discarded, Superseded, encode
from s3d.replay.fates import Outcomes, fates
from s3d.replay.selection import Selection
from s3d.view.rows import PendingRow


def outcome(sequence: int, payload: Confirmed | Superseded | Discarded | Conflicted) -> Record:
    return Record(sequence, 0, "", type(payload).__name__, encode(payload), b"", 0, b"")


def test_what_was_never_sent_is_not_called_confirmed() -> None:
    """Given up, given way, superseded: none of them is at the remote, and a report says which it is."""
    outcomes = Outcomes(101, 110)
    for record in (
        outcome(106, Confirmed(confirmations=(Confirmation(101), Confirmation(99)))),
        outcome(107, Superseded(sequences=(102,), by=103)),
        outcome(108, Discarded(sequences=(104,))),
        outcome(109, Conflicted(sequence=105, decided="remote")),
        outcome(110, Conflicted(sequence=101, decided="local")),
        outcome(111, Confirmed(confirmations=(Confirmation(103, "etag"),))),
    ):
        outcomes.take(record)
    assert [outcomes.of(one) for one in range(101, 107)] == [
        "confirmed-before",
        "superseded",
        "confirmed-before",
        "dropped",
        "gave-way",
        "left",
    ]
    assert {one: (said.etag, name) for one, (said, name) in outcomes.confirmed.items()} == {103: ("etag", "default")}


def test_what_damage_took_is_told_unless_it_is_known_to_have_been_settled() -> None:
    """By name where the view still has it, as confirmed where a later record says so, else by its place alone; and not
    at all where the view that knew it had nothing of it pending.
    """
    rows = {1: PendingRow(1, "PutObject", "b", "k", 7, 0, 1, "LocalRecordUnreadable", "record 1 is lost")}
    questions: Any = SimpleNamespace(pending=rows.get)
    outcomes = Outcomes(1, 6)
    outcomes.take(outcome(6, Confirmed(confirmations=(Confirmation(5),))))
    lost = [Record(sequence, 0, "", LOST, b"{}", b"", 0, b"") for sequence in range(1, 6)]
    told = list(fates(lost, outcomes, questions, Selection(), lambda _: True, known_through=3))
    assert [(one.sequence, one.operation, one.key, one.outcome) for one in told] == [
        (1, "PutObject", "k", "lost"),
        (4, LOST, "", "lost"),
        (5, LOST, "", "confirmed-before"),
    ]
    assert "nothing is known" in told[1].message
