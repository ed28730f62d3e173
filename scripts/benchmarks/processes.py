"""What processes use, read from /proc: a server is its root processes and everything that they have started."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.findings import MEGABYTE, Memory


def family(roots: Iterable[int]) -> list[int]:
    """The processes and all their descendants that live now."""
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        process = waiting.pop(0)
        try:
            tasks = os.listdir(f"/proc/{process}/task")
            found.append(process)
            for task in tasks:
                waiting += map(int, Path(f"/proc/{process}/task/{task}/children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return found


def memory(roots: Sequence[int]) -> Memory:
    """Resident memory now. Pages that processes share count in each of them, so the sum is an upper bound."""
    everybody = family(roots)
    children = [process for process in everybody if process not in roots]
    return Memory(
        sum(_status_mb(process, "VmRSS") for process in roots),
        sum(_status_mb(process, "VmRSS") for process in children),
        sum(_status_mb(process, "VmHWM") for process in everybody),
    )


def cpu_seconds(roots: Sequence[int]) -> float:
    """User and system time so far, of those that live."""
    return sum(map(_cpu_seconds, family(roots)))


def pin(roots: Iterable[int], core: int) -> None:
    """Move processes that run, every thread of them, to one core."""
    for process in family(roots):
        for task in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(task), {core})


def _status_mb(process: int, field: str) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / MEGABYTE for line in lines if line.startswith(field)), 0.0)


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
