"""Rules about who else writes, and how fresh an answer has to be: two daemons, one of which is the other's remote."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import LiveDaemon, running_daemon, wait_until
from samples import code_of

RULES = """
[[rule]]
match = "shared-*"
shared = true

[[rule]]
match = "shared-*/soon/*"
fresh_seconds = 0.5

[[rule]]
match = "*/kept/*"
fresh_seconds = "forever"
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveDaemon, LiveDaemon]]:
    """An edge with the rules, and its remote."""
    directory: Path = tmp_path_factory.mktemp("rules")
    with running_daemon(directory / "remote", auth=False) as remote:
        to = f'[remote]\nsender = "inside"\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any"\n'
        with running_daemon(directory / "edge", auth=False, config=to + RULES) as edge:
            yield edge, remote


@pytest.fixture
def edge(pair: tuple[LiveDaemon, LiveDaemon], s3_of: Callable[..., Any]) -> Any:
    """The application's client."""
    return s3_of(pair[0])


@pytest.fixture
def stranger(pair: tuple[LiveDaemon, LiveDaemon], s3_of: Callable[..., Any]) -> Any:
    """A client of the remote itself: somebody else."""
    return s3_of(pair[1])


def drain(pair: tuple[LiveDaemon, LiveDaemon]) -> None:
    wait_until(lambda: pair[0].ask("/status")["pending"]["count"] == 0)


def body(client: Any, bucket: str, key: str) -> bytes:
    return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_a_bucket_of_our_own_is_not_asked_about(pair: Any, edge: Any, stranger: Any) -> None:
    """Without a rule: what was created here is ours alone, and answered from here."""
    edge.create_bucket(Bucket="own")
    edge.put_object(Bucket="own", Key="k", Body=b"ours")
    drain(pair)
    stranger.put_object(Bucket="own", Key="k", Body=b"theirs")
    assert body(edge, "own", "k") == b"ours"


def test_a_shared_bucket_is_asked_about_although_it_was_created_here(pair: Any, edge: Any, stranger: Any) -> None:
    """GET, HEAD, listings and conditional writes see what others did."""
    bucket = "shared-a"
    edge.create_bucket(Bucket=bucket)
    ours = edge.put_object(Bucket=bucket, Key="k", Body=b"ours")["ETag"]
    drain(pair)
    theirs = stranger.put_object(Bucket=bucket, Key="k", Body=b"theirs")["ETag"]
    stranger.put_object(Bucket=bucket, Key="new", Body=b"1")
    assert body(edge, bucket, "k") == b"theirs"
    assert edge.head_object(Bucket=bucket, Key="k")["ETag"] == theirs
    assert [one["Key"] for one in edge.list_objects_v2(Bucket=bucket)["Contents"]] == ["k", "new"]
    with pytest.raises(ClientError) as refused:
        edge.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=ours)
    assert code_of(refused.value) == (412, "PreconditionFailed")
    edge.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=theirs)
    with pytest.raises(ClientError) as not_empty:
        edge.delete_bucket(Bucket=bucket)
    assert code_of(not_empty.value) == (409, "BucketNotEmpty")


def test_what_is_fresh_for_ever_is_asked_about_once(pair: Any, edge: Any, stranger: Any) -> None:
    """Presence and absence alike; the answer says how old it is."""
    stranger.create_bucket(Bucket="theirs")
    stranger.put_object(Bucket="theirs", Key="kept/a", Body=b"1")
    assert body(edge, "theirs", "kept/a") == b"1"
    for _ in range(2):
        with pytest.raises(ClientError) as missing:
            edge.get_object(Bucket="theirs", Key="kept/none")
        assert code_of(missing.value) == (404, "NoSuchKey")
    stranger.put_object(Bucket="theirs", Key="kept/a", Body=b"2")
    stranger.put_object(Bucket="theirs", Key="kept/none", Body=b"now")
    head = edge.head_object(Bucket="theirs", Key="kept/a")
    assert head["ETag"] == '"c4ca4238a0b923820dcc509a6f75849b"'
    assert int(head["ResponseMetadata"]["HTTPHeaders"]["x-s3d-age-seconds"]) >= 0
    assert body(edge, "theirs", "kept/a") == b"1"
    with pytest.raises(ClientError):
        edge.get_object(Bucket="theirs", Key="kept/none")
    edge.put_object(Bucket="theirs", Key="kept/a", Body=b"3")
    assert body(edge, "theirs", "kept/a") == b"3", "what was written here is always shown"
    drain(pair)
    assert body(edge, "theirs", "kept/a") == b"3"


def test_conditions_ask_whatever_is_fresh(pair: Any, edge: Any, stranger: Any) -> None:
    """A guarded write is decided on what is, not on what was known."""
    stranger.create_bucket(Bucket="guarded")
    with pytest.raises(ClientError):
        edge.head_object(Bucket="guarded", Key="kept/lock")
    stranger.put_object(Bucket="guarded", Key="kept/lock", Body=b"theirs")
    with pytest.raises(ClientError) as refused:
        edge.put_object(Bucket="guarded", Key="kept/lock", Body=b"ours", IfNoneMatch="*")
    assert code_of(refused.value) == (412, "PreconditionFailed")


def test_after_its_time_an_answer_is_asked_for_again(pair: Any, edge: Any, stranger: Any) -> None:
    """Half a second here: afterwards the stranger's bytes are seen."""
    bucket = "shared-b"
    edge.create_bucket(Bucket=bucket)
    edge.put_object(Bucket=bucket, Key="soon/k", Body=b"ours")
    drain(pair)
    stranger.put_object(Bucket=bucket, Key="soon/k", Body=b"theirs")
    time.sleep(0.6)
    assert body(edge, bucket, "soon/k") == b"theirs"
