"""Recoveries that are killed in the middle, in processes that fork: `python killed_recoveries.py DAMAGED WORK EVERY`.

DAMAGED is copied to WORK, and recovered there by a child that is killed before its Nth rename of a file, for every
EVERYth N; then the recovery is called again. What is said on standard output, a line each: N, the steps that were done
by then, and whether what came of it is what an undisturbed recovery makes.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from journal.disk import RealDisk
from journal.inspection import inspect
from s3d.app.examining import look_at
from s3d.app.recovering import Recovery, read_plan
from s3d.clock import SystemClock
from s3d.errors import DataDirectoryError
from s3d.recovery.findings import findings, needs_repair
from s3d.recovery.plan import Plan, make_plan

CHANGING = {"rename"}  # what is exchanged: before and after each of them is another state to go on from


class DeadlyDisk:
    """A disk whose Nth change kills the process before it is made."""

    def __init__(self, left: int) -> None:
        self._disk = RealDisk()
        self._left = left

    def __getattr__(self, name: str) -> Any:
        if name in CHANGING:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._disk, name)


def planned(directory: str) -> Plan:
    return read_plan(directory) or make_plan(look_at(directory, deep=False), "20261123T120000Z", "test")


def killed(directory: str, at: int) -> bool:
    """Whether the recovery was killed, and not over before."""
    child = os.fork()
    if child == 0:
        Recovery(directory, planned(directory), DeadlyDisk(at), SystemClock()).carry_out(lambda _: None)  # type: ignore[arg-type]
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def outcome(directory: str) -> tuple[Any, ...]:
    """What is left of a directory: its records, its journal's files, what was put aside, and whether it is sound."""
    with inspect(f"{directory}/journal") as inspection:
        inspection.verify()
        records = [(one.sequence, one.kind, one.stream, one.payload) for one in inspection.records()]
        files = [(file.name, file.first, file.last) for file in inspection.files()]
        epoch = inspection.identity.epoch
    aside = sorted(str(path.relative_to(directory)) for path in Path(directory, "set-aside").rglob("*"))
    return records, files, epoch, aside, needs_repair(findings(look_at(directory, deep=True)))


def main(damaged: str, work: str, every: int) -> None:
    whole = f"{work}/undisturbed"
    shutil.copytree(damaged, whole)
    Recovery(whole, planned(whole), RealDisk(), SystemClock()).carry_out(lambda _: None)
    wanted = outcome(whole)
    at, was_killed = 1, True
    while was_killed:
        directory = f"{work}/{at}"
        shutil.copytree(damaged, directory)
        was_killed = killed(directory, at)
        begun = read_plan(directory)
        if was_killed and (begun is not None or at == 1):
            again = planned(directory)
            Recovery(directory, again, RealDisk(), SystemClock()).carry_out(lambda _: None)
        print(at, begun.done if begun is not None else "-", outcome(directory) == wanted, flush=True)
        shutil.rmtree(directory)
        at += every


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except DataDirectoryError as error:
        sys.exit(str(error))
