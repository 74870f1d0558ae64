"""A deployment as objects of Kubernetes: apps/v1, v1, networking.k8s.io/v1, autoscaling/v2, policy/v1.

Field names are those of the API (https://kubernetes.io/docs/reference/kubernetes-api/); the labels are the recommended
ones (`app.kubernetes.io/...`); containers keep to the level `restricted` of the Pod Security Standards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsvc.deployments.deployment import Deployment

PORT = 8080
USER = 65532
MANAGER = "dsvc"
TRACK = "dsvc.io/track"
_BUSY = 80  # percent of the CPU that was asked for, above which there are more replicas
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")


def documents(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the objects of a deployment, in the order in which they are applied."""
    if deployment.canary_of:
        # Service and policy of the deployment beside it find these pods by their labels.
        return [service_account(deployment), workload(deployment)]
    found = [service_account(deployment), service(deployment), workload(deployment), network_policy(deployment)]
    spec = deployment.spec
    if spec.host:
        found.append(ingress(deployment))
    if spec.most > spec.replicas:
        found.append(autoscaler(deployment))
    if spec.replicas > 1:
        found.append(disruption_budget(deployment))
    return found


def metadata(deployment: Deployment, *, name: str = "") -> dict[str, Any]:
    """Return the metadata of an object: name, labels, and where the model comes from as annotations."""
    told: dict[str, Any] = {"name": name or deployment.name}
    if deployment.spec.namespace:
        told["namespace"] = deployment.spec.namespace
    return {**told, "labels": labels(deployment), "annotations": origin(deployment)}


def labels(deployment: Deployment) -> dict[str, str]:
    """Return the labels of every object."""
    return {
        **selector(deployment),
        "app.kubernetes.io/version": str(deployment.version),
        "app.kubernetes.io/managed-by": MANAGER,
        "dsvc.io/model": label_value(deployment.model),
    }


def selector(deployment: Deployment) -> dict[str, str]:
    """Return the labels by which its pods are found; they never change.

    Those of a canary are the labels of the deployment beside it and one more, so that its Service sends both requests.
    Each controller tells its own pods by their owner.
    """
    name = deployment.canary_of or deployment.name
    found = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "model-server"}
    return {**found, TRACK: "canary"} if deployment.canary_of else found


def label_value(text: str) -> str:
    """Return a text as the value of a label: at most 63 letters, digits, `-`, `_` and `.`."""
    return _NOT_IN_LABELS.sub("-", text)[:63].strip("-_.")


def origin(deployment: Deployment) -> dict[str, str]:
    """Return what an image says of its model, in the form of annotations."""
    told = {
        f"dsvc.io/{key.removeprefix('io.dsvc.').replace('.', '-')}": value
        for key, value in sorted(deployment.labels.items())
        if key.startswith("io.dsvc.") and key != "io.dsvc.datasets"
    }
    return {**told, "dsvc.io/image-digest": deployment.digest}


def service_account(deployment: Deployment) -> dict[str, Any]:
    """An account without rights, whose token is not mounted."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(deployment),
        "automountServiceAccountToken": False,
    }


def service(deployment: Deployment) -> dict[str, Any]:
    """The address inside of the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(deployment),
        "spec": {
            "selector": selector(deployment),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def workload(deployment: Deployment) -> dict[str, Any]:
    """The pods. Where an autoscaler decides how many there are, the number is left to it."""
    spec = deployment.spec
    scaled = spec.most > spec.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(deployment),
        "spec": {
            **({} if scaled else {"replicas": spec.replicas}),
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector(deployment)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels(deployment), "annotations": origin(deployment)},
                "spec": pod(deployment),
            },
        },
    }


def pod(deployment: Deployment) -> dict[str, Any]:
    """What a pod is made of."""
    return {
        "serviceAccountName": deployment.name,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(deployment)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def container(deployment: Deployment, *, name: str = "model") -> dict[str, Any]:
    """The server."""
    return {
        "name": name,
        "image": deployment.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "env": variables(deployment),
        "resources": resources(deployment),
        "startupProbe": {**_probe("ready"), "periodSeconds": 2, "failureThreshold": 150},
        "readinessProbe": {**_probe("ready"), "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**_probe("live"), "periodSeconds": 10, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def variables(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the variables of the server; those without a value come from the secret `NAME-env`."""
    found: list[dict[str, Any]] = [
        {"name": "DSVC_SERVE_HOST", "value": "0.0.0.0"},  # noqa: S104
        {"name": "DSVC_SERVE_PORT", "value": str(PORT)},
        {"name": "DSVC_SERVE_DEPLOYMENT", "value": deployment.name},
    ]
    for name, value in sorted(deployment.spec.env.items()):
        if value is not None:
            found.append({"name": name, "value": value})
        else:
            reference = {"name": f"{deployment.name}-env", "key": name}
            found.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    return found


def resources(deployment: Deployment) -> dict[str, Any]:
    """Return what a container asks for, and may have at most."""
    spec = deployment.spec
    asked = {key: value for key, value in (("cpu", spec.cpu), ("memory", spec.memory)) if value}
    asked.setdefault("cpu", "100m")
    limits = {"memory": spec.memory} if spec.memory else {}
    if spec.gpu:
        limits["nvidia.com/gpu"] = str(spec.gpu)
    return {"requests": asked, **({"limits": limits} if limits else {})}


def network_policy(deployment: Deployment) -> dict[str, Any]:
    """Let requests in at its port, and nothing out but names and what is asked of DNS."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(deployment),
        "spec": {
            "podSelector": {"matchLabels": selector(deployment)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "http", "protocol": "TCP"}]}],
            "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}],
        },
    }


def ingress(deployment: Deployment) -> dict[str, Any]:
    """The name under which it is reached from outside."""
    backend = {"service": {"name": deployment.name, "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(deployment),
        "spec": {"rules": [{"host": deployment.spec.host, "http": {"paths": paths}}]},
    }


def autoscaler(deployment: Deployment) -> dict[str, Any]:
    """More replicas while they are busy."""
    use = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _BUSY}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(deployment),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment.name},
            "minReplicas": deployment.spec.replicas,
            "maxReplicas": deployment.spec.most,
            "metrics": [{"type": "Resource", "resource": use}],
        },
    }


def disruption_budget(deployment: Deployment) -> dict[str, Any]:
    """Keep all but one while nodes are drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(deployment),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(deployment)}},
    }


def kustomization(deployment: Deployment, names: Sequence[str]) -> Mapping[str, Any]:
    """The list of files, for `kubectl apply -k` and for overlays."""
    told: dict[str, Any] = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    if deployment.spec.namespace:
        told["namespace"] = deployment.spec.namespace
    return {**told, "resources": list(names)}


def _probe(what: str) -> dict[str, Any]:
    return {"httpGet": {"path": f"/v2/health/{what}", "port": "http"}, "timeoutSeconds": 2}
