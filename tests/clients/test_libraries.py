"""boto3's transfer manager, s3fs and minio-py: what applications import, online and with the link cut."""

import io
from importlib.util import find_spec

import pytest
from boto3.s3.transfer import TransferConfig
from live import ACCESS_KEY, REGION, SECRET_KEY

from clients.conftest import FILES, MIB, files_in

pytestmark = pytest.mark.peer
CONFIG = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)


def needs(name):
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed; scripts/setup brings it")


def test_boto3(s3_of, edge, weather, bucket, tree, tmp_path, arrived):
    """Files, streams and copies in parts, tags and metadata with them."""
    client = s3_of(edge)
    client.create_bucket(Bucket=bucket)
    for name in FILES:
        client.upload_file(str(tree / name), bucket, name, ExtraArgs={"Metadata": {"m": "1"}}, Config=CONFIG)
    client.upload_fileobj(io.BytesIO(FILES["large"]), bucket, "stream", ExtraArgs={"Tagging": "a=1"}, Config=CONFIG)
    client.copy({"Bucket": bucket, "Key": "stream"}, bucket, "copy", Config=CONFIG)
    for name in FILES:
        (tmp_path / "back" / name).parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, name, str(tmp_path / "back" / name), Config=CONFIG)
    assert files_in(tmp_path / "back") == FILES
    got = io.BytesIO()
    client.download_fileobj(bucket, "copy", got, Config=CONFIG)
    assert got.getvalue() == FILES["large"]
    assert client.head_object(Bucket=bucket, Key="large")["Metadata"] == {"m": "1"}
    assert client.get_object_tagging(Bucket=bucket, Key="stream")["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert arrived(bucket) == FILES | {"stream": FILES["large"], "copy": FILES["large"]}


@needs("s3fs")
def test_s3fs(edge, weather, bucket, tree, tmp_path, arrived, removed):
    """Directories there and back, files written in blocks and appended to, moved, found and removed."""
    import s3fs

    site = s3fs.S3FileSystem(
        key=ACCESS_KEY,
        secret=SECRET_KEY,
        endpoint_url=edge.url,
        client_kwargs={"region_name": REGION},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    site.mkdir(bucket)
    site.put(f"{tree}/", f"{bucket}/tree/", recursive=True)
    with site.open(f"{bucket}/written", "wb", block_size=5 * MIB) as file:
        file.write(FILES["large"])
    with site.open(f"{bucket}/written", "ab", block_size=5 * MIB) as file:
        file.write(b"and more")
    with site.open(f"{bucket}/written", "rb") as file:
        file.seek(-12, io.SEEK_END)
        assert file.read() == FILES["large"][-4:] + b"and more"
    site.mv(f"{bucket}/tree/a.txt", f"{bucket}/tree/moved.txt")
    assert site.exists(f"{bucket}/tree/moved.txt")
    assert not site.exists(f"{bucket}/tree/a.txt")
    assert sorted(site.find(f"{bucket}/tree/deep")) == [f"{bucket}/tree/deep/b c+d.bin", f"{bucket}/tree/deep/er/ü.txt"]
    assert site.info(f"{bucket}/written")["size"] == len(FILES["large"]) + 8
    site.get(f"{bucket}/tree/", f"{tmp_path}/back/", recursive=True)
    wanted = {name if name != "a.txt" else "moved.txt": content for name, content in FILES.items()}
    assert files_in(tmp_path / "back") == wanted
    there = arrived(bucket)
    assert there.pop("written") == FILES["large"] + b"and more"
    assert there == {f"tree/{name}": content for name, content in wanted.items()}
    site.rm(bucket, recursive=True)
    assert removed(bucket)


@needs("minio")
def test_minio(edge, weather, bucket, tree, tmp_path, arrived, removed):
    """Files and streams in parts, copies, composed objects, tags, presigned URLs and removal."""
    import urllib.request

    from minio import Minio
    from minio.commonconfig import ComposeSource, CopySource, Tags
    from minio.deleteobjects import DeleteObject

    client = Minio(
        edge.url.removeprefix("http://"), access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False, region=REGION
    )
    client.make_bucket(bucket)
    for name in FILES:
        client.fput_object(bucket, name, str(tree / name), metadata={"m": "1"}, part_size=5 * MIB)
    client.put_object(bucket, "stream", io.BytesIO(FILES["large"]), -1, part_size=5 * MIB)
    client.copy_object(bucket, "copy", CopySource(bucket, "stream"))
    client.compose_object(bucket, "composed", [ComposeSource(bucket, "large"), ComposeSource(bucket, "a.txt")])
    tags = Tags.new_object_tags()
    tags["a"] = "1"
    client.set_object_tags(bucket, "copy", tags)
    assert client.get_object_tags(bucket, "copy") == {"a": "1"}
    assert client.stat_object(bucket, "large").metadata["x-amz-meta-m"] == "1"
    for name in FILES:
        client.fget_object(bucket, name, str(tmp_path / "back" / name))
    assert files_in(tmp_path / "back") == FILES
    with urllib.request.urlopen(client.presigned_get_object(bucket, "a.txt")) as answer:
        assert answer.read() == FILES["a.txt"]
    listed = [one.object_name for one in client.list_objects(bucket, recursive=True)]
    assert listed == sorted([*FILES, "stream", "copy", "composed"], key=str.encode)
    composed = FILES["large"] + FILES["a.txt"]
    assert arrived(bucket) == FILES | {"stream": FILES["large"], "copy": FILES["large"], "composed": composed}
    assert list(client.remove_objects(bucket, [DeleteObject(name) for name in listed])) == []
    client.remove_bucket(bucket)
    assert removed(bucket)
