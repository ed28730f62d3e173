"""The real replicator through the real client to moto's server."""

import hashlib
from pathlib import Path

from s3d.values import BlobBytes

from .doubles import FakeRemote
from .replicating import Site


async def test_a_site_arrives_at_a_real_server(tmp_path: Path, remote: FakeRemote) -> None:
    """Rows, a blob, metadata, tags, an overwrite, a copy and a deletion, as S3 itself tells of them afterwards."""
    from moto.server import ThreadedMotoServer

    from s3d.remote.client import AiobotocoreRemote, RemoteSettings

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = AiobotocoreRemote(RemoteSettings(f"http://{host}:{port}", access_key="AKIAEXAMPLE", secret_key="secret"))
    (tmp_path / ("a" * 32)).write_bytes(b"b" * 5_000_000)
    site = Site(tmp_path, client, clock=remote.clock)  # type: ignore[arg-type]
    await site.open()
    await site.create_bucket("bucket")
    put = await site.put("a ü+%/k", b"one", "bucket", ContentType="t/x", Metadata={"m": "1"}, Tagging="t=1")
    await site.copy("a ü+%/k", "copy", "bucket", Metadata={"m": "2"})
    await site.put("a ü+%/k", b"two", "bucket")
    await site.put("gone", b"x", "bucket")
    await site.delete("gone", "bucket")
    etag = hashlib.md5(b"b" * 4_999_999).hexdigest()
    await site.append(
        "PutObject", "bucket/big", size=4_999_999, etag=etag, extents=(BlobBytes("a" * 32, 1, 4_999_999),)
    )
    await site.begin_upload("parts", "u1", "bucket", ContentType="t/y")
    (tmp_path / ("c" * 32)).write_bytes(b"c" * 5 * 1024 * 1024)
    part = {"size": 5 * 1024 * 1024, "extents": (BlobBytes("c" * 32, 0, 5 * 1024 * 1024),), "upload": "u1", "part": 1}
    md5 = hashlib.md5(b"c" * 5 * 1024 * 1024).hexdigest()
    await site.append("UploadPart", "bucket/parts?upload=u1", etag=md5, **part)
    await site.part("parts", "u1", 2, b"end", "bucket")
    await site.complete("parts", "u1", "bucket")
    await site.settled()
    assert site.pending() == []
    listed = await client.call("ListObjectsV2", {"Bucket": "bucket"})
    assert {one["Key"]: one["ETag"].strip('"') for one in listed["Contents"]} == {
        "a ü+%/k": hashlib.md5(b"two").hexdigest(),
        "big": etag,
        "copy": hashlib.md5(b"one").hexdigest(),
        "parts": hashlib.md5(bytes.fromhex(md5) + hashlib.md5(b"end").digest()).hexdigest() + "-2",
    }
    head = await client.call("HeadObject", {"Bucket": "bucket", "Key": "copy"})
    assert head["Metadata"] == {"m": "2", "s3d-token": f"instance-1-{put + 1}"}
    tags = await client.call("GetObjectTagging", {"Bucket": "bucket", "Key": "copy"})
    assert tags["TagSet"] == []
    await site.close()
    await client.close()
    server.stop()
