"""What people and unit files are told: the exit codes of `s3d wait`, and of the daemon itself."""

import pytest

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy
from peers.model import Model, Object, sequence_of

pytestmark = pytest.mark.timeout(180)
CONFIRMED, PENDING, PARKED, TIMED_OUT, NO_REMOTE = 0, 3, 4, 5, 6


@pytest.fixture
def remote(moto: Remote) -> Remote:
    """One server is enough for these."""
    return moto


def test_wait_says_whether_the_remote_has_it(edge: Edge, proxy: FaultProxy, model: Model):
    """0 for what is confirmed, by record, prefix and altogether; 5 for what is not when the time is over."""
    first = model.put("done/1", Object(b"1"))
    assert edge.wait("--seq", first, "--timeout", "20") == CONFIRMED
    edge.drain()
    proxy.refuse()
    second = model.put("open/2", Object(b"2"))

    assert edge.wait("--seq", first, "--timeout", "0") == CONFIRMED
    assert edge.wait("--prefix", f"{model.bucket}/done/", "--timeout", "0") == CONFIRMED
    assert edge.wait("--seq", second, "--timeout", "0.2") == TIMED_OUT
    assert edge.wait("--prefix", f"{model.bucket}/open/", "--timeout", "0.2") == TIMED_OUT
    assert edge.wait("--all", "--timeout", "0.2") == TIMED_OUT

    proxy.restore()
    assert edge.wait("--seq", second, "--timeout", "20") == CONFIRMED
    assert edge.wait("--all", "--timeout", "20") == CONFIRMED


def test_what_the_remote_refuses_waits_for_a_person(edge: Edge, remote: Remote, model: Model):
    """A bucket that somebody removed over there: its records park, 4 says so, all others arrive; once the bucket is
    back, a retry sends them."""
    other = Model(edge.client, "goes-on")
    other.create()
    edge.drain()
    there = remote.client()
    there.delete_bucket(Bucket=model.bucket)
    refused = model.put("a", Object(b"1"))
    assert edge.wait("--seq", refused, "--timeout", "20") == PARKED
    assert edge.client.head_object(Bucket=model.bucket, Key="a")["ReplicationStatus"] == "FAILED"
    later = model.put("a", Object(b"2"))
    assert edge.wait("--all", "--timeout", "20") == PARKED
    assert edge.wait("--seq", other.put("b", Object(b"3")), "--timeout", "20") == CONFIRMED
    assert edge.terminate() == PENDING
    edge.start()

    there.create_bucket(Bucket=model.bucket)
    assert edge.run("parked", "retry", "--all") == CONFIRMED
    assert edge.wait("--seq", later, "--timeout", "20") == CONFIRMED
    edge.drain()
    model.compare(there)
    other.compare(there)


def test_wait_without_a_remote_ends_at_once(tmp_path):
    """Nothing will ever confirm it: 6, and no waiting."""
    edge = Edge(str(tmp_path), None, None).start()
    try:
        assert edge.wait("--all") == CONFIRMED
        seq = sequence_of(edge.client.create_bucket(Bucket="here"))
        assert edge.wait("--all") == NO_REMOTE
        assert edge.wait("--seq", seq) == NO_REMOTE
        assert edge.terminate() == 0
    finally:
        edge.close()


def test_sigterm_drains_first(edge: Edge, remote: Remote, model: Model):
    """A stop sends what is pending before it ends, and says with 0 that nothing is left."""
    for number in range(100):
        model.put(f"key {number}", Object(b"%d" % number * 1000))
    assert edge.terminate() == 0
    model.compare(remote.client())


def test_sigterm_while_the_remote_is_away(tmp_path, remote: Remote, proxy: FaultProxy):
    """The exit code 3 says that something is pending; it arrives after the next start."""
    edge = Edge(str(tmp_path), proxy.url, remote, drain_seconds=1).start()
    try:
        model = Model(edge.client, "pending-at-the-stop")
        model.create()
        proxy.refuse()
        model.put("key", Object(b"later"))
        assert edge.terminate() == PENDING
        proxy.restore()
        edge.start()
        edge.drain()
        model.compare(remote.client())
        assert edge.terminate() == 0
    finally:
        edge.close()
