"""Where servers of a deployment keep what they were asked, for a later training: in a volume that outlives them.

`--log-predictions` of `dsvc deploy` stands in the variables of the server, as any of its settings does. Images have the
folder, and it belongs to their user: a new volume takes that over from the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dsvc.deployments.deployment import Deployment, Target

FOLDER: Final = "/feedback"  # in images
SHARE: Final = "DSVC_SERVE_LOG_PREDICTIONS"
WHERE: Final = "DSVC_SERVE_LOG_DIR"
NAME: Final = "DSVC_SERVE_NAME"  # as what a model is served, where that is not its own name
WITH_VOLUMES: Final[tuple[Target, ...]] = ("docker", "compose", "systemd")


def log_variables(share: float) -> dict[str, str]:
    """Return the variables by which a server keeps this share of its requests."""
    return {SHARE: f"{share:g}", WHERE: FOLDER}


def keeps_feedback(made: Deployment) -> bool:
    """Say whether its servers write into the folder of the volume."""
    env: Mapping[str, str | None] = made.spec.env
    return bool(env.get(SHARE)) and env.get(WHERE) == FOLDER


def volume_name(made: Deployment) -> str:
    """Return the volume of a deployment, which its canary shares."""
    return f"{made.canary_of or made.name}-feedback"
