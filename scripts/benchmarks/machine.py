"""Where a run took place: what has to stand beside every figure."""

import os
import platform
from pathlib import Path


def machine(directory: Path) -> dict[str, str]:
    """CPU, cores, memory, kernel, Python, the file system under the data, and the load before the run."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory_gib = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return {
        "CPU": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory_gib:.0f} GiB",
        "file system": _file_system(directory.resolve()),
        "kernel": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        "load average before": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
    }


def _file_system(path: Path) -> str:
    """The type of the innermost mount that holds this path."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    around = [(len(at), kind) for _, at, kind, *_ in mounts if path == Path(at) or Path(at) in path.parents]
    return max(around)[1] if around else "?"
