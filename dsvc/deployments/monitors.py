"""What watches a deployment in a cluster: objects of the Prometheus operator, and the dashboard for Grafana.

monitoring.coreos.com/v1 (https://prometheus-operator.dev/docs/api-reference/api/): the operator finds a ServiceMonitor
or a PodMonitor, and rules. Grafana's sidecar finds ConfigMaps by the label `grafana_dashboard`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from dsvc.deployments.deployment import Deployment
from dsvc.deployments.manifests import metadata, selector
from dsvc.deployments.yaml_text import yaml_text
from dsvc.monitoring.dashboard import dashboard
from dsvc.monitoring.rules import Watch, rules

API: Final = "monitoring.coreos.com/v1"
FOLDER: Final = "monitoring"  # below the folder of a deployment
DASHBOARD: Final = "-dashboard"  # how the name of the ConfigMap ends
_TOKENS: Final = ("DSVC_SERVE_METRICS_TOKEN", "DSVC_SERVE_TOKEN")  # what opens the metrics, the first before the other
_POD_MONITOR: Final = "podmonitor.yaml"


def watch_of(deployment: Deployment) -> Watch:
    """Return what is watched: the servers of a deployment, by the labels of their metrics."""
    return Watch(deployment.spec.env.get("DSVC_SERVE_NAME") or deployment.model, deployment.name)


def monitor(deployment: Deployment, kind: Literal["ServiceMonitor", "PodMonitor"]) -> dict[str, Any]:
    """Return what tells Prometheus where to ask; its job is called as in the rules. One of the kinds is enough."""
    job = {"targetLabel": "job", "replacement": watch_of(deployment).job, "action": "replace"}
    endpoint: dict[str, Any] = {
        "port": "http", "path": "/metrics", "interval": f"{Watch('').interval}s", "relabelings": [job]
    }  # fmt: skip
    env = deployment.spec.env
    token = next((name for name in _TOKENS if name in env), None)
    if token is not None and env[token] is None:  # it is in the secret from which the server has it
        secret = {"name": f"{deployment.name}-env", "key": token}
        endpoint["authorization"] = {"type": "Bearer", "credentials": secret}
    where = "endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": metadata(deployment),
        "spec": {"selector": {"matchLabels": selector(deployment)}, where: [endpoint]},
    }


def alert_rules(deployment: Deployment) -> dict[str, Any]:
    """Return the recording and alerting rules as a PrometheusRule."""
    return {
        "apiVersion": API, "kind": "PrometheusRule", "metadata": metadata(deployment),
        "spec": rules(watch_of(deployment)),
    }  # fmt: skip


def dashboard_map(deployment: Deployment) -> dict[str, Any]:
    """Return the dashboard as a ConfigMap."""
    told = metadata(deployment, name=deployment.name + DASHBOARD)
    text = json.dumps(dashboard(watch_of(deployment)), indent=1, ensure_ascii=False) + "\n"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**told, "labels": {**told["labels"], "grafana_dashboard": "1"}},
        "data": {f"{deployment.name}.json": text},
    }


def monitoring_files(deployment: Deployment) -> Mapping[str, str]:
    """Return the files of the folder `monitoring`: a kustomization of its own, for clusters that have the operator.

    A PodMonitor lies beside it and is not listed: it finds the pods that the ServiceMonitor finds, and what is found
    twice is counted twice.
    """
    found = {
        "servicemonitor.yaml": monitor(deployment, "ServiceMonitor"),
        _POD_MONITOR: monitor(deployment, "PodMonitor"),
        "prometheusrule.yaml": alert_rules(deployment),
        "dashboard.yaml": dashboard_map(deployment),
    }
    listed: dict[str, Any] = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    if deployment.spec.namespace:
        listed["namespace"] = deployment.spec.namespace
    listed["resources"] = sorted(set(found) - {_POD_MONITOR})
    texts = {name: yaml_text(document, blocks=True) for name, document in found.items()}
    return {f"{FOLDER}/{name}": text for name, text in {**texts, "kustomization.yaml": yaml_text(listed)}.items()}
