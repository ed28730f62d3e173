"""Buckets through boto3."""

import pytest
from botocore.exceptions import ClientError


def test_a_bucket_from_creation_to_deletion(s3, bucket):
    """Create, head, locate, list; not empty cannot go; empty goes; then it is a 404 and may come again."""
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(s3.exceptions.ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert error.value.response["Error"]["Code"] == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_creating_ones_own_bucket_again_is_fine_in_us_east_1(s3, bucket, daemon):
    """As S3 does there: 200, and what is in it stays. Nothing is journaled."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = daemon.ask("/status")["head"]
    s3.create_bucket(Bucket=bucket)
    assert daemon.ask("/status")["head"] == head
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "a_b", "a..b", "-ab", "ab-", "192.168.1.1", "xn--abc", "abc-s3alias", "a b", "sthree-a"],
)
def test_names_that_no_bucket_has(open_daemon, name):
    """S3's rules for names are kept, without a trace of the attempt."""
    answer = open_daemon.fetch("PUT", f"/{name.replace(' ', '%20')}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_a_location_that_is_not_here_is_refused(s3):
    """The constraint must be the region that this endpoint says it is in."""
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket="else-where", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert error.value.response["Error"]["Code"] == "IllegalLocationConstraintException"


def test_object_lock_is_refused(s3):
    """A promise that nobody would keep is not made."""
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket="locked-bucket", ObjectLockEnabledForBucket=True)
    assert error.value.response["Error"]["Code"] == "NotImplemented"


def test_list_buckets_pages(s3, bucket):
    """Prefix, page size and token are honoured; every bucket comes once."""
    names = [f"{bucket}-page-{number}" for number in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(Prefix=f"{bucket}-page-", PaginationConfig={"PageSize": 2})
    found = [[one["Name"] for one in page["Buckets"]] for page in pages]
    assert found == [names[:2], names[2:4], names[4:]]


def test_buckets_of_another_region_are_none_of_ours(s3, bucket):
    """The region of this endpoint is that of all its buckets."""
    assert bucket in [one["Name"] for one in s3.list_buckets(BucketRegion="us-east-1")["Buckets"]]
    assert s3.list_buckets(BucketRegion="eu-west-1")["Buckets"] == []


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_list_buckets_refuses_a_page_size_out_of_bounds(open_daemon, count):
    """1 to 10,000, as the API reference says."""
    answer = open_daemon.fetch("GET", f"/?max-buckets={count}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_versioning_is_off(s3, bucket):
    """s3fs and rclone ask before they delete; nobody can switch it on here."""
    answer = s3.get_bucket_versioning(Bucket=bucket)
    assert "Status" not in answer
    with pytest.raises(ClientError) as error:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    with pytest.raises(ClientError) as error:
        s3.get_bucket_versioning(Bucket="no-such-bucket-x")
    assert error.value.response["Error"]["Code"] == "NoSuchBucket"
