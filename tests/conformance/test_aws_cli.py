"""The AWS command line as people use it: cp, ls, mv, rm, sync."""

import os
import subprocess

import pytest
from conftest import new_bucket_name
from live import ACCESS_KEY, AWS, REGION, SECRET_KEY

CONFIG = "[default]\ns3 =\n  multipart_threshold = 1GB\n  addressing_style = path\n"
MIB = 1024 * 1024


@pytest.fixture
def aws(signed_daemon, tmp_path):
    """Runs one command; its output."""
    (tmp_path / "config").write_text(CONFIG)

    def run(*arguments, fails=False):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": signed_daemon.url,
            "AWS_MAX_ATTEMPTS": "1",
        }
        done = subprocess.run([AWS, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert (done.returncode != 0) is fails, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def cli_bucket(signed_daemon, s3_of):
    name = new_bucket_name()
    s3_of(signed_daemon).create_bucket(Bucket=name)
    return name


def test_files_there_and_back(aws, cli_bucket, tmp_path):
    """sync up, ls, mv, sync down and rb --force: the same files, then none."""
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    files = {"a.txt": b"alpha", "deep/b c.bin": b"\0" * 70_000, "deep/er/ü.txt": b"", "z": b"z" * 300_000}
    for name, content in files.items():
        (source / name).write_bytes(content)
        os.utime(source / name, (1_700_000_000, 1_700_000_000))  # S3's times have whole seconds: sync must not tie
    aws("s3", "sync", "source", f"s3://{cli_bucket}/tree")
    listed = aws("s3", "ls", "--recursive", f"s3://{cli_bucket}/")
    assert [line.split(maxsplit=3)[3] for line in listed.splitlines()] == sorted(f"tree/{name}" for name in files)
    assert aws("s3", "sync", "source", f"s3://{cli_bucket}/tree") == ""  # nothing has changed
    aws("s3", "mv", f"s3://{cli_bucket}/tree/z", f"s3://{cli_bucket}/tree/moved")
    files["moved"] = files.pop("z")
    aws("s3", "sync", f"s3://{cli_bucket}/tree", "target")
    target = tmp_path / "target"
    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == files
    aws("s3", "rb", "--force", f"s3://{cli_bucket}")


def test_sixty_four_mebibytes_in_one_put(aws, cli_bucket, tmp_path):
    """One PUT, through the pool and back by sendfile."""
    content = os.urandom(MIB) * 64
    (tmp_path / "large").write_bytes(content)
    aws("s3", "cp", "large", f"s3://{cli_bucket}/large")
    aws("s3", "cp", f"s3://{cli_bucket}/large", "back")
    assert (tmp_path / "back").read_bytes() == content


def test_nine_mebibytes_in_parts(aws, cli_bucket, tmp_path):
    """What the command line does above 8 MiB by itself: parts up, ranges down."""
    (tmp_path / "config").write_text("")
    content = os.urandom(MIB) * 9
    (tmp_path / "large").write_bytes(content)
    aws("s3", "cp", "large", f"s3://{cli_bucket}/large")
    aws("s3", "cp", f"s3://{cli_bucket}/large", "back")
    assert (tmp_path / "back").read_bytes() == content


def test_s3api(aws, cli_bucket, tmp_path):
    """The commands that map one to one to operations."""
    (tmp_path / "body").write_bytes(b"hello")
    aws("s3api", "put-object", "--bucket", cli_bucket, "--key", "k", "--body", "body", "--if-none-match", "*")
    said = aws("s3api", "put-object", "--bucket", cli_bucket, "--key", "k", "--if-none-match", "*", fails=True)
    assert "PreconditionFailed" in said
