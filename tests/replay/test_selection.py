"""Which records a replay takes: what was asked for, and what that cannot do without."""

import pytest

from s3d.replay.selection import Place, PlaceError, Selection, parse_place
from s3d.view.rows import PendingRow


def row(sequence: int, kind: str = "PutObject", bucket: str = "b", key: str = "k", at_ms: int = 0) -> PendingRow:
    return PendingRow(sequence, kind, bucket, key, 1, at_ms or sequence * 1000, 0, "", "")


ROWS = [
    row(1, "CreateBucket", key=""),
    row(2, key="a/1"),
    row(3, "DeleteObject", key="a/2"),
    row(4, "CreateMultipartUpload", key="a/big"),
    row(5, "UploadPart", key="a/big"),
    row(6, "CompleteMultipartUpload", key="a/big"),
    row(7, "CreateBucket", bucket="other", key=""),
    row(8, bucket="other"),
]


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), [1, 2, 3, 4, 5, 6, 7, 8]),
        (Selection(first=Place(sequence=3), last=Place(sequence=5)), [1, 3, 4, 5]),
        (Selection(first=Place(at_ms=6500)), [1, 7, 8]),
        (Selection(last=Place(at_ms=2500)), [1, 2]),
        (Selection(prefix="b"), [1, 2, 3, 4, 5, 6]),
        (Selection(prefix="b/a/b"), [1, 4, 5, 6]),
        (Selection(prefix="other/"), [7, 8]),
        (Selection(operations=frozenset({"DeleteObject"})), [1, 3, 7]),
        (Selection(operations=frozenset({"CompleteMultipartUpload"}), prefix="b"), [1, 4, 5, 6]),
        (Selection(prefix="nowhere"), []),
    ],
)
def test_what_is_taken(selection: Selection, taken: list[int]) -> None:
    """Both ends count. A bucket is made whenever something is put into it, and an upload is taken whole."""
    assert [one.sequence for one in ROWS if selection.selects(one)] == taken


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1042", Place(sequence=1042)),
        ("3-1042", Place(sequence=1042)),
        ("2026-11-23", Place(at_ms=1795392000000)),
        ("2026-11-23T08:00:00Z", Place(at_ms=1795420800000)),
        ("2026-11-23T09:00:00+01:00", Place(at_ms=1795420800000)),
    ],
)
def test_places(text: str, place: Place) -> None:
    """A sequence as it is, or as x-s3d-seq writes it; a time in UTC, or in the zone that it names."""
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1-", "2026-13-01", "٣"])
def test_what_is_no_place(text: str) -> None:
    """One line that shows how it is written."""
    with pytest.raises(PlaceError, match="neither a sequence nor a time"):
        parse_place(text)
