"""A deployment as a compose.yaml, by the Compose Specification (https://github.com/compose-spec/compose-spec)."""

from __future__ import annotations

from typing import Any

from dsvc.deployments.deployment import Deployment
from dsvc.deployments.feedback import FOLDER, keeps_feedback, volume_name
from dsvc.deployments.manifests import PORT
from dsvc.deployments.quantities import bytes_of, cores_of
from dsvc.deployments.yaml_text import yaml_text


def compose_files(deployment: Deployment) -> dict[str, str]:
    """Return the file, with one service of the deployment's name.

    Variables without a value come from the file `NAME.env` beside it, if it is there.
    """
    spec = deployment.spec
    kept = [name for name, value in spec.env.items() if value is None]
    limits: dict[str, Any] = {}
    if spec.cpu:
        limits["cpus"] = str(cores_of(spec.cpu))
    if spec.memory:
        limits["memory"] = f"{bytes_of(spec.memory)}"
    reservations = {"devices": [{"driver": "nvidia", "count": spec.gpu, "capabilities": ["gpu"]}]} if spec.gpu else {}
    resources = {**({"limits": limits} if limits else {}), **({"reservations": reservations} if reservations else {})}
    probe = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/v2/health/ready', timeout=2)"
    server: dict[str, Any] = {
        "image": deployment.image,
        "restart": "unless-stopped",
        "init": True,
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ports": [f"{_ports(deployment)}:{PORT}"],
        "environment": {
            "DSVC_SERVE_DEPLOYMENT": deployment.name,
            **{name: value for name, value in sorted(spec.env.items()) if value is not None},
        },
    }
    if kept:
        server["env_file"] = [{"path": f"{deployment.name}.env", "required": True}]
    volumes: dict[str, Any] = {}
    if keeps_feedback(deployment):
        volume = volume_name(deployment)
        server["volumes"] = [f"{volume}:{FOLDER}"]
        volumes = {"volumes": {volume: {"name": volume}}}
    server |= {
        "healthcheck": {
            "test": ["CMD", "/opt/dsvc/env/bin/python", "-c", probe],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "60s",
        },
        "stop_grace_period": "30s",
        "deploy": {"replicas": spec.replicas, **({"resources": resources} if resources else {})},
        "labels": {"dsvc.deployment": deployment.name, "dsvc.image-digest": deployment.digest},
    }
    return {"compose.yaml": yaml_text({"name": deployment.name, "services": {deployment.name: server}, **volumes})}


def _ports(deployment: Deployment) -> str:
    """The port on the host; a range where there are several replicas, of which each takes one."""
    spec = deployment.spec
    last = spec.port + max(spec.replicas, 1) - 1
    ports = str(spec.port) if last == spec.port else f"{spec.port}-{last}"
    return f"{spec.host}:{ports}" if spec.host else f"127.0.0.1:{ports}"
