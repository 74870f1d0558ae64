"""Which place a deployment is for, and what is brought there."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import IO

from dsvc.actions.build import ModelImage, target_reference
from dsvc.deployments.deployment import Deployment, Spec, Target
from dsvc.deployments.files import FILE_TARGETS, files_of
from dsvc.deployments.folder_place import FolderPlace
from dsvc.deployments.place import NeverReadyError, Package, Place
from dsvc.errors import UsageError
from dsvc.images.layout import write_archive
from dsvc.images.unpack import unpack
from dsvc.workspace import Workspace

_PAUSE = 0.5  # seconds between two looks at a deployment that is waited for


def open_place(workspace: Workspace, target: Target) -> Place:
    """Return the place of a target.

    Raises:
        PlaceError: when it cannot be reached. MissingExtraError.
    """
    variables = workspace.surroundings.environment
    if target in FILE_TARGETS:
        return FolderPlace(Path(workspace.root))
    if target == "docker":
        from dsvc.deployments.docker_place import open_engine

        return open_engine(variables)
    from dsvc.deployments.cluster_place import open_cluster

    return open_cluster(variables)


def check_target(target: Target, spec: Spec) -> None:
    """Refuse what a place does not know.

    Raises:
        UsageError: then.
    """
    if target == "systemd" and (spec.replicas != 1 or spec.most):
        raise UsageError("a unit of systemd is one server: --replicas must be 1")
    if target in ("docker", "compose") and spec.most:
        raise UsageError(f"{target} does not change the number of replicas by itself: --replicas N")


def place_of(
    workspace: Workspace, target: Target, name: str, told: str | None, before: str | None, *, directory: Path
) -> str:
    """Return the place of a deployment: of files a folder, relative to the working copy where it lies in it."""
    if target not in FILE_TARGETS:
        if told is not None:
            raise UsageError(f"--output is for files, and {target} has none", hint="--to manifest writes files")
        return ""
    if told is None:
        return before or f"deploy/{name}"
    full = os.path.abspath(os.path.join(directory, told))
    root = os.path.abspath(workspace.root)
    return os.path.relpath(full, root) if full.startswith(root.rstrip("/") + "/") else full


def image_name(one: ModelImage, registry: str, target: Target) -> str:
    """Return the name by which a place fetches an image: with a digest at a registry, by a tag of its own elsewhere."""
    if registry and target != "systemd":
        return str(target_reference(registry, one.repository, one.tag).at(one.image.digest))
    return f"{one.repository}:{one.tag}-{one.image.config.hex[:12]}"


def folder_of(workspace: Workspace, made: Deployment) -> str:
    """Return where the files of a deployment lie; an empty text for one that is none of files."""
    return os.fspath(FolderPlace(Path(workspace.root)).folder(made)) if made.target in FILE_TARGETS else ""


def package_of(workspace: Workspace, made: Deployment, one: ModelImage) -> Package:
    """Return what is brought to a place."""
    files = files_of(made, folder=folder_of(workspace, made))
    return Package(files, one.image.config.digest, partial(_archive, one, made.image), partial(_unpack, one))


def wait_until_ready(place: Place, made: Deployment, seconds: int) -> None:
    """Return when a deployment is ready.

    Raises:
        NeverReadyError: when it was not in that time, or has failed; its hint holds what the place last said.
    """
    end = time.monotonic() + seconds
    while True:
        status = place.status(made)
        if status.state == "ready":
            return
        if time.monotonic() >= end or status.state == "failed":
            said = "; ".join(status.facts[-5:])
            back = f"rollback {made.name} goes back", f"rm {made.name} takes it away"
            raise NeverReadyError(
                f"{made.name} is not ready: {status.ready} of {status.wanted} replicas{': ' + said if said else ''}",
                hint=f"dsvc deploy logs {made.name}; dsvc deploy {back[made.previous is None]}",
                details={"ready": status.ready, "wanted": status.wanted, "facts": list(status.facts)},
            )
        time.sleep(_PAUSE)


def _archive(one: ModelImage, name: str, file: IO[bytes]) -> None:
    write_archive(one.image, one.blobs, file, names=[name])


def _unpack(one: ModelImage, folder: str) -> None:
    unpack(one.image, one.blobs, Path(folder))
