"""`s3d` as a person types it: what is typed, what the screen says, and whether it ends as it should."""

import shlex
import subprocess
import sys

from clients import CommandFailed
from daemons import ACCESS_KEY, SECRET_KEY, Daemon, clean_environment

LINES_MAX = 16
LONG = "s3d-public-1-"  # a key of 96 characters is shown by its beginning


class Commands:
    """Runs commands in `directory` against a daemon; `taken` is the screen since it was last taken."""

    def __init__(self, directory: str, daemon: Daemon) -> None:
        self._directory = directory
        self._environment = clean_environment() | {
            "S3D_ADMIN": daemon.admin,
            "S3D_ENDPOINT": daemon.endpoint,
            "S3D_ACCESS_KEY": ACCESS_KEY,
            "S3D_SECRET_KEY": SECRET_KEY,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        self._screen: list[str] = []

    def __call__(self, *arguments: str, code: int = 0, lines_max: int = LINES_MAX) -> str:
        """Run `s3d` with these arguments; all that it says. Raises CommandFailed where it does not end with `code`."""
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "s3d.cli.main", *arguments],
            env=self._environment,
            cwd=self._directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        typed = f"$ s3d {shlex.join(map(_short, arguments))}"
        lines = ran.stdout.splitlines()
        left_out = [f"… {len(lines) - lines_max} more lines"] if len(lines) > lines_max else []
        self._screen += [typed, *map(_short, lines[:lines_max]), *left_out]
        if ran.returncode != code:
            raise CommandFailed(f"{typed}: exit code {ran.returncode} instead of {code}\n{ran.stdout}")
        if code:
            self._screen += ["$ echo $?", str(code)]
        return ran.stdout

    def taken(self) -> str:
        """The screen since the last time."""
        screen, self._screen = self._screen, []
        return "\n".join(screen)


def _short(text: str) -> str:
    head, found, rest = text.partition(LONG)
    return f"{head}{found}{rest[:4]}…" if found and len(rest) > 20 else text
