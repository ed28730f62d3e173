"""What the daemon says of itself, as numbers."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """One answer of /metrics."""

    samples: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]

    def value(self, name: str, **labels: str) -> float:
        """A sample's value; 0 where there is none."""
        return self.samples.get((name, tuple(sorted(labels.items()))), 0.0)

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram's cumulative counts by upper bound."""
        wanted = f"{name}_bucket"
        return {float(dict(labels)["le"]): value for (found, labels), value in self.samples.items() if found == wanted}


def scrape(admin: str) -> Scrape:
    """Ask the admin listener."""
    with urllib.request.urlopen(f"{admin}/metrics", timeout=60) as response:
        families = text_string_to_metric_families(response.read().decode())
        return Scrape({(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples})
