"""`x-amz-expected-bucket-owner`: a bucket of somebody else's is neither read nor written."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import LiveDaemon, nothing_left, running_daemon

OURS, ANOTHER = "123456789012", "210987654321"
REQUESTS: dict[str, dict[str, Any]] = {
    "put_object": {"Key": "k", "Body": b"x"},
    "get_object": {"Key": "old"},
    "head_object": {"Key": "old"},
    "delete_object": {"Key": "old"},
    "delete_objects": {"Delete": {"Objects": [{"Key": "old"}]}},
    "copy_object": {"Key": "k", "CopySource": "bucket/old"},
    "list_objects_v2": {},
    "head_bucket": {},
    "delete_bucket": {},
    "create_multipart_upload": {"Key": "k"},
    "get_object_tagging": {"Key": "old"},
    "get_object_attributes": {"Key": "old", "ObjectAttributes": ["ETag"]},
    "list_multipart_uploads": {},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    config = f'[auth]\naccount = "{OURS}"\n'
    with running_daemon(tmp_path_factory.mktemp("owned") / "data", auth=True, config=config) as made:
        yield made


@pytest.fixture(scope="module")
def client(daemon: LiveDaemon) -> Iterator[Any]:
    made = daemon.client()
    made.create_bucket(Bucket="bucket")
    made.put_object(Bucket="bucket", Key="old", Body=b"old", ExpectedBucketOwner=OURS)
    yield made
    made.close()


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize(
    ("owner", "status", "code"), [(ANOTHER, 403, "AccessDenied"), ("me", 400, "InvalidBucketOwnerAWSAccountID")]
)
def test_a_request_for_another_owners_bucket_is_refused(
    daemon: LiveDaemon, client: Any, operation: str, owner: str, status: int, code: str
) -> None:
    """Reads and writes alike, and nothing is left behind."""
    with nothing_left(daemon), pytest.raises(ClientError) as error:
        getattr(client, operation)(Bucket="bucket", ExpectedBucketOwner=owner, **REQUESTS[operation])
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    if not operation.startswith("head"):
        assert error.value.response["Error"]["Code"] == code


def test_the_source_of_a_copy_has_an_owner_too(daemon: LiveDaemon, client: Any) -> None:
    """Each of the two buckets is held against its own header."""
    request = {"Bucket": "bucket", "Key": "copy", "CopySource": "bucket/old"}
    with nothing_left(daemon), pytest.raises(ClientError, match="AccessDenied"):
        client.copy_object(**request, ExpectedBucketOwner=OURS, ExpectedSourceBucketOwner=ANOTHER)
    client.copy_object(**request, ExpectedBucketOwner=OURS, ExpectedSourceBucketOwner=OURS)
    assert client.get_object(Bucket="bucket", Key="copy", ExpectedBucketOwner=OURS)["Body"].read() == b"old"
