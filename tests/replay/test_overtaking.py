"""What damage took stands in nobody's way: which later write goes in its place, and where none may."""

import pytest

from s3d.replay.overtaking import overtaking
from s3d.view.rows import PendingRow

GONE, LOST, REFUSED = "LocalBodyUnreadable", "LocalRecordUnreadable", "AccessDenied"


def row(sequence: int, kind: str, code: str = "", key: str = "k", **more: str | int) -> PendingRow:
    return PendingRow(sequence, kind, "b", key, 1, 0, int(bool(code)), code, "", **more)  # type: ignore[arg-type]


PUT, LATER = row(1, "PutObject", GONE), row(5, "PutObject")
PART = row(1, "UploadPart", GONE)


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ([PUT, LATER], [((1,), 5)]),
        ([row(1, "DeleteObject", LOST), LATER], [((1,), 5)]),
        ([PUT, row(2, "PutObjectTagging"), row(3, "DeleteObject"), LATER], [((1, 2), 3)]),
        ([PUT, row(2, "PutObject", GONE), LATER], [((1, 2), 5)]),
        ([PUT, row(2, "CopyObject", superseded_by=3), LATER], [((1,), 5)]),
        ([PART, row(2, "CompleteMultipartUpload"), LATER], [((2,), 5)]),
        ([PUT, row(2, "CreateMultipartUpload"), row(3, "CompleteMultipartUpload")], [((1,), 3)]),
        ([PUT, row(2, "PutObject", key="other"), row(3, "CreateBucket", LOST, key="")], []),
        ([PUT, row(2, "PutObjectTagging")], []),
        ([PUT, row(2, "PutObject", REFUSED), LATER], []),
        ([row(1, "PutObject", REFUSED), LATER], []),
        ([PUT, row(5, "PutObject", order_group="g")], []),
        ([row(1, "PutObject", superseded_by=5, code=GONE), LATER], []),
        ([PART, LATER], []),
        ([], []),
    ],
)
def test_the_next_write_that_stands_for_itself_goes_instead(
    pending: list[PendingRow], expected: list[tuple[tuple[int, ...], int]]
) -> None:
    """Not one of another key, not tags, not past what the remote refused, and nothing of an order group."""
    assert [*overtaking(pending)] == expected
