"""Invariants 1 and 3 from outside: what was acknowledged is there after SIGKILL, and one conditional write wins."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from live import LiveDaemon, dump_view, wait_until
from samples import pattern


@pytest.fixture
def own_daemon(tmp_path):
    daemon = LiveDaemon(tmp_path / "data", auth=False).start()
    yield daemon
    daemon.kill()
    assert daemon.errors() == []


def answers(daemon, bucket):
    """All that can be read of a bucket."""
    s3 = daemon.client()
    try:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        objects = {}
        for one in listed:
            got = s3.get_object(Bucket=bucket, Key=one["Key"])
            kept = {n: got[n] for n in ("ETag", "LastModified", "Metadata", "ContentType", "ReplicationStatus")}
            objects[one["Key"]] = (got["Body"].read(), kept)
        return [(one["Key"], one["Size"], one["ETag"], one["LastModified"]) for one in listed], objects
    finally:
        s3.close()


def write_something_of_everything(daemon):
    s3 = daemon.client()
    s3.create_bucket(Bucket="kept")
    for number in range(30):
        s3.put_object(Bucket="kept", Key=f"small/{number}", Body=pattern(number * 100), Metadata={"n": str(number)})
    for number in range(4):
        s3.put_object(Bucket="kept", Key=f"large/{number}", Body=pattern(100_000 + number))
    s3.copy_object(Bucket="kept", Key="copy", CopySource="kept/large/1")
    s3.copy_object(Bucket="kept", Key="copy of a row", CopySource="kept/small/9")
    s3.put_object(Bucket="kept", Key="small/1", Body=b"again")
    s3.delete_object(Bucket="kept", Key="small/2")
    s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "small/3"}, {"Key": "large/0"}]})
    s3.create_bucket(Bucket="emptied")
    s3.delete_bucket(Bucket="emptied")
    s3.close()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_everything_acknowledged_survives(own_daemon, end):
    """After SIGKILL as after SIGTERM: the same objects, byte for byte, and the same listing."""
    write_something_of_everything(own_daemon)
    before = answers(own_daemon, "kept")
    getattr(own_daemon, end)()
    own_daemon.start()
    assert answers(own_daemon, "kept") == before
    assert own_daemon.fetch("HEAD", "/emptied").status == 404


def test_decision_6_a_rebuilt_view_is_the_folded_one(own_daemon):
    """Without its view the daemon folds the journal again, to the same rows."""
    write_something_of_everything(own_daemon)
    before = answers(own_daemon, "kept")
    own_daemon.kill()
    rows = dump_view_of(own_daemon)
    for path in own_daemon.directory.glob("view.*"):
        path.unlink()
    own_daemon.start()
    assert answers(own_daemon, "kept") == before
    own_daemon.kill()
    assert dump_view_of(own_daemon) == rows


def test_acknowledgements_under_fire_survive(own_daemon):
    """Eight writers, SIGKILL in the middle: everything that got an answer is there, and nothing is half there."""
    setup = own_daemon.client()
    setup.create_bucket(Bucket="fire")
    setup.close()
    acknowledged, lock, stop = {}, threading.Lock(), threading.Event()

    def write(writer):
        s3 = own_daemon.client()
        for number in range(10_000):
            body = pattern((writer * 37 + number * 11_003) % 150_000)
            try:
                s3.put_object(Bucket="fire", Key=f"{writer}/{number % 8}", Body=body)
            except Exception:
                return s3.close()
            with lock:
                acknowledged[f"{writer}/{number % 8}"] = body
                if len(acknowledged) >= 40:
                    stop.set()
        return None

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(write, writer) for writer in range(8)]
        assert stop.wait(60)
        own_daemon.kill()
        for one in running:
            one.result()
    own_daemon.start()
    s3 = own_daemon.client()
    for key, body in acknowledged.items():
        found = s3.get_object(Bucket="fire", Key=key)["Body"].read()
        writer, number = map(int, key.split("/"))
        possible = {pattern((writer * 37 + n * 11_003) % 150_000) for n in range(number, 10_000, 8)}
        assert found == body or found in possible  # a write without an answer may have been kept, whole
    s3.close()
    own_daemon.stop()
    own_daemon.start()
    wait_until(lambda: len(own_daemon.footprint().blobs) <= blobs_in_use(own_daemon))


def test_decision_1_of_64_writers_of_a_new_key_one_wins(daemon, s3, bucket):
    """If-None-Match: * has one winner, 63 get 412, and the winner's bytes are what is stored."""
    results = race(s3, 64, lambda number: {"Bucket": bucket, "Key": "k", "Body": b"%d" % number, "IfNoneMatch": "*"})
    assert sorted(code for code, _ in results) == [200] + [412] * 63
    (winner,) = [body for code, body in results if code == 200]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == winner


def test_decision_1_of_64_writers_with_one_etag_one_wins(daemon, s3, bucket):
    """If-Match is compare-and-swap: the second writer with the same ETag gets 412."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    results = race(s3, 64, lambda number: {"Bucket": bucket, "Key": "k", "Body": b"%d" % number, "IfMatch": etag})
    assert sorted(code for code, _ in results) == [200] + [412] * 63


def test_decision_1_a_counter_loses_no_increment(s3, bucket):
    """Eight clients that read, add one and swap come to exactly their sum."""
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def add_ten(_):
        for _ in range(10):
            while True:
                got = s3.get_object(Bucket=bucket, Key="counter")
                value = b"%d" % (int(got["Body"].read()) + 1)
                status = status_of(
                    lambda: s3.put_object(Bucket=bucket, Key="counter", Body=value, IfMatch=got["ETag"])  # noqa: B023
                )
                assert status in {200, 412}
                if status == 200:
                    break

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_ten, range(4)))
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"40"


def test_decision_1_a_bucket_is_not_deleted_under_a_write(s3, bucket):
    """DeleteBucket races PUTs: either it finds the object, or the write finds no bucket; never an object in none."""
    for attempt in range(10):
        name = f"{bucket}-race-{attempt}"
        s3.create_bucket(Bucket=name)

        def put(_, name=name):
            return status_of(lambda: s3.put_object(Bucket=name, Key="k", Body=b"x"))

        with ThreadPoolExecutor(5) as pool:
            puts = [pool.submit(put, number) for number in range(4)]
            deleted = pool.submit(lambda name=name: status_of(lambda: s3.delete_bucket(Bucket=name))).result()
            written = [one.result() for one in puts]
        if deleted == 409:
            assert 200 in written
            assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x"
        else:
            assert (deleted, set(written)) == (204, {404})


def test_invariant_3_every_writer_reads_its_own_write(s3, bucket):
    """After each answer GET, HEAD and LIST show it, whoever else is writing."""

    def work(writer):
        for number in range(8):
            key, body = f"{writer}", b"%d" % number
            etag = s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"]
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
            assert s3.head_object(Bucket=bucket, Key=key)["ETag"] == etag
            listed = {one["Key"]: one["ETag"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
            assert listed[key] == etag
            s3.delete_object(Bucket=bucket, Key=key)
            assert key not in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def race(s3, count, given):
    """(status, body) of each writer; all start together."""
    barrier = threading.Barrier(count)

    def write(number):
        parameters = given(number)
        barrier.wait()
        return status_of(lambda: s3.put_object(**parameters)), parameters["Body"]

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(write, range(count)))


def status_of(call):
    try:
        return call()["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def blobs_in_use(daemon):
    return len({blob for _, blob in dump_view_of(daemon)["blob_use"]})


def dump_view_of(daemon):
    return dump_view(daemon.directory / "view.db")
