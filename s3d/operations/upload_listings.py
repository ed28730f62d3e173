"""ListMultipartUploads: uploads that are open here, by key and then by age."""

from collections.abc import Iterator, Mapping
from typing import Any

from s3d.dates import iso_date
from s3d.errors import S3Error
from s3d.operations.calls import Call, Reply
from s3d.operations.listings import OWNER
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket
from s3d.view.questions import Questions
from s3d.view.rows import UploadRow

LISTED_MAX = 1000


class UploadListings:
    """Knows the uploads that were begun through this daemon; others at the remote are not its business."""

    def __init__(self, questions: Questions, asking: Asking | None) -> None:
        self._questions = questions
        self._asking = asking

    async def list_uploads(self, call: Call) -> Reply:
        """One page, rolled up at the delimiter."""
        given = call.input
        _check_encoding(given)
        await existing_bucket(self._questions, self._asking, call.bucket)
        prefix, delimiter = given.get("Prefix", ""), given.get("Delimiter", "")
        limit = min(int(given.get("MaxUploads", LISTED_MAX)), LISTED_MAX)
        shown: list[UploadRow] = []
        prefixes: list[str] = []
        more = False
        for row in self._behind_markers(call.bucket, given, limit):
            if not row.key.startswith(prefix):
                break
            rolled = _common_prefix(row.key, prefix, delimiter)
            if rolled is not None and rolled in prefixes[-1:]:
                continue
            if len(shown) + len(prefixes) >= limit:
                more = limit > 0  # a page of nothing says that there is no more
                break
            if rolled is not None:
                prefixes.append(rolled)
            else:
                shown.append(row)
        return Reply(_output(call, limit, shown, prefixes, more=more))

    def _behind_markers(self, bucket: str, given: Mapping[str, Any], limit: int) -> Iterator[UploadRow]:
        """Open uploads from the prefix on and behind the markers, a page at a time."""
        prefix, marker = given.get("Prefix", ""), given.get("KeyMarker", "")
        # An upload id means nothing without its key.
        key, after = max((marker, given.get("UploadIdMarker") or None), (prefix, ""), key=lambda one: one[0])
        done = _common_prefix(marker, prefix, given.get("Delimiter", "")) if marker.startswith(prefix) else None
        while True:
            rows = self._questions.open_uploads(bucket, key, after, limit + 1)
            yield from (row for row in rows if done is None or not row.key.startswith(done))
            if len(rows) <= limit:
                return
            key, after = rows[-1].key, rows[-1].upload


def _check_encoding(given: Mapping[str, Any]) -> None:
    if given.get("EncodingType", "url") != "url":
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            details={"ArgumentName": "encoding-type", "ArgumentValue": given["EncodingType"]},
        )


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: at + len(delimiter)] if at >= 0 else None


def _output(call: Call, limit: int, shown: list[UploadRow], prefixes: list[str], *, more: bool) -> dict[str, Any]:
    given = call.input
    output: dict[str, Any] = {
        "Bucket": call.bucket,
        "KeyMarker": given.get("KeyMarker", ""),
        "UploadIdMarker": given.get("UploadIdMarker", ""),
        "Prefix": given.get("Prefix", ""),
        "MaxUploads": limit,
        "IsTruncated": more,
        "Uploads": [_entry(row) for row in shown],
        "CommonPrefixes": [{"Prefix": one} for one in prefixes],
    }
    for name in ("Delimiter", "EncodingType"):
        if given.get(name):
            output[name] = given[name]
    if more and (shown or prefixes):
        last_key = max([*(row.key for row in shown[-1:]), *prefixes[-1:]], default="")
        output["NextKeyMarker"] = last_key
        output["NextUploadIdMarker"] = shown[-1].upload if shown and shown[-1].key == last_key else ""
    return output


def _entry(row: UploadRow) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "UploadId": row.upload,
        "Key": row.key,
        "Initiated": iso_date(row.initiated_ms),
        "StorageClass": row.attributes.get("StorageClass", "STANDARD"),
        "Owner": OWNER,
        "Initiator": {"ID": OWNER["ID"], "DisplayName": OWNER["DisplayName"]},
    }
    if "ChecksumAlgorithm" in row.attributes:
        entry |= {"ChecksumAlgorithm": row.checksum_algorithm, "ChecksumType": row.checksum_type}
    return entry
