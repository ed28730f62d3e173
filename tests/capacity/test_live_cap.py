"""The cap on what is pending, on a real daemon: refused, drained, taken again, as boto3 sees it."""

import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from live import PROGRAM, LiveDaemon, running_daemon, wait_until
from peers.fault_proxy import FaultProxy

KIB = 1024
CONFIG = """
[capacity]
pending_bytes_max = 1_000_000
pending_records_max = 60

[[rule]]
match = "site/bulk/*"
refuse_above = 0.7

[[rule]]
match = "site[hdr:content-type='video/*']"
refuse_above = 0.5

[remote]
sender = "inside"
endpoint = "http://127.0.0.1:{port}"
access_key = "any"
secret_key = "any-secret"
backoff_seconds_max = 1
"""


class Site:
    """An edge with a link that can be cut, and the application's client."""

    def __init__(self, edge: LiveDaemon, remote: LiveDaemon, link: FaultProxy, s3: Any) -> None:
        self.edge, self.remote, self.link, self.s3 = edge, remote, link, s3

    def put(self, key: str, size: int, **given: str) -> str:
        """The code that it was answered with; empty: 200."""
        try:
            self.s3.put_object(Bucket="site", Key=key, Body=os.urandom(size), **given)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    def pending(self) -> Any:
        return self.edge.ask("/status")["pending"]

    def drained(self) -> bool:
        return bool(self.pending()["count"] == 0)

    def refused(self, reason: str) -> float:
        text = urllib.request.urlopen(self.edge.admin + "/metrics", timeout=30).read().decode()
        found = re.search(rf'^s3d_refused_total{{reason="{reason}"}} (\S+)', text, re.MULTILINE)
        assert found is not None
        return float(found[1])


@pytest.fixture(scope="module")
def site_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp("capacity")
    with running_daemon(directory / "remote", auth=False) as remote:
        link = FaultProxy("127.0.0.1", remote.port)
        try:
            config = CONFIG.format(port=link.port)
            with running_daemon(directory / "edge", auth=False, config=config) as edge:
                s3 = edge.client()
                s3.create_bucket(Bucket="site")
                yield Site(edge, remote, link, s3)
                s3.close()
        finally:
            link.close()


@pytest.fixture
def site(site_for_module: Site) -> Iterator[Site]:
    """The link is cut, and nothing is pending; restored afterwards."""
    wait_until(site_for_module.drained)
    site_for_module.link.refuse()
    yield site_for_module
    site_for_module.link.restore()


def test_q8_beyond_the_cap_writes_are_refused_and_everything_else_goes_on(
    site: Site, s3_of: Callable[..., Any]
) -> None:
    """503 SlowDown with Retry-After, before the body; deletes, reads, aborts and draining work; it ends by itself."""
    for number in range(9):
        assert site.put(f"large{number}", 100_000) == ""
    upload = site.s3.create_multipart_upload(Bucket="site", Key="parts")["UploadId"]
    assert site.put("too-large", 200_000) == "SlowDown"
    assert site.put("small", 1000) == "", "what fits is still taken"
    assert site.put("fills", 98_000) == ""
    assert site.put("one-more", 2000) == "SlowDown"
    assert site.put("tiny", 1) == "SlowDown", "it was reached: it stays closed"
    answer = site.edge.fetch("PUT", "/site/one-more", bytes(2000))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "SlowDown", "10")
    with pytest.raises(ClientError, match="SlowDown"):
        site.s3.upload_part(Bucket="site", Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError, match="SlowDown"):
        site.s3.copy_object(Bucket="site", Key="copy", CopySource="site/large0")
    assert site.pending()["bytes"] == 999_000
    assert site.refused("pending-bytes") == 6
    said = subprocess.run([PROGRAM, "status", "--admin", site.edge.admin], capture_output=True, text=True, check=True)
    assert "976 KiB of at most 977 KiB" in said.stdout
    assert "refused with SlowDown until no more than 928 KiB are pending" in said.stdout
    assert site.s3.get_object(Bucket="site", Key="large0")["Body"].read(1)
    assert site.s3.list_objects_v2(Bucket="site")["KeyCount"] == 11
    site.s3.delete_object(Bucket="site", Key="large0")
    site.s3.abort_multipart_upload(Bucket="site", Key="parts", UploadId=upload)
    site.s3.put_object_tagging(Bucket="site", Key="large1", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert site.put("tiny", 1) == "SlowDown", "a delete is one more thing to be sent: it makes no room by itself"
    patient = s3_of(site.edge, retries={"total_max_attempts": 12, "mode": "standard"})
    site.link.restore()
    patient.put_object(Bucket="site", Key="patient", Body=bytes(50_000))  # botocore takes SlowDown for retryable
    wait_until(site.drained)
    assert site.put("after", 500_000) == ""
    assert site.remote.fetch("HEAD", "/site/large1").status == 200
    assert site.edge.ask("/status")["capacity"]["refusing"] == ""


def test_a_cap_on_records_holds_for_objects_and_not_for_deletes(site: Site) -> None:
    """Sixty may be pending; then no object more, however small, and still every delete."""
    codes = [site.put(f"k{number}", 0) for number in range(62)]
    assert codes == [""] * 60 + ["SlowDown"] * 2
    assert site.refused("pending-records") == 2
    site.s3.delete_object(Bucket="site", Key="k0")
    assert site.pending()["count"] == 61
    assert site.edge.ask("/status")["capacity"]["refusing"] == "pending-records"


def test_a_class_gives_way_so_that_alerts_still_get_in(site: Site) -> None:
    """Bulk up to 70 % of the cap, video, by its header, up to 50 %, everything else all of it; also in parts."""
    assert site.put("bulk/1", 400_000) == ""
    assert site.put("film", 200_000, ContentType="video/mp4") == "SlowDown"
    assert site.put("bulk/2", 300_000) == ""
    assert site.put("bulk/3", 1) == "SlowDown"
    with pytest.raises(ClientError, match="SlowDown"):
        site.s3.create_multipart_upload(Bucket="site", Key="bulk/parts")
    with pytest.raises(ClientError, match="SlowDown"):
        site.s3.copy_object(Bucket="site", Key="bulk/copy", CopySource="site/bulk/1")
    assert site.put("alert", 300_000) == ""
    assert site.refused("pending-class") == 4
    first, second = site.edge.ask("/status")["capacity"]["classes"]
    assert (first["match"], first["refuse_above"], first["refusing"]) == ("site/bulk/*", 0.7, "pending-bytes")
    assert second["refusing"] == "pending-bytes"
    said = subprocess.run([PROGRAM, "status", "--admin", site.edge.admin], capture_output=True, text=True, check=True)
    assert "of site/bulk/*: refused with SlowDown until no more than 649 KiB are pending" in said.stdout


def test_what_can_never_fit_is_told_so(site: Site) -> None:
    """More than the whole cap: EntityTooLarge, which no SDK repeats, and the body is not read."""
    answer = site.edge.fetch("PUT", "/site/huge", headers={"Content-Length": str(10**9)})
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


def test_a_multipart_object_counts_once(site: Site) -> None:
    """Its parts are what has to be sent; Complete adds a record and no bytes, and is never refused."""
    upload = site.s3.create_multipart_upload(Bucket="site", Key="large")["UploadId"]
    part = site.s3.upload_part(Bucket="site", Key="large", UploadId=upload, PartNumber=1, Body=bytes(999_999))
    assert site.put("tiny", 2) == "SlowDown"
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    site.s3.complete_multipart_upload(Bucket="site", Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    assert site.pending()["bytes"] == 999_999
