"""Where a deployment is served, as Prometheus shall ask it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from dsvc.actions.deploy_manage import deploy_status
from dsvc.actions.deployments import UnknownDeploymentError, find_deployment
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.names import BadDeploymentNameError
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Targets:
    """As what a deployment is served, and where: HOST:PORT of each server, none where that is not seen from here."""

    model: str
    deployment: str
    targets: tuple[str, ...]


def deployment_targets(workspace: Workspace, name: str, *, ask: bool = True) -> Targets | None:
    """Return where a deployment is served, None where there is none of that name; its place is asked only with `ask`.

    Raises:
        PlaceError: when its place does not answer.
    """
    try:
        found = find_deployment(workspace, name).deployment
    except (UnknownDeploymentError, BadDeploymentNameError):
        return None
    model = found.spec.env.get("DSVC_SERVE_NAME") or found.model
    if found.target in ("compose", "systemd"):
        return Targets(model, found.name, _ports(found))
    if found.target != "docker" or not ask:
        return Targets(model, found.name, ())
    addresses = deploy_status(workspace, name).status.addresses
    return Targets(model, found.name, tuple(urlsplit(each).netloc for each in addresses) or _ports(found))


def _ports(found: Deployment) -> tuple[str, ...]:
    """Servers on one host take one port after the other."""
    spec = found.spec
    host = spec.host if spec.host not in ("", "0.0.0.0") else "127.0.0.1"  # noqa: S104
    return tuple(f"{host}:{spec.port + at}" for at in range(max(spec.replicas, 1)))
