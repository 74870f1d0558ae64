"""Read how the servers of a deployment do, and hold that against gates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dsvc.actions.monitor import Gate, NoSeriesError, monitor_status, parse_gate
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.monitors import watch_of
from dsvc.deployments.place import Place

# A line of the text format: https://prometheus.io/docs/instrumenting/exposition_formats/
_LINE: Final = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: \S+)?")
_FIGURES: Final = ("requests", "errors", "p50", "p99", "psi", "samples")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')


@dataclass(frozen=True, slots=True)
class Reading:
    """How servers did: how many requests they answered, and figures by the names of gates, None where not known."""

    requests: float
    figures: Mapping[str, float | None]

    def failed(self, gates: Iterable[Gate]) -> tuple[Gate, ...]:
        """Return the gates that are not met; what is not known does not meet any."""
        return tuple(gate for gate in gates if not gate.holds(self.figures[gate.name]))

    def broken(self, gates: Iterable[Gate]) -> tuple[Gate, ...]:
        """Return those that are not met by what is known."""
        return tuple(gate for gate in self.failed(gates) if self.figures[gate.name] is not None)


def read_gates(texts: Iterable[str]) -> tuple[Gate, ...]:
    """Return gates such as `error_rate < 0.01`, `p99 < 0.5`, `psi < 0.2`; raises UsageError."""
    return tuple(map(parse_gate, texts))


def reader_of(place: Place, made: Deployment, prometheus: str, *, minutes: int) -> Callable[[float], Reading]:
    """Return what reads how a deployment does, in so many seconds: from its servers, or from a Prometheus.

    What a Prometheus has not scraped yet is not known.

    Raises (when called):
        PlaceError, RequestError: when servers cannot be asked. PrometheusError.
    """
    if not prometheus:
        return watch_servers(lambda: list(place.metrics(made)))

    def ask(_seconds: float) -> Reading:
        try:
            rows = monitor_status(prometheus, watch_of(made), minutes=minutes)
        except NoSeriesError:  # it was not scraped yet
            rows = []
        one = next((each for each in rows if each.labels["version"] == str(made.version)), None)
        if one is None:
            return Reading(0.0, dict.fromkeys(_FIGURES))
        return Reading((one.figures["requests"] or 0.0) * minutes * 60, one.figures)

    return ask


def watch_servers(ask: Callable[[], Sequence[str]]) -> Callable[[float], Reading]:
    """Return what reads servers; the first look at them says how many requests they had answered before."""
    first: list[float] = []

    def read(seconds: float) -> Reading:
        found = read_servers(ask(), seconds=seconds if first else 0.0, before=first[0] if first else 0.0)
        first.append(found.requests)
        return found

    return read


def read_servers(texts: Sequence[str], *, seconds: float, before: float = 0.0) -> Reading:
    """Return the figures of servers together from what each says at /metrics, asked for so many seconds.

    `before` is how many requests they had answered when these began: of no use for how many they get a second.
    """
    total = failed = 0.0
    buckets: dict[float, float] = {}
    psi: float | None = None
    samples: float | None = None
    for text in texts:
        for name, labels, value in _samples(text):
            if name == "dsvc_requests_total":
                total += value
                failed += value if labels.get("code", "").startswith("5") else 0
            elif name == "dsvc_request_seconds_bucket":
                buckets[float(labels["le"])] = buckets.get(float(labels["le"]), 0.0) + value
            elif name == "dsvc_drift_psi" and not math.isnan(value):
                psi = value if psi is None else max(psi, value)
            elif name == "dsvc_drift_samples":
                samples = value if samples is None else max(samples, value)
    return Reading(
        total,
        {
            "requests": max(total - before, 0.0) / seconds if seconds > 0 else None,
            "errors": failed / total if total else None,
            "p50": _quantile(buckets, 0.5),
            "p99": _quantile(buckets, 0.99),
            "psi": psi,
            "samples": samples,
        },
    )


def _samples(text: str) -> Iterable[tuple[str, Mapping[str, str], float]]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            yield found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of a histogram of counts below edges, as `histogram_quantile` of PromQL does."""
    edges = sorted(buckets)
    if not edges or not buckets[edges[-1]]:
        return None
    rank, low, below = share * buckets[edges[-1]], 0.0, 0.0
    for edge in edges:
        count = buckets[edge]
        if count >= rank:
            if math.isinf(edge):
                return low
            return low + (edge - low) * (rank - below) / (count - below) if count > below else edge
        low, below = edge, count
    return low
