"""One way in: what every request meets before its operation, and the memory of small bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.auth.caller import Caller
from s3d.errors import S3Error
from s3d.operations.bodies import BodyCache
from s3d.operations.calls import Call, Reply
from s3d.operations.perform import Operations
from s3d.view.damage import RowDamaged

ACCOUNT = "123456789012"


def call(operation="GetObject", bucket="bucket", key="key", **given):
    return Call(operation, Caller("", "anonymous", ""), bucket, key, given, None, "request", 0)


@pytest.fixture
def operations():
    async def answer(one):
        return Reply({"Key": one.key})

    found = Operations({"GetObject": answer}, lambda: found.current, ACCOUNT)
    found.current = True
    return found


async def test_what_is_in_the_table_is_done(operations):
    assert (await operations.perform(call())).output == {"Key": "key"}
    assert (await operations.perform(call(ExpectedBucketOwner=ACCOUNT))).output == {"Key": "key"}


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({"operation": "PutBucketAcl"}, "NotImplemented"),
        ({"key": "k" * 1025}, "KeyTooLongError"),
        ({"bucket": "a/b"}, "InvalidBucketName"),
        ({"bucket": ".."}, "InvalidBucketName"),
        ({"ExpectedBucketOwner": "210987654321"}, "AccessDenied"),
        ({"ExpectedBucketOwner": ACCOUNT, "ExpectedSourceBucketOwner": "210987654321"}, "AccessDenied"),
        ({"ExpectedBucketOwner": "somebody"}, "InvalidBucketOwnerAWSAccountID"),
        ({"ExpectedBucketOwner": ACCOUNT + "\n"}, "InvalidBucketOwnerAWSAccountID"),
        ({"ExpectedSourceBucketOwner": ""}, "InvalidBucketOwnerAWSAccountID"),
    ],
)
async def test_what_no_operation_gets_to_see(operations, given_, code):
    """Every surface is guarded here, once."""
    with pytest.raises(S3Error) as error:
        await operations.perform(call(**given_))
    assert error.value.code == code


async def test_decision_2_nothing_is_read_from_a_view_that_is_behind(operations):
    """A 503 that asks to come again, not yesterday's answer."""
    operations.current = False
    with pytest.raises(S3Error) as error:
        await operations.perform(call())
    assert (error.value.code, error.value.headers) == ("ServiceUnavailable", {"Retry-After": "1"})


async def test_decision_2_a_damaged_row_has_the_view_rebuilt():
    """Whoever asked is told to come again."""
    told = []

    async def answer(_):
        raise RowDamaged(ValueError("no JSON"))

    operations = Operations({"GetObject": answer}, lambda: True, ACCOUNT, lambda: told.append(1))
    with pytest.raises(S3Error) as error:
        await operations.perform(call())
    assert (error.value.code, told) == ("ServiceUnavailable", [1])


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(1, 6), st.binary(max_size=8), st.booleans()), max_size=60))
def test_bodies_in_memory_are_bounded_and_right(bytes_max, steps):
    """Never more than its bytes, never another record's body; the least recently used goes first."""
    cache, known, order = BodyCache(bytes_max), {}, []
    for sequence, body, write in steps:
        if write:
            cache.put(sequence, known.setdefault(sequence, body))  # a record's body never changes
        else:
            found = cache.get(sequence)
            assert found is None or found == known[sequence]
        held = [one for one in range(1, 7) if one in cache._bodies]
        assert sum(len(known[one]) for one in held) == cache._bytes <= bytes_max
        order.append(sequence)


def test_the_least_recently_used_body_goes_first():
    cache = BodyCache(2)
    cache.put(1, b"a")
    cache.put(2, b"b")
    cache.get(1)
    cache.put(3, b"c")
    assert [cache.get(number) for number in (1, 2, 3)] == [b"a", None, b"c"]


def test_a_body_larger_than_the_memory_is_not_kept():
    cache = BodyCache(3)
    cache.put(1, b"a")
    cache.put(2, b"four")
    assert (cache.get(1), cache.get(2)) == (b"a", None)
