"""Deployments as files: which there are for a target, and how YAML is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsvc.deployments.compose import compose_files
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.kserve import kserve_documents
from dsvc.deployments.manifests import documents, kustomization
from dsvc.deployments.monitors import monitoring_files
from dsvc.deployments.systemd import ROOT, systemd_files
from dsvc.deployments.yaml_text import yaml_text

FILE_TARGETS = ("manifest", "compose", "systemd")
ARCHIVE = "image.tar"
IGNORED = ".gitignore"  # images, which are made again from the commit, and secrets: neither belongs into one


def files_of(deployment: Deployment, *, folder: str = "") -> dict[str, str]:
    """Return the files of a deployment, by their names: the same deployment gives the same texts.

    `folder` is where they will lie, as an absolute path, for those in which it stands. Of `k8s` and `kserve` they are
    what is applied to the cluster.
    """
    found: Mapping[str, str] = {}
    if deployment.target == "compose":
        found = {**compose_files(deployment), IGNORED: f"{ARCHIVE}\n{deployment.name}.env\n"}
    elif deployment.target == "systemd":
        found = {**systemd_files(deployment, folder), IGNORED: f"{ROOT}*/\n{deployment.name}.env\n"}
    elif deployment.target == "kserve":
        found = _as_files(kserve_documents(deployment), deployment)
    elif deployment.target in ("manifest", "k8s"):
        found = _as_files(documents(deployment), deployment)
    if deployment.target == "manifest" and not deployment.canary_of:
        found = {**found, **monitoring_files(deployment)}
    return {name: heading(deployment) + text for name, text in found.items()}


def heading(deployment: Deployment) -> str:
    """Return the first line of each file, which says whose it is."""
    return f"# Deployment {deployment.name}, written by dsvc: 'dsvc deploy' replaces it\n"


def _as_files(found: Sequence[Mapping[str, Any]], deployment: Deployment) -> dict[str, str]:
    texts = {f"{document['kind'].lower()}.yaml": yaml_text(document) for document in found}
    return {**texts, "kustomization.yaml": yaml_text(kustomization(deployment, sorted(texts)))}
