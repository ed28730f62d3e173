"""How records have ended, as their own journal says it."""

from journal import Record
from s3d.events import Confirmation, Confirmed, Conflicted, Discarded, Superseded, encode
from s3d.replay.fates import Outcomes


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
