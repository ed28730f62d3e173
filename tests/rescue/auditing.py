"""Follow docs/audit.md: at a live site and at the auditor's desk, with forged exports, and what damage has left."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from live import LiveDaemon, wait_until

from . import page
from .forging import forgeries
from .judging import judge_export
from .shells import Ran, Shell
from .touched import Touched

EXPORT, OTHERS, KEY = "w47.jsonl", ("w46.jsonl", "w48.jsonl"), "site7.key"  # as the page calls them
REFUSED, PENDING = 1, 3  # exit codes
ATTEMPTS, NOT_IN_TIME = 6, "does not answer"


class Result(Protocol):
    """What is written down of a drill."""

    forgeries: int
    wrong: list[str]
    typed: list[Ran]


class Auditor:
    """Somebody at a desk with a key, an export, and a bucket with anchors at the remote."""

    def __init__(self, desk: Path, remote: str, seed: int, result: Result) -> None:
        self._desk = desk
        self._remote = remote
        self._random = Random(f"{seed}-forgeries")
        self._result = result
        self._exporting: Sequence[str] = ()
        self._verifying: Sequence[str] = ()

    def follow_page(self, site: LiveDaemon, shell: Shell) -> None:
        """Every command of the page, while the site is alive; then verify what somebody has forged."""
        text = (page.DOCS / "audit.md").read_text(encoding="utf-8")
        (self._desk / "follow.py").write_text(page.program(text))
        for words in page.commands(text, {"aws": self._remote, **{one: one for one in OTHERS}}):
            if words[:4] == ["s3d", "audit", "verify", EXPORT]:
                self._verifying = words
                wait_until(lambda: _is_anchored(site))
            if words[:3] == ["s3d", "audit", "export"] and words[-1] == EXPORT:
                self._exporting = words
                for name in (OTHERS[0], EXPORT, OTHERS[1]):
                    self._type([*words[:-1], name], shell, 0)
            else:
                self._type(words, shell, 0)
        honest = (self._desk / EXPORT).read_bytes()
        for name, forged in forgeries(honest, self._random):
            (self._desk / EXPORT).write_bytes(forged)
            self._result.forgeries += 1
            ran = shell(self._verifying)
            if ran.code != REFUSED:
                self._result.wrong.append(f"{name}, and that was not noticed: {ran}")
        (self._desk / EXPORT).write_bytes(honest)

    def look_at_what_is_left(self, elsewhere: Path, data_dir: str, hit: Touched, shell: Shell) -> None:
        """An export of the disk, after it was recovered: verified, or refused for nothing but what damage took."""
        shutil.copyfile(self._desk / KEY, elsewhere / KEY)
        self._type([*self._exporting, "--data-dir", data_dir], shell, 0)
        ran = shell(self._verifying)
        self._result.typed.append(ran)
        self._result.wrong += judge_export(ran.out, ran.code, hit)

    def _type(self, words: Sequence[str], shell: Shell, code: int) -> None:
        for _ in range(ATTEMPTS):
            ran = shell(words)
            self._result.typed.append(ran)
            if NOT_IN_TIME not in ran.err:  # a busy machine: a person would call it again
                break
        if ran.code != code and not (ran.code == PENDING and "report" in words):  # the link is as fast as it is
            self._result.wrong.append(f"it should end with exit code {code}: {ran}")


def _is_anchored(site: LiveDaemon) -> bool:
    anchors = site.ask("/status")["audit"]["anchors"]
    return anchors["last"] is not None and not anchors["waiting"]
