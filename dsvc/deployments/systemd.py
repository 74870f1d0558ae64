"""A deployment as a unit of systemd, which runs the files of the image without a container engine.

The image is unpacked beside the unit, and is the root that the service sees (RootDirectory=, systemd.exec(5)). It runs
as a user of its own that exists while it runs.
"""

from __future__ import annotations

from dsvc.deployments.deployment import Deployment
from dsvc.deployments.feedback import WHERE, keeps_feedback
from dsvc.deployments.quantities import bytes_of, cores_of

ROOT = "root-"  # what the folders of unpacked images begin with


def root_name(digest: str) -> str:
    """Return the folder beside the unit in which an image is unpacked."""
    return f"{ROOT}{digest.partition(':')[2][:12]}"


def unit_name(name: str) -> str:
    """Return the name of a deployment's unit."""
    return f"dsvc-{name}.service"


def systemd_files(deployment: Deployment, folder: str) -> dict[str, str]:
    """Return the unit; `folder` is where it lies, as an absolute path.

    Variables without a value come from the file `NAME.env` beside it.
    """
    spec = deployment.spec
    variables = {
        "DSVC_SERVE_HOST": spec.host or "127.0.0.1",
        "DSVC_SERVE_PORT": str(spec.port),
        "DSVC_SERVE_DEPLOYMENT": deployment.name,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{name: value for name, value in sorted(spec.env.items()) if value is not None},
    }
    state = f"dsvc-{deployment.canary_of or deployment.name}"
    if keeps_feedback(deployment):
        variables[WHERE] = f"/var/lib/{state}"
    lines = [
        "[Unit]",
        f"Description=Model {_escaped(deployment.model)} {deployment.version}",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        "Type=exec",
        "ExecStart=/opt/dsvc/env/bin/python -m dsvc.serving /model",
        f"RootDirectory={_escaped(folder)}/{root_name(deployment.digest)}",
        "MountAPIVFS=yes",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
    ]
    if any(value is None for value in spec.env.values()):
        lines.append(f"EnvironmentFile={_escaped(folder)}/{deployment.name}.env")
    if spec.memory:
        lines.append(f"MemoryMax={bytes_of(spec.memory)}")
    if spec.cpu:
        lines.append(f"CPUQuota={max(round(cores_of(spec.cpu) * 100), 1)}%")
    if keeps_feedback(deployment):
        lines.append(f"StateDirectory={state}")
    lines += [
        "Restart=on-failure",
        "RestartSec=2",
        "TimeoutStopSec=30",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "LockPersonality=yes",
        *(["PrivateDevices=yes"] if not spec.gpu else []),
        "PrivateTmp=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHome=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectSystem=strict",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return {unit_name(deployment.name): "\n".join(lines) + "\n"}


def _escaped(text: str) -> str:
    """Return a text in which systemd sees no specifier."""
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
