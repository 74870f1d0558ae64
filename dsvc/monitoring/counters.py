"""By how much counters of Prometheus have grown: exactly, from their values, not as PromQL estimates it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from dsvc.monitoring.prometheus import History, histories


def increase(history: History, start: float) -> float:
    """Return by how much a counter has grown since `start`, exactly: a smaller value than before is a new beginning.

    A series that began after `start` counts from 0, unlike for PromQL's `increase`.
    """
    values = history.values
    steps = sorted(b - a for (a, _), (b, _) in pairwise(values))
    began = values[0][0] - start > max(5.0, 2 * steps[len(steps) // 2] if steps else 0.0)
    total = values[0][1] if began else 0.0
    for (_, before), (_, after) in pairwise(values):
        total += after - before if after >= before else after
    return total


def grown(
    address: str, selector: str, labels: Sequence[str], minutes: int, start: float
) -> dict[tuple[str, ...], float]:
    """Return by how much counters have grown since `start`, the sum for each combination of labels.

    Raises:
        PrometheusError.
    """
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for history in histories(address, selector, minutes):
        found[tuple(history.labels.get(label, "") for label in labels)] += increase(history, start)
    return dict(found)


def by_edge(buckets: Mapping[str, float]) -> dict[float, float]:
    """Return what was counted up to each edge, in the order of edges, of which the last is infinite."""
    return dict(sorted((float(edge), count) for edge, count in buckets.items()))


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of what was counted up to each edge, taken as even between edges; None where nothing was."""
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    below, low = 0.0, 0.0
    for edge, count in buckets.items():
        if count >= share * total:
            if math.isinf(edge):
                return low
            return low + (edge - low) * (share * total - below) / (count - below) if count > below else edge
        below, low = count, edge
    return low
