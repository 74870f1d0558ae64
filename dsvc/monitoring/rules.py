"""What Prometheus and Alertmanager need to watch a served model: scrape config, rules, routes.

Formats: https://prometheus.io/docs/prometheus/2.42/configuration/ (configuration, recording_rules, alerting_rules) and
https://prometheus.io/docs/alerting/0.25/configuration/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PSI: Final = 0.2  # of one column: customary for a change that people should look at
_FINDS: Final = 15  # seconds in which a Prometheus that starts begins to scrape: it waits for 5
_STALE: Final = 3  # scrapes after which a sample says nothing about now
_BRIDGED: Final = 4  # scrapes for which the last figure of drift is taken when there is none
KEPT: Final = "model, version, deployment"  # labels that tell servers apart


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and when it alerts; `selector` is the PromQL of the model's labels.

    `targets` are HOST:PORT. `psi` is that of a column, `errors` a share of requests, `latency` seconds for 99 of 100.
    `interval` is seconds between scrapes and between evaluations. `webhook` is where alerts go, empty for nowhere.
    `token_file` holds the token that /metrics asks for, as Prometheus finds it. `alertmanager` is HOST:PORT, or empty.
    """

    model: str
    deployment: str = ""
    targets: tuple[str, ...] = ("127.0.0.1:8080",)
    psi: float = PSI
    errors: float = 0.01
    latency: float = 1.0
    interval: int = 15
    webhook: str = ""
    token_file: str = ""
    tls: bool = False
    alertmanager: str = "127.0.0.1:9093"

    @property
    def selector(self) -> str:
        """The labels of its series, in braces."""
        return "{" + self.labels + "}"

    @property
    def labels(self) -> str:
        """The labels of its series."""
        found = [f"model={json.dumps(self.model)}"]
        if self.deployment:
            found.append(f"deployment={json.dumps(self.deployment)}")
        return ",".join(found)

    @property
    def job(self) -> str:
        """The name of the scrape job, which is also that of files."""
        return "dsvc-" + (self.deployment or self.model).replace("/", "-")


def rules(watch: Watch) -> dict[str, Any]:
    """Return a file of recording and alerting rules."""
    by, labels = f"by ({KEPT})", watch.labels
    records = {
        "dsvc:requests:rate5m": f"sum {by} (rate(dsvc_requests_total{{{labels}}}[5m]))",
        "dsvc:error_ratio:rate5m": (
            f'(sum {by} (rate(dsvc_requests_total{{{labels},code=~"5.."}}[5m])) or sum {by}'
            f" (rate(dsvc_requests_total{{{labels}}}[5m])) * 0) / sum {by} (rate(dsvc_requests_total{{{labels}}}[5m]))"
        ),
        "dsvc:request_seconds:p99_5m": (
            f"histogram_quantile(0.99, sum by (le, {KEPT}) (rate(dsvc_request_seconds_bucket{{{labels}}}[5m])))"
        ),
        "dsvc:drift_psi:max": f"max {by} (dsvc_drift_psi{{{labels}}})",
    }
    return {
        "groups": [
            {
                "name": watch.job,
                "interval": f"{watch.interval}s",
                "rules": [{"record": name, "expr": expr} for name, expr in records.items()] + alerts(watch),
            }
        ]
    }


def alerts(watch: Watch) -> list[dict[str, Any]]:
    """Return the alerting rules."""
    name = watch.deployment or watch.model
    up = f"up{{job={json.dumps(watch.job)}}}"
    # A server that is scraped no more, such as one at another port before Prometheus was started anew, says nothing:
    # its last sample is found for five minutes all the same. `absent` need not tell a second time of one that is down.
    down = f"{up} == 0 and time() - timestamp({up}) < {_STALE * watch.interval}"
    lost = f"absent(dsvc_model_info{watch.selector}) unless on () {up} == 0"
    return [
        _alert(
            "DsvcModelDown",
            f"{down} or {lost}",
            f"{name}{{{{ with $labels.instance }}}} at {{{{ . }}}}{{{{ end }}}} does not answer",
            "Prometheus cannot scrape it: look at its log and its health at /v2/health/ready.",
            waits=f"{max(4 * watch.interval, _FINDS)}s",
            severity="critical",
        ),
        _alert(
            "DsvcErrors",
            f"dsvc:error_ratio:rate5m{watch.selector} > {watch.errors}",
            f"{name} fails on {{{{ $value | humanizePercentage }}}} of its requests",
            "The model raises exceptions: its server's log has them.",
            waits="5m",
            severity="critical",
        ),
        _alert(
            "DsvcSlow",
            f"dsvc:request_seconds:p99_5m{watch.selector} > {watch.latency}",
            f"{name} takes {{{{ $value | humanizeDuration }}}} for the slowest hundredth of its requests",
            "It may need more replicas, or larger batches.",
            waits="5m",
            severity="warning",
        ),
        _alert(
            "DsvcDrift",
            # One scrape that was lost, on a busy machine, does not end it.
            f"last_over_time(dsvc_drift_psi{watch.selector}[{_BRIDGED * watch.interval}s]) > {watch.psi}",
            f"{{{{ $labels.side }}}} {{{{ $labels.feature }}}} of {name} is not what the model was trained on",
            "Its population stability index is {{ $value | humanize }}: the dashboard has it beside the training data.",
            waits="",
            severity="warning",
        ),
    ]


def _alert(name: str, expr: str, summary: str, description: str, *, waits: str, severity: str) -> dict[str, Any]:
    alert: dict[str, Any] = {"alert": name, "expr": expr}
    if waits:
        alert["for"] = waits
    alert["labels"] = {"severity": severity}
    alert["annotations"] = {"summary": summary, "description": description}
    return alert


def scrape_config(watch: Watch) -> dict[str, Any]:
    """Return one entry of `scrape_configs`."""
    config: dict[str, Any] = {"job_name": watch.job, "metrics_path": "/metrics"}
    if watch.tls:
        config["scheme"] = "https"
    if watch.token_file:
        config["authorization"] = {"type": "Bearer", "credentials_file": watch.token_file}
    config["static_configs"] = [{"targets": list(watch.targets)}]
    return config


def prometheus_config(watch: Watch, rule_files: Sequence[str]) -> dict[str, Any]:
    """Return a whole configuration of Prometheus."""
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{watch.interval}s", "evaluation_interval": f"{watch.interval}s"},
        "rule_files": list(rule_files),
    }
    if watch.alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [watch.alertmanager]}]}]}
    config["scrape_configs"] = [scrape_config(watch)]
    return config


def alertmanager_config(watch: Watch) -> dict[str, Any]:
    """Return a whole configuration of Alertmanager: alerts of one model come together."""
    receiver: dict[str, Any] = {"name": "dsvc"}
    if watch.webhook:
        receiver["webhook_configs"] = [{"url": watch.webhook, "send_resolved": True}]
    wait = f"{max(1, watch.interval // 5)}s"
    route: Mapping[str, Any] = {
        "receiver": "dsvc",
        "group_by": ["alertname", "model", "deployment"],
        "group_wait": wait,
        "group_interval": f"{4 * watch.interval}s",
        "repeat_interval": "4h",
    }
    return {"route": dict(route), "receivers": [receiver]}
