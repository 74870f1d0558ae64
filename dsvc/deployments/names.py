"""Names of deployments, and of the refs that keep them."""

from __future__ import annotations

import re

from dsvc.errors import UsageError
from dsvc.refs.names import DEPLOYMENTS

MAX_LENGTH = 50  # Kubernetes allows 63 for what is made of it
CANARY = "-canary"  # how the name of a canary ends
_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")


class BadDeploymentNameError(UsageError):
    """A text that no deployment may be called: names of hosts, units and services are made of it."""


def check_deployment_name(name: str) -> str:
    """Return a name that a deployment may have: lower case letters, digits and hyphens, as DNS labels.

    Raises:
        BadDeploymentNameError: otherwise.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise BadDeploymentNameError(
            f"{name!r} is not a valid name for a deployment",
            hint=f"up to {MAX_LENGTH} lower case letters, digits and hyphens, such as --name churn-eu",
        )
    return name


def name_for(model: str) -> str:
    """Return the name of a deployment where only that of the model is known."""
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:MAX_LENGTH].strip("-")
    return name if _NAME.fullmatch(name) else f"model-{name}"[:MAX_LENGTH].strip("-")


def deployment_ref(name: str) -> str:
    """Return the ref that keeps a deployment."""
    return f"{DEPLOYMENTS}{name}"
