"""What is done about a key so that it is again what it was."""

from dataclasses import dataclass

import msgspec
import pytest

from s3d.history.namespace import Absent, State, Unknown
from s3d.history.plan import Step, step_for
from s3d.view.rows import ObjectRow

ROW = ObjectRow(5, 1, 3, "etag", 1000, b'{"Tagging":"a=1"}', None, 1, "etag", "", 2000)
DELETED = msgspec.structs.replace(ROW, sequence=9, present=0, size=0, etag="", attributes_json=b"{}")


@dataclass
class Case:
    then: State
    now: ObjectRow | None
    step: Step


@pytest.mark.parametrize(
    "case",
    [
        Case(ROW, ROW, Step("k", "keep", 3, seen=5)),
        Case(ROW, msgspec.structs.replace(ROW, sequence=8), Step("k", "keep", 3, seen=8)),
        Case(ROW, msgspec.structs.replace(ROW, etag="other"), Step("k", "put", 3, 5, "a=1", 5)),
        Case(ROW, msgspec.structs.replace(ROW, attributes_json=b"{}"), Step("k", "put", 3, 5, "a=1", 5)),
        Case(ROW, DELETED, Step("k", "put", 3, 5, "a=1", 9)),
        Case(ROW, None, Step("k", "put", 3, 5, "a=1", 0)),
        Case(Absent(), ROW, Step("k", "delete", seen=5)),
        Case(Absent(4), DELETED, Step("k", "keep", seen=9)),
        Case(Absent(), None, Step("k", "keep")),
        Case(Unknown(), ROW, Step("k", "unknown", seen=5)),
        Case(Unknown(), None, Step("k", "keep")),
        Case(Unknown(), DELETED, Step("k", "keep", seen=9)),
    ],
)
def test_a_key_becomes_what_it_was(case: Case) -> None:
    """Nothing is touched that is the same; what is not known is left alone."""
    assert step_for("k", case.then, case.now) == case.step
