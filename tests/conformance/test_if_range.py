"""`If-Range`: a download that is resumed gets the rest of the same object, or all of the one that took its place."""

from collections.abc import Iterator

import pytest
from live import LiveDaemon, running_daemon

OLD, NEW = b"0123456789" * 10, b"another"


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    with running_daemon(tmp_path_factory.mktemp("far") / "data", auth=False) as daemon:
        assert daemon.fetch("PUT", "/there").status == 200
        yield daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, remote: LiveDaemon) -> Iterator[LiveDaemon]:
    config = f'[remote]\nsender = "inside"\nendpoint = "{remote.url}"\naccess_key = "any"\nsecret_key = "any-secret"\n'
    with running_daemon(tmp_path_factory.mktemp("near") / "data", auth=False, config=config) as daemon:
        assert daemon.fetch("PUT", "/here").status == 200
        yield daemon


@pytest.mark.parametrize("bucket", ["here", "there"])
@pytest.mark.parametrize("by", ["etag", "last-modified"])
def test_a_range_is_of_the_object_that_the_client_has_a_part_of(
    daemon: LiveDaemon, remote: LiveDaemon, bucket: str, by: str
) -> None:
    """Written here, or only at the remote; a range that the new object is too short for is no error either."""
    target, writer = f"/{bucket}/{by}", daemon if bucket == "here" else remote
    assert writer.fetch("PUT", target, OLD).status == 200
    first = daemon.fetch("GET", target, headers={"Range": "bytes=0-49"})
    resumed = {"Range": "bytes=50-", "If-Range": first.headers[by]}
    rest = daemon.fetch("GET", target, headers=resumed)
    assert (rest.status, first.body + rest.body) == (206, OLD)
    assert daemon.fetch("HEAD", target, headers=resumed).status == 206
    if by == "last-modified":  # it has whole seconds: another one, not the next write's
        resumed["If-Range"] = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert writer.fetch("PUT", target, NEW).status == 200
    for answer in (daemon.fetch("GET", target, headers=resumed), daemon.fetch("HEAD", target, headers=resumed)):
        assert (answer.status, answer.headers["content-length"]) == (200, str(len(NEW)))
    assert daemon.fetch("GET", target, headers=resumed).body == NEW


def test_without_a_range_and_beside_other_conditions(daemon: LiveDaemon) -> None:
    """It means nothing without a range; other conditions are looked at first; of nothing there is nothing."""
    etag = daemon.fetch("PUT", "/here/k", OLD).headers["etag"]
    assert daemon.fetch("GET", "/here/k", headers={"If-Range": '"another"'}).body == OLD
    weak = daemon.fetch("GET", "/here/k", headers={"Range": "bytes=0-0", "If-Range": f"W/{etag}"})
    assert weak.status == 200, "a weak validator never applies: RFC 9110, 13.1.5"
    headers = {"Range": "bytes=0-0", "If-Range": etag}
    assert daemon.fetch("GET", "/here/k", headers={**headers, "If-None-Match": etag}).status == 304
    assert daemon.fetch("GET", "/here/k", headers={**headers, "If-Match": '"another"'}).status == 412
    assert daemon.fetch("GET", "/here/nothing", headers=headers).code == "NoSuchKey"
