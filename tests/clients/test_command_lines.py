"""AWS CLI, rclone and s5cmd: directories there and back, moved and removed, online and with the link cut."""

import pytest
from live import ACCESS_KEY, REGION, SECRET_KEY

from clients.conftest import FILES, files_in

pytestmark = pytest.mark.peer


@pytest.fixture
def rclone(run, edge):
    """rclone with a remote named `edge`."""
    settings = {
        "RCLONE_CONFIG_EDGE_TYPE": "s3",
        "RCLONE_CONFIG_EDGE_PROVIDER": "Other",
        "RCLONE_CONFIG_EDGE_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_EDGE_SECRET_ACCESS_KEY": SECRET_KEY,
        "RCLONE_CONFIG_EDGE_REGION": REGION,
        "RCLONE_CONFIG_EDGE_ENDPOINT": edge.url,
        "RCLONE_S3_UPLOAD_CUTOFF": "8M",
        "RCLONE_S3_CHUNK_SIZE": "5M",
        "RCLONE_CONFIG": "/dev/null",
    }
    return lambda *arguments: run("rclone", *arguments, **settings)


def test_aws_cli(run, weather, bucket, tree, tmp_path, arrived, removed):
    """sync both ways, cp, mv and rm; a second sync has nothing to do."""
    aws = lambda *arguments: run("aws", "s3", *arguments)
    aws("mb", f"s3://{bucket}")
    aws("sync", str(tree), f"s3://{bucket}/tree")
    assert aws("sync", str(tree), f"s3://{bucket}/tree") == ""
    aws("cp", "--metadata", "m=1", "--cache-control", "no-store", f"{tree}/a.txt", f"s3://{bucket}/described")
    aws("cp", f"s3://{bucket}/tree/large", f"s3://{bucket}/copy")
    aws("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    aws("cp", f"s3://{bucket}/tree/a.txt", f"s3://{bucket}/short-lived")
    aws("rm", f"s3://{bucket}/short-lived")
    aws("sync", f"s3://{bucket}/tree", "back")
    assert files_in(tmp_path / "back") == FILES
    wanted = {f"tree/{name}": content for name, content in FILES.items()} | {"moved": FILES["large"]}
    assert arrived(bucket) == wanted | {"described": FILES["a.txt"]}
    aws("rb", "--force", f"s3://{bucket}")
    assert removed(bucket)


def test_rclone(rclone, weather, bucket, tree, tmp_path, arrived, removed):
    """sync, check by checksum, copy on the server, moveto, and sync of a changed tree back."""
    rclone("mkdir", f"edge:{bucket}")
    rclone("sync", str(tree), f"edge:{bucket}/tree")
    rclone("check", "--download", str(tree), f"edge:{bucket}/tree")
    rclone("check", str(tree), f"edge:{bucket}/tree")
    rclone("copyto", f"edge:{bucket}/tree/large", f"edge:{bucket}/copy")
    rclone("moveto", f"edge:{bucket}/copy", f"edge:{bucket}/moved")
    assert sorted(rclone("lsf", "-R", "--files-only", f"edge:{bucket}/tree").splitlines()) == sorted(FILES)
    assert rclone("cat", f"edge:{bucket}/tree/a.txt") == "alpha"
    (tree / "a.txt").unlink()
    rclone("sync", str(tree), f"edge:{bucket}/tree")
    rclone("sync", f"edge:{bucket}/tree", str(tmp_path / "back"))
    left = {name: content for name, content in FILES.items() if name != "a.txt"}
    assert files_in(tmp_path / "back") == left
    assert arrived(bucket) == {f"tree/{name}": content for name, content in left.items()} | {"moved": FILES["large"]}
    rclone("purge", f"edge:{bucket}")
    assert removed(bucket)


def test_s5cmd(run, weather, bucket, tree, tmp_path, arrived, removed):
    """cp with wildcards, mv, rm and sync."""
    s5cmd = lambda *arguments: run("s5cmd", *arguments)
    s5cmd("mb", f"s3://{bucket}")
    s5cmd("cp", "--part-size", "5", f"{tree}/", f"s3://{bucket}/tree/")
    s5cmd("cp", f"s3://{bucket}/tree/large", f"s3://{bucket}/a + copy")  # it writes the source's blanks as `+`
    s5cmd("mv", f"s3://{bucket}/a + copy", f"s3://{bucket}/moved")
    s5cmd("cp", f"s3://{bucket}/tree/a.txt", f"s3://{bucket}/short-lived")
    s5cmd("rm", f"s3://{bucket}/short-*")
    s5cmd("sync", f"s3://{bucket}/tree/*", "back/")
    assert files_in(tmp_path / "back") == FILES
    wanted = {f"tree/{name}": content for name, content in FILES.items()} | {"moved": FILES["large"]}
    assert arrived(bucket) == wanted
    s5cmd("rm", f"s3://{bucket}/*")
    s5cmd("rb", f"s3://{bucket}")
    assert removed(bucket)
