"""Whoever types a command: its words, where `>` writes to a file, and the answer to its question on a terminal."""

import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from live import PROGRAM

COMMAND_SECONDS_MAX = 600
NOBODY = "nobody"


@dataclass(frozen=True)
class Ran:
    """A command, how it ended, and what was on the screen."""

    command: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.out}{self.err}(exit code {self.code})"


Shell = Callable[[Sequence[str]], Ran]


class Terminal:
    """Runs commands in a directory, as another user where one is named. Whatever asks a question is told yes."""

    def __init__(self, directory: Path, environment: Mapping[str, str], as_user: str = "") -> None:
        self._directory = directory
        paths = f"{Path(PROGRAM).parent}:{os.environ.get('PATH', '')}"
        self._environment = {"PATH": paths, "HOME": str(directory), "LANG": "C.UTF-8", **environment}
        self._user = pwd.getpwnam(as_user) if as_user else None

    def __call__(self, words: Sequence[str]) -> Ran:
        """Run it; it has ten minutes."""
        command, _, file = " ".join(words).partition(" > ")
        words = list(words[: words.index(">")]) if file else list(words)
        if not file:
            return self._run(command, words, None)
        with open(self._directory / file, "wb") as output:
            return self._run(f"{command} > {file}", words, output)

    def _run(self, command: str, words: list[str], output: BinaryIO | None) -> Ran:
        ours, its = os.openpty()  # a person is there, and can be asked
        try:
            os.write(ours, b"y\n")
            ran = subprocess.run(
                words,
                cwd=self._directory,
                env=self._environment,
                stdin=its,
                stdout=output if output is not None else subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS_MAX,
                **self._as_user(),
            )
        finally:
            os.close(its)
            os.close(ours)
        return Ran(command, ran.returncode, ran.stdout or "", ran.stderr)

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Everything below a directory belongs to who types."""
        if self._user is None:
            return
        for directory, names, files in os.walk(path):
            for one in (directory, *(os.path.join(directory, name) for name in (*names, *files))):
                os.chown(one, self._user.pw_uid, self._user.pw_gid)
