"""What is refused about names, metadata and tags, and what passes, at and around each figure."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.copies import parse_copy_source
from s3d.operations.object_writes import kept_input


def code_of(call, *arguments):
    try:
        call(*arguments)
    except S3Error as error:
        return error.code
    return ""


@pytest.mark.parametrize("name", ["abc", "a1-b.c", "a" * 63, "1bucket", "a.b.c", "192.168.1", "my-bucket-2"])
def test_names_of_buckets(name):
    limits.check_bucket_name(name)
    limits.check_named_bucket(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\0b", "é", "a" * 256, "a\n", "a?b", "a#b"])
def test_names_that_no_bucket_ever_had(name):
    """Neither made nor looked for: not here and not at the remote."""
    assert code_of(limits.check_named_bucket, name) == "InvalidBucketName"
    assert code_of(limits.check_bucket_name, name) == "InvalidBucketName"


def test_names_of_before_2018_can_be_asked_for():
    """Buckets with capitals and underscores still exist at AWS; they can be used, not made."""
    assert code_of(limits.check_named_bucket, "Old_Bucket.Name") == ""
    assert code_of(limits.check_bucket_name, "Old_Bucket.Name") == "InvalidBucketName"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=1100))
def test_keys_are_measured_in_utf8(key):
    """1,024 bytes, whatever the characters."""
    assert code_of(limits.check_key, key) == ("KeyTooLongError" if len(key.encode()) > 1024 else "")


@pytest.mark.parametrize("character", ["k", "é", "\u20ac", "\U0001f600"])
def test_o12_keys_at_the_limit(character):
    width = len(character.encode())
    longest = character * (1024 // width) + "k" * (1024 % width)
    assert code_of(limits.check_key, longest) == ""
    assert code_of(limits.check_key, longest + "k") == "KeyTooLongError"


@pytest.mark.parametrize(
    ("tagging", "code"),
    [
        ("", ""),
        ("a=1&b=2", ""),
        ("a=", ""),
        ("a=%20+", ""),
        ("&".join(f"k{n}=v" for n in range(10)), ""),
        ("k" * 128 + "=" + "v" * 256, ""),
        ("&".join(f"k{n}=v" for n in range(11)), "BadRequest"),
        ("a", "InvalidArgument"),
        ("a=1&", "InvalidArgument"),
        ("a=%FF", "InvalidArgument"),
        ("=1", "InvalidTag"),
        ("a=1&a=1", "InvalidTag"),
        ("k" * 129 + "=v", "InvalidTag"),
        ("k=" + "v" * 257, "InvalidTag"),
    ],
)
def test_tagging(tagging, code):
    """`Object tagging` in the User Guide: 10 tags, 128 and 256 characters, each key once."""
    assert code_of(limits.check_tagging, tagging) == code


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("b/k", ("b", "k")),
        ("/b/k", ("b", "k")),
        ("b/a/b//c", ("b", "a/b//c")),
        ("b/%2F", ("b", "/")),
        ("b%2Fk", ("b", "k")),  # AWS's own SDKs encode the separator too
        ("b/a%20b+c", ("b", "a b c")),  # as s5cmd and Java's URLEncoder write a blank
        ("b/a%2Bb", ("b", "a+b")),
        ("b/%C3%A4", ("b", "ä")),
        ("b/ä", ("b", "ä")),
        ("b/k?versionId=null", ("b", "k")),
        ("b/what%3Fnow", ("b", "what?now")),
        ("b/..", ("b", "..")),
    ],
)
def test_copy_sources(source, place):
    """Percent-encoded once; a leading slash is optional."""
    assert parse_copy_source(source) == place


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("b", "InvalidArgument"),
        ("b/", "InvalidArgument"),
        ("//k", "InvalidArgument"),
        ("b/%FF", "InvalidArgument"),
        ("b/what?now", "InvalidArgument"),
        ("b/k?versionId=1", "NotImplemented"),
        ("../k", "InvalidBucketName"),
        ("b/" + "k" * 1025, "KeyTooLongError"),
    ],
)
def test_copy_sources_that_are_none(source, code):
    """Never another object's bytes."""
    assert code_of(parse_copy_source, source) == code


def test_what_is_kept_of_a_put():
    """The object's description; not its framing, its checksums' values, nor what only this request was about."""
    kept = kept_input(
        {
            "Bucket": "b",
            "Key": "k",
            "ContentEncoding": "gzip, aws-chunked",
            "ContentMD5": "x",
            "ChecksumCRC32": "x",
            "ContentLength": 5,
            "RequestPayer": "requester",
            "Metadata": {"a": "b"},
        }
    )
    assert kept == {"ContentEncoding": "gzip", "Metadata": {"a": "b"}}
    assert kept_input({"ContentEncoding": "aws-chunked"}) == {}


@pytest.mark.parametrize("name", sorted(limits._UNSUPPORTED))
def test_nothing_is_pretended(name):
    """Every word whose promise would not be kept is refused, with the header that carried it."""
    with pytest.raises(S3Error) as error:
        limits.check_supported({name: "x"})
    assert (error.value.code, error.value.details) == ("NotImplemented", {"Header": limits._UNSUPPORTED[name]})


async def test_the_writers_queue_is_bounded():
    """One record too many is told to come again; what leaves makes room."""
    refused = []
    queue = limits.Queue(2, refused.append)
    queue.enter()
    queue.enter()
    with pytest.raises(S3Error) as caught:
        queue.enter()
    assert (caught.value.code, caught.value.headers) == ("SlowDown", {"Retry-After": "1"})
    queue.leave()
    queue.enter()
    assert (queue.records, refused) == (2, ["writer"])


async def test_commands_of_many_records_go_one_by_one_and_hold_up_no_small_ones():
    """Between two of them the small ones get in; too many that wait are told to come again."""
    queue, inside, most = limits.Queue(1), [], []
    done = asyncio.Event()

    async def delete(number):
        async with queue.alone(1000):
            inside.append(number)
            most.append(queue.records)
            await done.wait()

    tasks = [asyncio.create_task(delete(number)) for number in range(limits.MANY_WAITING_MAX)]
    await asyncio.sleep(0)
    assert inside == [0]
    queue.enter()
    queue.leave()
    with pytest.raises(S3Error, match="Too many changes"):
        await delete(-1)
    done.set()
    await asyncio.gather(*tasks)
    assert inside == list(range(limits.MANY_WAITING_MAX))
    assert set(most) == {1000}
    assert queue.records == 0
