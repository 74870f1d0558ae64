"""What a server that answers with a model tells Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dsvc.monitoring.drift import Drift
from dsvc.monitoring.monitor import Monitor, Side, Watched
from dsvc.monitoring.profile import Column

LATENCIES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

ERRORS: Final = ("input", "size", "address", "token", "model", "server", "monitoring")


class ServerMetrics:
    """Counts requests, and tells all that is known when it is asked. It is used by one thread at a time.

    `model` has the labels that every series carries; `info` those of `dsvc_model_info`.
    """

    def __init__(self, model: Mapping[str, str], info: Mapping[str, str], monitor: Monitor | None) -> None:
        self._labels = list(model)
        self._model = list(model.values())
        self._info = dict(info)
        self.monitor = monitor
        self.in_flight = 0
        self.logged: Mapping[str, int] | None = None  # rows of the log of predictions, by what became of them
        self._requests: Counter[tuple[str, int]] = Counter()
        # From the start, so that the first one is seen as an increase.
        self._errors: Counter[str] = Counter(dict.fromkeys(ERRORS, 0))
        self._seconds: dict[str, list[int]] = {}
        self._spent: dict[str, float] = {}
        self._rows: Counter[str] = Counter()

    def answered(self, protocol: str, status: int, seconds: float, rows: int) -> None:
        """Count a request that was answered: how long it took in seconds, and how many rows it had."""
        self._requests[protocol, status] += 1
        buckets = self._seconds.get(protocol)
        if buckets is None:
            buckets = self._seconds[protocol] = [0] * (len(LATENCIES) + 1)
        buckets[bisect_left(LATENCIES, seconds)] += 1
        self._spent[protocol] = self._spent.get(protocol, 0.0) + seconds
        self._rows[protocol] += rows

    def failed(self, kind: str) -> None:
        """Count an error."""
        self._errors[kind] += 1

    def snapshot(self) -> Snapshot:
        """Return all metrics as they are now."""
        return Snapshot(list(self.collect()))

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        labels, model = self._labels, self._model
        yield info_family(dict(zip(labels, model, strict=True)), self._info)
        requests = CounterMetricFamily(
            "dsvc_requests", "Requests that were answered", labels=[*labels, "protocol", "code"]
        )
        for (protocol, code), count in self._requests.items():
            requests.add_metric([*model, protocol, str(code)], count)
        yield requests
        rows = CounterMetricFamily("dsvc_rows", "Rows that the model was asked", labels=[*labels, "protocol"])
        seconds = HistogramMetricFamily(
            "dsvc_request_seconds", "Time from a request to its answer", labels=[*labels, "protocol"]
        )
        for protocol, buckets in self._seconds.items():
            rows.add_metric([*model, protocol], self._rows[protocol])
            edges = [*map(str, LATENCIES), "+Inf"]
            seconds.add_metric([*model, protocol], _cumulated(edges, buckets), self._spent[protocol])
        yield rows
        yield seconds
        flying = GaugeMetricFamily("dsvc_in_flight", "Requests under way", labels=labels)
        flying.add_metric(model, self.in_flight)
        yield flying
        errors = CounterMetricFamily("dsvc_errors", "Requests that were refused or failed", labels=[*labels, "kind"])
        for kind, count in self._errors.items():
            errors.add_metric([*model, kind], count)
        yield errors
        if self.logged is not None:
            logged = CounterMetricFamily("dsvc_logged_rows", "Rows for a later training", labels=[*labels, "state"])
            for state, count in self.logged.items():
                logged.add_metric([*model, state], count)
            yield logged
        if self.monitor is not None:
            yield from self._values(self.monitor)
            yield from drift_families(
                dict(zip(labels, model, strict=True)),
                self.monitor.samples,
                self.monitor.drift(),
                enough=self.monitor.samples >= self.monitor.min_samples,
            )

    def _values(self, monitor: Monitor) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        labels = self._labels
        found = list(monitor.watched())
        for side, name in (("input", "feature"), ("output", "output")):
            numbers = HistogramMetricFamily(
                f"dsvc_{name}", f"Numbers of each {side}, on the deciles of the training data", labels=[*labels, name]
            )
            texts = CounterMetricFamily(
                f"dsvc_{name}_category", f"Categories of each {side}", labels=[*labels, name, "value"]
            )
            missing = CounterMetricFamily(
                f"dsvc_{name}_missing", f"Missing values of each {side}", labels=[*labels, name]
            )
            for each in found:
                if each.side == side:
                    self._add(each, numbers, texts, missing)
            if side == "output":
                for value, count in monitor.answers.items():
                    texts.add_metric([*self._model, "predict", value], count)
            yield from (numbers, texts, missing)

    def _add(self, each: Watched, numbers: Any, texts: Any, missing: Any) -> None:
        column = each.binner.column
        where = [*self._model, column.name]
        counts = each.counts.tolist()
        missing.add_metric(where, counts[-1])
        if each.binner.is_number:
            edges = [*map(repr, column.edges), "+Inf"]
            numbers.add_metric(where, _cumulated(edges, counts[:-1]), each.total)
        else:
            for label, count in zip(each.binner.labels, counts, strict=False):
                texts.add_metric([*where, label], count)


def info_family(model: Mapping[str, str], info: Mapping[str, str]) -> Any:
    """Return `dsvc_model_info`."""
    from prometheus_client.core import InfoMetricFamily

    family = InfoMetricFamily("dsvc_model", "Which model is served, and where it comes from", labels=list(model))
    family.add_metric(list(model.values()), dict(info))
    return family


def drift_families(
    model: Mapping[str, str], samples: int, found: Iterable[tuple[Side, Column, Drift]], *, enough: bool
) -> Iterator[Any]:
    """Yield the families that tell how far `samples` rows are from the reference."""
    from prometheus_client.core import GaugeMetricFamily

    labels, values = list(model), list(model.values())
    rows = GaugeMetricFamily("dsvc_drift_samples", "Rows in the sliding window", labels=labels)
    rows.add_metric(values, samples)
    told = GaugeMetricFamily(
        "dsvc_drift_enough_data", "1 when the window holds enough rows to tell drift, 0 before", labels=labels
    )
    told.add_metric(values, float(enough))
    named = [*labels, "side", "feature"]
    psi = GaugeMetricFamily("dsvc_drift_psi", "Population stability index of the window", labels=named)
    js = GaugeMetricFamily("dsvc_drift_js", "Jensen-Shannon distance of the window", labels=named)
    ks = GaugeMetricFamily("dsvc_drift_ks", "Kolmogorov-Smirnov statistic of the window", labels=named)
    for side, column, drift in found:
        where = [*values, side, column.name]
        psi.add_metric(where, drift.psi)
        js.add_metric(where, drift.js)
        if drift.ks is not None:
            ks.add_metric(where, drift.ks)
    yield from (rows, told, psi, js, ks)


class Snapshot:
    """Families of metrics of one moment. To write them takes longer than to count: any thread may do it."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def describe(self) -> list[Any]:
        """Return nothing: names are not checked for doubles, there is one collector."""
        return []

    def collect(self) -> list[Any]:
        """Return the families."""
        return self._families

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the form that is asked for, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        encode, kind = choose_encoder(accept)
        return encode(registry), kind


def _cumulated(edges: list[str], counts: list[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for edge, count in zip(edges, counts, strict=True):
        total += count
        found.append((edge, total))
    return found  # type: ignore[return-value]
