"""Compare two deployments of a model, or two versions, by what Prometheus knows of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dsvc.actions.monitor import Gate, NoSeriesError
from dsvc.errors import UsageError
from dsvc.monitoring.comparison import Difference, compare_classes, compare_numbers
from dsvc.monitoring.counters import by_edge, grown, quantile
from dsvc.monitoring.drift import measure
from dsvc.monitoring.prometheus import query

FIGURES: Final = ("requests", "errors", "p50", "p99", "psi", "samples")
GATED: Final = (
    *FIGURES, "errors_diff", "p50_ratio", "p99_ratio", "errors_p", "answers_p", "answers_distance",
)  # fmt: skip
_MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Side:
    """One of two: the versions that were served, figures (None where not known), and its answers.

    `requests` is their number, `errors` a share, `p50` and `p99` seconds, `psi` that of the column that drifts most,
    whose name is `drifting`, `samples` the rows of the smallest window. `classes` are counts of answers, and `mean` is
    that of answers which are numbers.
    """

    name: str
    versions: tuple[str, ...]
    figures: Mapping[str, float | None]
    drifting: str = ""
    classes: Mapping[str, float] = field(default_factory=dict)
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class CompareResult:
    """Two sides; tests of whether their errors and their answers differ, None where there is too little to tell.

    `distance` is between the answers: Jensen-Shannon's of classes, Kolmogorov-Smirnov's of numbers. `derived` are
    further figures that gates can ask for, `failed` the gates that are not met.
    """

    a: Side
    b: Side
    errors: Difference | None
    answers: Difference | None
    distance: float | None
    derived: Mapping[str, float | None]
    failed: tuple[Gate, ...]


@dataclass(slots=True)
class _Counted:
    """Counters of one side: how much each grew in the time that is looked at."""

    codes: dict[str, float]
    latency: dict[float, float]
    classes: dict[str, float]
    numbers: dict[float, float]
    total: float


def monitor_compare(
    address: str, a: str, b: str, *, minutes: int = 60, gates: Sequence[Gate] = ()
) -> CompareResult:
    """Compare B with A, each a deployment, or a model as what it is served, `@VERSION` behind it for one version alone.

    Raises:
        NoSeriesError: when Prometheus knows one of them not. PrometheusError. UsageError: when both are the same.
    """
    if a == b:
        raise UsageError(f"{a} is compared with itself", hint="dsvc monitor compare churn@1 churn@2")
    start = query(address, "vector(time())")[0].value - 60 * minutes
    sides, counted = [], []
    for name in (a, b):
        selector, versions = _find(address, name, minutes)
        one = _count(address, selector, minutes, start)
        counted.append(one)
        sides.append(_side(address, name, versions, selector, one))
    first, second = counted
    errors = compare_classes(_good_and_bad(first), _good_and_bad(second))
    answers, distance = _answers(first, second)
    derived = _derived(sides[0].figures, sides[1].figures, errors, answers, distance)
    values = {**sides[1].figures, **derived}
    failed = tuple(gate for gate in gates if not gate.holds(values[gate.name]))
    return CompareResult(sides[0], sides[1], errors, answers, distance, derived, failed)


def _find(address: str, text: str, minutes: int) -> tuple[str, tuple[str, ...]]:
    """Return the labels by which a side is found, and the versions that were served."""
    name, _, version = text.partition("@")
    more = f",version={json.dumps(version)}" if version else ""
    quoted = json.dumps(name)
    # Servers of a model without a deployment are those of 'dsvc serve'; beside them others may be deployed.
    for labels in (f"deployment={quoted}{more}", f'model={quoted},deployment=""{more}', f"model={quoted}{more}"):
        found = query(address, f"max by (version) (last_over_time(dsvc_model_info{{{labels}}}[{minutes}m]))")
        if found:
            return labels, tuple(sorted(sample.labels.get("version", "") for sample in found))
    raise NoSeriesError(
        f"{address} has seen nothing of {text} in {minutes} minutes",
        hint="is it among the targets of Prometheus? --minutes looks further back",
    )


def _count(address: str, labels: str, minutes: int, start: float) -> _Counted:
    def of(metric: str, label: str) -> dict[str, float]:
        found = grown(address, f"{metric}{{{labels}}}", (label,), minutes, start)
        return {key: count for (key,), count in found.items()}

    classes = {name: count for name, count in of("dsvc_output_category_total", "value").items() if count}
    missing = sum(of("dsvc_output_missing_total", "output").values())
    if missing:
        classes[_MISSING] = classes.get(_MISSING, 0.0) + missing
    return _Counted(
        of("dsvc_requests_total", "code"),
        by_edge(of("dsvc_request_seconds_bucket", "le")),
        classes,
        by_edge(of("dsvc_output_bucket", "le")),
        sum(of("dsvc_output_sum", "output").values()),
    )


def _side(address: str, name: str, versions: tuple[str, ...], labels: str, one: _Counted) -> Side:
    drifts = query(address, f"max by (feature) (dsvc_drift_psi{{{labels}}})")
    samples = query(address, f"min(dsvc_drift_samples{{{labels}}})")
    worst = max(drifts, key=lambda sample: sample.value, default=None)
    good, bad = _good_and_bad(one)
    figures = {
        "requests": good + bad,
        "errors": bad / (good + bad) if good + bad else None,
        "p50": quantile(one.latency, 0.5),
        "p99": quantile(one.latency, 0.99),
        "psi": worst.value if worst is not None else None,
        "samples": samples[0].value if samples else None,
    }
    count = one.numbers.get(math.inf, 0.0)
    return Side(
        name,
        versions,
        figures,
        worst.labels.get("feature", "") if worst is not None else "",
        one.classes,
        one.total / count if count else None,
    )


def _good_and_bad(one: _Counted) -> tuple[float, float]:
    bad = sum(count for code, count in one.codes.items() if code.startswith("5"))
    return sum(one.codes.values()) - bad, bad


def _answers(a: _Counted, b: _Counted) -> tuple[Difference | None, float | None]:
    """Compare answers, as numbers where both sides count them on edges, else as classes."""
    if a.numbers and b.numbers:
        found = compare_numbers(_apart(a.numbers), _apart(b.numbers), _finite(a.numbers), _finite(b.numbers))
        return found, None if found is None else found.statistic
    names = sorted({*a.classes, *b.classes})
    first, second = ([each.classes.get(name, 0.0) for name in names] for each in (a, b))
    found = compare_classes(first, second)
    return found, None if found is None else measure(first, second).js


def _finite(buckets: Mapping[float, float]) -> list[float]:
    return [edge for edge in buckets if not math.isinf(edge)]


def _apart(buckets: Mapping[float, float]) -> list[float]:
    counts, before = [], 0.0
    for count in buckets.values():
        counts.append(count - before)
        before = count
    return counts


def _derived(
    a: Mapping[str, float | None],
    b: Mapping[str, float | None],
    errors: Difference | None,
    answers: Difference | None,
    distance: float | None,
) -> dict[str, float | None]:
    def ratio(name: str) -> float | None:
        old, new = a[name], b[name]
        return new / old if old and new is not None else None

    old, new = a["errors"], b["errors"]
    return {
        "errors_diff": new - old if new is not None and old is not None else None,
        "p50_ratio": ratio("p50"),
        "p99_ratio": ratio("p99"),
        "errors_p": errors.p if errors is not None else None,
        "answers_p": answers.p if answers is not None else None,
        "answers_distance": distance,
    }
