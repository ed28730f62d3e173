"""The two clients that most people use: boto3, and the AWS CLI as a program."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from daemons import ACCESS_KEY, SECRET_KEY, Daemon, clean_environment

REGION = "us-east-1"
CLI_PART_BYTES = 8 * 1024 * 1024  # the CLI uploads what is larger in parts of this size
CLI_CONFIGURATION = f"""
[default]
region = {REGION}
retries.max_attempts = 1
s3 =
    addressing_style = path
"""


def boto3_client(daemon: Daemon) -> Any:
    """A client that does not retry: what the demonstration counts as acknowledged was acknowledged once."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=daemon.endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


class CommandFailed(Exception):
    """`aws` ended with an error."""


class AwsCli:
    """`aws` from this environment, with a configuration of its own."""

    def __init__(self, directory: str, daemon: Daemon) -> None:
        config = f"{directory}/aws.config"
        with open(config, "w") as file:
            file.write(CLI_CONFIGURATION)
        self._endpoint = daemon.endpoint
        self._environment = clean_environment() | {
            "AWS_CONFIG_FILE": config,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._program = os.path.join(os.path.dirname(sys.executable), "aws")

    def __call__(self, *arguments: str) -> str:
        """Run `aws` with these arguments; what it prints. Raises CommandFailed with what it complains about."""
        ran = subprocess.run(
            [sys.executable, self._program, "--endpoint-url", self._endpoint, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise CommandFailed(f"aws {' '.join(arguments)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout


def real_files(root: str) -> Iterator[tuple[str, bytes]]:
    """Relative paths and contents below a directory, without what Python compiled."""
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted(files):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, root), file.read()
