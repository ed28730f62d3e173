"""The table of docs/metrics.md, made from the declarations: `python -m s3d.telemetry.document` prints it."""

from s3d.telemetry.catalogue import METRICS, Metric

_HEADER = "| Metric | Kind | Unit | Labels | Stable | Meaning |\n|---|---|---|---|---|---|"


def table() -> str:
    """Every metric, one row each, in Markdown."""
    return "\n".join([_HEADER, *map(_row, METRICS)]) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    stable = "yes" if metric.stable else "no"
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {stable} | {metric.meaning} |"


if __name__ == "__main__":
    print(table(), end="")
