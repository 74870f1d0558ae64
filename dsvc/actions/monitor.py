"""Write what Prometheus, Alertmanager and Grafana need to watch a served model, and read how it does."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dsvc.errors import RequestError, UsageError
from dsvc.monitoring.counters import by_edge, grown, quantile
from dsvc.monitoring.dashboard import dashboard
from dsvc.monitoring.prometheus import Sample, query
from dsvc.monitoring.rules import Watch, alertmanager_config, prometheus_config, rules

_GATE: Final = re.compile(r"\s*(\w+)\s*(<=|>=|<|>|==)\s*([-+.\deE]+)\s*")


class InTheWayError(RequestError):
    """A file that is there already and was changed."""


class NoSeriesError(RequestError):
    """A Prometheus that knows no such model."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on one figure, such as `psi < 0.2`; `said` is what the figure was called."""

    name: str
    sign: str
    limit: float
    said: str = field(default="", compare=False)

    def holds(self, value: float | None) -> bool:
        """Say whether a value meets it; what is not known does not."""
        if value is None or math.isnan(value):
            return False
        return {
            "<": value < self.limit, "<=": value <= self.limit, ">": value > self.limit,
            ">=": value >= self.limit, "==": value == self.limit,
        }[self.sign]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.said or self.name} {self.sign} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Figures of one server, None where they are not known; `failed` are the gates that they do not meet."""

    labels: Mapping[str, str]
    figures: Mapping[str, float | None]
    failed: tuple[Gate, ...]


def dump_yaml(value: Mapping[str, Any]) -> str:
    """Return a configuration as text, its fields in their order."""
    import yaml

    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=1000))


def dump_dashboard(watch: Watch) -> str:
    """Return the dashboard of a model as text."""
    return json.dumps(dashboard(watch), indent=2, ensure_ascii=False) + "\n"


def monitor_files(watch: Watch) -> dict[str, str]:
    """Return the files of a folder that watches a model, by their names."""
    rule_file = f"{watch.job}.rules.yml"
    return {
        "prometheus.yml": dump_yaml(prometheus_config(watch, [rule_file])),
        rule_file: dump_yaml(rules(watch)),
        "alertmanager.yml": dump_yaml(alertmanager_config(watch)),
        f"{watch.job}.dashboard.json": dump_dashboard(watch),
    }


def monitor_init(watch: Watch, folder: Path, *, force: bool = False) -> list[Path]:
    """Write these files into a folder; return their paths. What is there and differs is replaced only with `force`.

    Raises:
        InTheWayError: then; nothing is written.
    """
    files = monitor_files(watch)
    for name, text in files.items():
        path = folder / name
        if not force and path.exists() and path.read_bytes() != text.encode():
            raise InTheWayError(f"{path} is there already and differs", hint="--force replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return [folder / name for name in files]


FIGURES: Final = ("requests", "errors", "p50", "p99", "psi", "samples")
_ALIASES: Final = {"error_rate": "errors", "latency_p50": "p50", "latency_p99": "p99"}


def parse_gate(text: str, names: Sequence[str] = FIGURES) -> Gate:
    """Return what `psi < 0.2` says; `error_rate` stands for errors, too. Raises UsageError for what says nothing."""
    found = _GATE.fullmatch(text)
    name = _ALIASES.get(found[1], found[1]) if found is not None else ""
    if found is None or name not in names:
        known = ("error_rate" if each == "errors" else each for each in names)
        raise UsageError(f"{text!r} is no gate", hint=f"psi < 0.2, with one of {', '.join(known)}")
    try:
        return Gate(name, found[2], float(found[3]), found[1])
    except ValueError as error:
        raise UsageError(f"{found[3]!r} in {text!r} is no number") from error


def monitor_status(
    address: str, watch: Watch, *, gates: Sequence[Gate] = (), minutes: int = 5
) -> list[ServerStatus]:
    """Return the figures of each served version of a model, of the last minutes, from a Prometheus.

    Where it knows no such model, its name is that of a deployment.

    `requests` a second, on average over these minutes, `errors` as a share, `p50` and `p99` in seconds, `psi` of the
    column that drifts most, `samples` in the window.

    Raises:
        NoSeriesError: when it knows no such model. PrometheusError.
    """
    by = f"by ({', '.join(_LABELS)})"
    known, of = [], ""
    for of in (watch.selector, f"{{deployment={json.dumps(watch.deployment or watch.model)}}}"):
        known = [_key(sample) for sample in query(address, f"sum {by} (dsvc_model_info{of})")]
        if known:
            break
    else:
        what = watch.deployment or watch.model
        raise NoSeriesError(f"{address} knows no served model {what}", hint="is it among the targets of Prometheus?")
    start = query(address, "vector(time())")[0].value - 60 * minutes
    codes = _parted(grown(address, f"dsvc_requests_total{of}", (*_LABELS, "code"), minutes, start))
    buckets = _parted(grown(address, f"dsvc_request_seconds_bucket{of}", (*_LABELS, "le"), minutes, start))
    gauges = {
        name: {_key(sample): sample.value for sample in query(address, f"max {by} ({metric}{of})")}
        for name, metric in (("psi", "dsvc_drift_psi"), ("samples", "dsvc_drift_samples"))
    }
    status = []
    for key in sorted(known):
        counts, times = codes.get(key, {}), by_edge(buckets.get(key, {}))
        count = sum(counts.values())
        failures = sum(each for code, each in counts.items() if code.startswith("5"))
        figures = {
            "requests": count / (60 * minutes),
            "errors": failures / count if count else None,
            "p50": quantile(times, 0.5),
            "p99": quantile(times, 0.99),
            "psi": _number(gauges["psi"].get(key)),
            "samples": _number(gauges["samples"].get(key)),
        }
        failing = tuple(gate for gate in gates if not gate.holds(figures[gate.name]))
        status.append(ServerStatus(dict(zip(_LABELS, key, strict=True)), figures, failing))
    return status


_LABELS: Final = ("model", "version", "deployment")


def _parted(found: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], dict[str, float]]:
    """Return what was counted by server, and by the last label."""
    parted: dict[tuple[str, ...], dict[str, float]] = {}
    for key, count in found.items():
        parted.setdefault(key[:-1], {})[key[-1]] = count
    return parted


def _key(sample: Sample) -> tuple[str, ...]:
    return tuple(sample.labels.get(label, "") for label in _LABELS)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
