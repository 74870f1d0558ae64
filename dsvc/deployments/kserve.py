"""A deployment as an InferenceService of KServe, serving.kserve.io/v1beta1, with a container of one's own.

https://kserve.github.io/website/ : the port is named by the protocol, and KServe makes services, routes and scaling.
"""

from __future__ import annotations

from typing import Any

from dsvc.deployments.deployment import Deployment
from dsvc.deployments.manifests import PORT, USER, container, metadata


def kserve_documents(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the objects of a deployment."""
    spec = deployment.spec
    server = container(deployment, name="kserve-container")
    server["ports"] = [{"containerPort": PORT, "protocol": "TCP"}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        server[probe]["httpGet"]["port"] = PORT
    predictor: dict[str, Any] = {
        "minReplicas": spec.replicas,
        "maxReplicas": max(spec.most, spec.replicas),
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [server],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": metadata(deployment),
            "spec": {"predictor": predictor},
        }
    ]
