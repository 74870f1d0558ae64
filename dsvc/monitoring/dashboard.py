"""The Grafana dashboard of a served model, as JSON (https://grafana.com/docs/grafana/latest/dashboards, schema 39).

It is of the form that npm's `@grafana/schema` 13.2 describes, to which tests hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dsvc.monitoring.rules import Watch

_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 24, 8  # of a row of panels, in Grafana's grid
_LOW: Final = 0.1  # PSI below which customarily nothing is said to have changed


def dashboard(watch: Watch) -> dict[str, Any]:
    """Return a dashboard, the same one each time; it asks for the data source and for a column to look at."""
    name = watch.deployment or watch.model
    return {
        "uid": "dsvc-" + hashlib.sha256(watch.selector.encode()).hexdigest()[:16],
        "title": f"Model {name}",
        "tags": ["dsvc"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables(watch)},
        "annotations": {"list": []},
        "panels": _placed(_panels(watch)),
    }


def _variables(watch: Watch) -> list[dict[str, Any]]:
    query = f"label_values(dsvc_feature_missing_total{watch.selector}, feature)"
    return [
        {"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source", "hide": 0},
        {
            "name": "feature",
            "type": "query",
            "label": "Input",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": "feature"},
            "refresh": 2,
            "sort": 1,
            "hide": 0,
        },
    ]


def _panels(watch: Watch) -> list[list[dict[str, Any]] | str]:
    """Rows of panels, and the headings above them."""
    of, labels = watch.selector, watch.labels
    chosen = "{" + labels + ',feature="$feature"}'
    rate = "[$__rate_interval]"
    served = f"sum by (protocol, code) (rate(dsvc_requests_total{of}{rate}))"
    errors = f'sum(rate(dsvc_requests_total{{{labels},code=~"5.."}}{rate})) / sum(rate(dsvc_requests_total{of}{rate}))'
    buckets = f"sum by (le) (rate(dsvc_request_seconds_bucket{of}{rate}))"
    return [
        [
            _stat(
                "Served version",
                f"max by (version, commit) (dsvc_model_info{of})",
                "{{version}} {{commit}}",
                text="name",
            ),
            _stat("Requests a second", f"sum(rate(dsvc_requests_total{of}{rate}))", "", unit="reqps"),
            _stat("Share of failures", f"({errors}) or vector(0)", "", unit="percentunit", red=watch.errors),
            _stat("Enough rows to tell drift", f"min(dsvc_drift_enough_data{of})", "", names={"0": "no", "1": "yes"}),
            _stat("Largest drift (PSI)", f"max(dsvc_drift_psi{of})", "", yellow=_LOW, red=watch.psi),
            _stat("Under way", f"sum(dsvc_in_flight{of})", ""),
        ],
        "Requests",
        [
            _series("Requests", {served: "{{protocol}} {{code}}"}, unit="reqps"),
            _series(
                "Time to answer",
                {f"histogram_quantile({share}, {buckets})": f"p{share * 100:g}" for share in (0.5, 0.9, 0.99)},
                unit="s",
                red=watch.latency,
            ),
            _series(
                "Refused and failed", {f"sum by (kind) (rate(dsvc_errors_total{of}{rate}))": "{{kind}}"}, unit="reqps"
            ),
        ],
        "Drift from the training data (population stability index)",
        [
            _bars(
                "Now, the largest first",
                f"sort_desc(max by (feature) (dsvc_drift_psi{of}))",
                legend="{{feature}}",
                yellow=_LOW,
                red=watch.psi,
            ),
            *(
                _series(
                    f"Drift of {what}",
                    {f'max by (feature) (dsvc_drift_psi{{{labels},side="{side}"}})': "{{feature}}"},
                    red=watch.psi,
                )
                for side, what in (("input", "inputs"), ("output", "answers"))
            ),
            _series("Rows in the window", {f"max(dsvc_drift_samples{of})": "rows"}),
        ],
        "One input: $feature",
        [
            _series(
                "Measures of $feature",
                {
                    f"max(dsvc_drift_psi{chosen})": "population stability index",
                    f"max(dsvc_drift_js{chosen})": "Jensen-Shannon distance",
                    f"max(dsvc_drift_ks{chosen})": "Kolmogorov-Smirnov",
                },
            ),
            _bars(
                "Values of $feature, on the deciles of the training data",
                f"sum by (le) (increase(dsvc_feature_bucket{chosen}{rate}))",
                buckets=True,
            ),
            _series(
                "Categories of $feature",
                {f"sum by (value) (rate(dsvc_feature_category_total{chosen}{rate}))": "{{value}}"},
            ),
        ],
        "Answers, and what is missing",
        [
            _series("Answers by class", {f"sum by (value) (rate(dsvc_output_category_total{of}{rate}))": "{{value}}"}),
            _bars("Answers that are numbers", f"sum by (le) (increase(dsvc_output_bucket{of}{rate}))", buckets=True),
            _series(
                "Missing values, a second",
                {f"sum by (feature) (rate(dsvc_feature_missing_total{of}{rate}))": "{{feature}}"},
            ),
        ],
    ]


def _targets(queries: Mapping[str, str], **more: Any) -> list[dict[str, Any]]:
    return [
        {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expr, "legendFormat": legend or "__auto", **more}
        for at, (expr, legend) in enumerate(queries.items())
    ]


def _panel(kind: str, title: str, targets: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    return {"type": kind, "title": title, "datasource": _SOURCE, "targets": list(targets), **more}


def _defaults(unit: str, red: float | None, yellow: float | None = None, **more: Any) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if yellow is not None and red is not None and yellow < red:
        steps.append({"color": "yellow", "value": yellow})
    if red is not None:
        steps.append({"color": "red", "value": red})
    return {
        "defaults": {"unit": unit or "short", "thresholds": {"mode": "absolute", "steps": steps}, **more},
        "overrides": [],
    }


def _stat(
    title: str,
    expr: str,
    legend: str,
    *,
    unit: str = "",
    yellow: float | None = None,
    red: float | None = None,
    names: Mapping[str, str] | None = None,
    text: str = "auto",
) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if names:
        more["mappings"] = [{"type": "value", "options": {key: {"text": each} for key, each in names.items()}}]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": text,
        "colorMode": "value" if red is not None else "none",
        "graphMode": "none",
        "orientation": "auto",
        "justifyMode": "auto",
        "percentChangeColorMode": "standard",
        "showPercentChange": False,
        "wideLayout": True,
    }
    queries = {expr: legend}
    return _panel("stat", title, _targets(queries), fieldConfig=_defaults(unit, red, yellow, **more), options=options)


def _series(title: str, queries: Mapping[str, str], *, unit: str = "", red: float | None = None) -> dict[str, Any]:
    custom = {"thresholdsStyle": {"mode": "line" if red is not None else "off"}}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    fields = _defaults(unit, red, custom=custom)
    return _panel("timeseries", title, _targets(queries), fieldConfig=fields, options=options)


def _bars(
    title: str,
    expr: str,
    *,
    legend: str = "{{le}}",
    buckets: bool = False,
    yellow: float | None = None,
    red: float | None = None,
) -> dict[str, Any]:
    """A bar for each series as it is now; `buckets` are those of a histogram, each without the ones below it."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    more: dict[str, Any] = {"format": "heatmap"} if buckets else {"instant": True, "range": False}
    return _panel(
        "bargauge",
        title,
        _targets({expr: legend}, **more),
        fieldConfig=_defaults("", red, yellow, min=0),
        options=options,
    )


def _placed(rows: Sequence[Sequence[dict[str, Any]] | str]) -> list[dict[str, Any]]:
    """Give each panel a number and a place: panels of a row share its width."""
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        if isinstance(row, str):
            place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
            heading = {"type": "row", "title": row, "collapsed": False, "gridPos": place, "panels": []}
            found.append({"id": len(found) + 1, **heading})
            top += 1
            continue
        height = 4 if row[0]["type"] == "stat" else _HEIGHT
        width = _WIDTH // len(row)
        for at, panel in enumerate(row):
            place = {"x": at * width, "y": top, "w": width, "h": height}
            found.append({"id": len(found) + 1, **panel, "gridPos": place})
        top += height
    return found


def queries(found: Mapping[str, Any]) -> list[str]:
    """Return every query of a dashboard."""
    return [target["expr"] for panel in found["panels"] for target in panel.get("targets", ())]
