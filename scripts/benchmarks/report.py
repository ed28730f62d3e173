"""What was found, as a table for people or as JSON."""

import json
import platform
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.budget import Step
from benchmarks.rounds import Found

_ROWS = (
    # title, series without the server's name, unit, what it is compared with
    ("PUT 4 KiB, 32 connections", "PUT 32", "/s", "PUT 32 bare"),
    ("PUT 4 KiB, 1 connection", "PUT 1", "/s", "append"),
    ("GET 4 KiB, in memory", "GET hot", "/s", "GET hot bare"),
    ("GET 4 KiB, from the journal", "GET cold", "/s", "GET hot bare"),
    ("LIST of 1,000", "LIST", "/s", ""),
    ("PUT 64 MiB", "PUT large", "MiB/s", "PUT large bare"),
    ("GET 64 MiB", "GET large", "MiB/s", "GET large bare"),
)
_SERVERS = ("bare", "signed", "unsigned", "baseline")


def lines(found: Found) -> list[dict[str, Any]]:
    """One entry for each row and server: median, spread, and the ratio of the rounds."""
    result: list[dict[str, Any]] = []
    for title, series, unit, reference in _ROWS:
        for server in _SERVERS:
            name = f"{series} {server}"
            if name not in found.series:
                continue
            values = found.series[name]
            entry: dict[str, Any] = {"row": title, "server": server, "unit": unit, "median": statistics.median(values)}
            entry |= {"least": min(values), "greatest": max(values)}
            if name in found.p50_ms:
                entry["p50_ms"] = statistics.median(found.p50_ms[name])
                entry["p99_ms"] = statistics.median(found.p99_ms[name])
                entry["cpu_us"] = statistics.median(found.cpu_us[name])
            if reference and reference != name and (ratio := found.ratio(name, reference)) is not None:
                entry |= {"of": reference, "ratio": ratio[0], "ratio_least": ratio[1], "ratio_greatest": ratio[2]}
            if server not in {"bare", "baseline"} and (ratio := found.ratio(name, f"{series} baseline")) is not None:
                entry["of_baseline"] = ratio[0]
            result.append(entry)
    values = found.series["append"]
    entry = {"row": "append 4 KiB + fdatasync, 1 thread", "server": "disk", "unit": "/s"}
    result.append(entry | {"median": statistics.median(values), "least": min(values), "greatest": max(values)})
    return result


def as_json(found: Found, budget: list[Step]) -> str:
    """Everything, for a program."""
    document = {
        "machine": machine(),
        "rows": lines(found),
        "memory_mib": found.memory_mib,
        "budget_us": [{"step": step.name, "cpu_us": step.cpu_us, "aim_us": step.aim_us} for step in budget],
    }
    return json.dumps(document, indent=2)


def show(found: Found, budget: list[Step], console: Console) -> None:
    """Everything, for a person."""
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()))
    table = Table(title="Rates: medians of the rounds (least … greatest)")
    for column in ("row", "server", "rate", "p50 / p99 ms", "CPU µs", "ratio"):
        table.add_column(column, justify="left" if column in {"row", "server"} else "right")
    last = ""
    for line in lines(found):
        table.add_row(*_cells(line, last), end_section=False)
        last = line["row"]
    console.print(table)
    memory = Table(title="Resident memory, MiB")
    memory.add_column("when")
    memory.add_column("MiB", justify="right")
    for name, value in found.memory_mib.items():
        memory.add_row(name, f"{value:.0f}")
    console.print(memory)
    if budget:
        console.print(_budget_table(budget))


def _cells(line: dict[str, Any], last: str) -> tuple[str, ...]:
    rate = f"{line['median']:,.0f} {line['unit']}  ({line['least']:,.0f} … {line['greatest']:,.0f})"
    latency = f"{line['p50_ms']:.2f} / {line['p99_ms']:.2f}" if "p50_ms" in line else ""
    cpu = f"{line['cpu_us']:.0f}" if "cpu_us" in line else ""
    ratio = ""
    if "ratio" in line:
        ratio = f"{line['ratio']:.3f} of {line['of']}  ({line['ratio_least']:.3f} … {line['ratio_greatest']:.3f})"
    if "of_baseline" in line:
        ratio += f"  {line['of_baseline']:.3f} of baseline"
    return ("" if line["row"] == last else line["row"], line["server"], rate, latency, cpu, ratio)


def _budget_table(budget: list[Step]) -> Table:
    table = Table(title="The budget of one durable 4 KiB PUT, µs of CPU (measured in a loop, one process)")
    for column in ("step", "µs", "aim"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for step in budget:
        table.add_row(step.name, f"{step.cpu_us:.1f}", step.aim_us)
    return table


def machine() -> dict[str, str]:
    """Where this was measured."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    load = Path("/proc/loadavg").read_text().split()[0]
    return {
        "CPU": model,
        "cores": str(info.count("processor\t")),
        "memory": f"{memory} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load average at the end": load,
    }
