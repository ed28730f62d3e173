"""Listings through boto3, against a model of S3's listing in a dozen lines of Python."""

import itertools
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError
from conftest import new_bucket_name
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples import code_of

ALPHABET = "ab/-\u00e9\ud7ff\ue000\U0001f600\U0010ffff%+ &<'\"\\.\u0301"
KEYS = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=8)
DELIMITERS = st.sampled_from(["", "/", "//", "a", "/a", "\U0010ffff", "%", " "])
PREFIXES = st.one_of(st.just(""), st.text(st.sampled_from(ALPHABET), max_size=3))


def model(keys, prefix, delimiter, after):
    """The entries of a whole listing, in order: (key, False) or (common prefix, True)."""
    entries = {}
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        rolled = key[: at + len(delimiter)] if at >= 0 else None
        if rolled is None or not after.startswith(rolled):  # a prefix comes before every key in it
            entries[(rolled or key, rolled is not None)] = None
    return list(entries)


def flat(page, decode=str):
    entries = [(decode(one["Key"]), False) for one in page.get("Contents", ())]
    entries += [(decode(one["Prefix"]), True) for one in page.get("CommonPrefixes", ())]
    return sorted(entries, key=lambda entry: entry[0].encode())


def fill(s3, bucket, keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")


@pytest.fixture(scope="module")
def plain_s3(open_daemon):
    client = open_daemon.client()
    yield client
    client.close()


_SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@_SLOW
@example(keys={"a", "a/b", "a/c", "a//", "b"}, prefix="", delimiter="/", after="a/b", size=1, encoding="url")
@example(keys={"\ud7ff", "\ud7ffa", "\ue000"}, prefix="\ud7ff", delimiter="", after="", size=2, encoding=None)
@example(
    keys={"\U0010ffff", "\U0010ffff\U0010ffff"}, prefix="", delimiter="\U0010ffff", after="", size=1, encoding=None
)
@given(
    keys=st.sets(KEYS, max_size=12),
    prefix=PREFIXES,
    delimiter=DELIMITERS,
    after=st.one_of(st.just(""), KEYS),
    size=st.integers(1, 5),
    encoding=st.sampled_from([None, "url"]),
)
def test_pages_of_a_hostile_key_set_are_the_model(plain_s3, keys, prefix, delimiter, after, size, encoding):
    """All pages together are the listing, each entry once and in order, no page longer than asked; V1 and V2."""
    s3 = plain_s3
    bucket = new_bucket_name()
    s3.create_bucket(Bucket=bucket)
    fill(s3, bucket, keys)
    given_ = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
    given_ |= {"EncodingType": encoding} if encoding else {}
    decode = unquote_plus if encoding else str  # without the argument boto3 asks for the encoding and undoes it
    wanted = model(keys, prefix, delimiter, after)
    found, more = [], {"StartAfter": after} if after else {}
    for _ in range(len(keys) + 2):
        page = s3.list_objects_v2(**given_, **more)
        entries = flat(page, decode)
        assert len(entries) == page["KeyCount"] <= size
        found += entries
        if not page["IsTruncated"]:
            break
        more = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == wanted
    found, marker = [], after
    for _ in range(len(keys) + 2):
        page = s3.list_objects(**given_, Marker=marker)
        found += flat(page, decode)
        if not page["IsTruncated"]:
            break
        marker = decode(page["NextMarker"] if delimiter else page["Contents"][-1]["Key"])
    assert found == wanted


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_the_paginators_of_boto3_see_every_key_once(s3, bucket, operation):
    """In pages of odd sizes, without and with roll-up."""
    keys = [f"d{number % 7}/{number:05}" for number in range(60)]
    fill(s3, bucket, keys)
    pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
    assert [one["Key"] for page in pages for one in page["Contents"]] == sorted(keys)
    pages = s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    assert [one["Prefix"] for page in pages for one in page["CommonPrefixes"]] == [f"d{n}/" for n in range(7)]


def test_max_keys_zero_and_one(s3, bucket):
    """Zero is an empty page that is not truncated, one is one entry, more than 1,000 is 1,000."""
    fill(s3, bucket, ["a", "b/1", "b/2"])
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"], none.get("Contents")) == (0, False, None)
    assert s3.list_objects(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False
    one = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, Delimiter="/", StartAfter="a")
    assert (flat(one), one["IsTruncated"]) == ([("b/", True)], False)
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)["MaxKeys"] == 1000


def test_entries_say_what_head_says(s3, bucket):
    """Size, ETag, time and class of a listing are those of HEAD."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345", StorageClass="ONEZONE_IA")
    head = s3.head_object(Bucket=bucket, Key="k")
    for listing in (s3.list_objects(Bucket=bucket), s3.list_objects_v2(Bucket=bucket, FetchOwner=True)):
        (one,) = listing["Contents"]
        assert (one["Size"], one["ETag"], one["LastModified"]) == (5, head["ETag"], head["LastModified"])
        assert one["StorageClass"] == "ONEZONE_IA"
        assert one["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=-1",
        "max-keys=x",
        "max-keys=2147483648",
        "max-keys=1_000",
        "list-type=2&continuation-token=",
        "list-type=2&continuation-token=nonsense",
        "list-type=2&continuation-token=%F0%9F%98%80",
        "list-type=2&encoding-type=base64",
        "encoding-type=URL2",
    ],
)
def test_arguments_that_no_listing_has(open_daemon, open_bucket, query):
    """S3's InvalidArgument, not a 500 and not the default."""
    answer = open_daemon.fetch("GET", f"/{open_bucket}?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body


def test_foo_and_foo_slash_bar_live_side_by_side(s3, bucket):
    """Keys are names, not paths."""
    keys = ["foo", "foo/", "foo/bar", "foo//bar", "foo/bar/baz", "/foo", "//", ".", "..", "a/../b", "a/./b"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(keys)
    s3.delete_object(Bucket=bucket, Key="foo/")
    left = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == sorted(set(keys) - {"foo/"})


def test_control_characters_need_the_encoding(open_daemon, open_bucket):
    """A key with characters that XML 1.0 cannot hold comes back whole with encoding-type=url."""
    for number in (1, 8, 10, 13, 31, 127):
        assert open_daemon.fetch("PUT", f"/{open_bucket}/c%{number:02X}x", b"1").status == 200
    page = open_daemon.fetch("GET", f"/{open_bucket}?list-type=2&encoding-type=url")
    for number in (1, 8, 10, 13, 31, 127):
        assert f"<Key>c%{number:02X}x</Key>".encode() in page.body


def test_a_listing_while_keys_come_and_go_never_repeats(s3, bucket):
    """What is deleted and written between two pages neither repeats nor hides other keys."""
    keys = [f"{number:02}" for number in range(20)]
    fill(s3, bucket, keys)
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=10)
    for key in itertools.chain(keys[5:12], ["04x"]):
        s3.delete_object(Bucket=bucket, Key=key) if key in keys else fill(s3, bucket, [key])
    second = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert [one["Key"] for one in second["Contents"]] == keys[12:]


def test_a_token_of_another_page_is_refused(s3, bucket):
    """Only what was made here is a token."""
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="MTIz")
    assert code_of(error.value) == (400, "InvalidArgument")
