"""Look at deployments where they are, compare them, take them away."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dsvc.actions.deploy import DeployOptions, deploy
from dsvc.actions.deploy_alone import alone_with
from dsvc.actions.deploy_place import folder_of, open_place
from dsvc.actions.deployments import FoundDeployment, find_deployment, list_deployments
from dsvc.deployments.files import FILE_TARGETS, files_of
from dsvc.deployments.folder_place import FolderPlace
from dsvc.deployments.names import deployment_ref
from dsvc.deployments.place import Applied, Status
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DeployStatus:
    """What is recorded of a deployment, and how it is now."""

    found: FoundDeployment
    status: Status


@dataclass(frozen=True, slots=True)
class DeployDifference:
    """What differs between a deployment and what would take its place, or what stands there: facts, lines of a diff.

    A fact is a name, and two texts.
    """

    found: FoundDeployment
    facts: tuple[tuple[str, str, str], ...]
    lines: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.facts or self.lines)


def deploy_status(workspace: Workspace, name: str) -> DeployStatus:
    """Ask the place of a deployment how it is; raises UnknownDeploymentError, PlaceError."""
    found = find_deployment(workspace, name)
    return DeployStatus(found, open_place(workspace, found.deployment.target).status(found.deployment))


def deploy_logs(workspace: Workspace, name: str, *, lines: int = 100) -> tuple[list[str], str]:
    """Return the last lines that its servers wrote, and the command that shows them where only others know them.

    Raises:
        UnknownDeploymentError. PlaceError.
    """
    found = find_deployment(workspace, name).deployment
    place = open_place(workspace, found.target)
    return list(place.logs(found, lines)), place.logs_elsewhere(found)


def remove_deployment(workspace: Workspace, name: str, *, forget: bool = False) -> tuple[FoundDeployment, Applied]:
    """Take a deployment away, and its ref; with `forget` the ref alone. A canary beside it goes first.

    First the place, then the ref: what was broken off is done by the same command. `undo` brings the ref back.

    Raises:
        UnknownDeploymentError. PlaceError. DeployingError.
    """
    short = find_deployment(workspace, name).deployment.name
    for each in list_deployments(workspace):
        if each.deployment.canary_of == short:
            remove_deployment(workspace, each.deployment.name, forget=forget)
    with alone_with(workspace, short):
        found = find_deployment(workspace, short)
        done = Applied() if forget else open_place(workspace, found.deployment.target).remove(found.deployment)
        transaction = workspace.repo.transaction()
        transaction.delete(deployment_ref(short))
        workspace.publish(transaction, workspace.act("deploy rm", f"deploy rm: {short}"))
    return found, done


def deploy_diff(
    workspace: Workspace,
    name: str,
    model: str | None,
    options: DeployOptions,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> DeployDifference:
    """Compare a deployment with what `model` would make of it; without one its files with those that are there.

    Raises:
        What `deploy` raises. UnknownDeploymentError.
    """
    found = find_deployment(workspace, name)
    one = found.deployment
    folder = folder_of(workspace, one)
    before = files_of(one, folder=folder)
    if model is None:
        after = dict(before)
        if one.target in FILE_TARGETS:
            place = FolderPlace(workspace.root)
            after = {each: place.read(one, each) for each in before}
        return DeployDifference(found, (), tuple(_lines(before, after, "recorded", "there")))
    made = deploy(workspace, model, options, tell=tell).deployment
    pairs = {
        "model": (f"{one.model}@{one.version}", f"{made.model}@{made.version}"),
        "image": (one.digest, made.digest),
        "target": (one.target, made.target),
        "commit": (one.commit, made.commit),
        "environment": (one.environment, made.environment),
        "run": (one.labels.get("io.dsvc.run", ""), made.labels.get("io.dsvc.run", "")),
    }
    facts = tuple((what, old, new) for what, (old, new) in pairs.items() if old != new)
    after = files_of(made, folder=folder_of(workspace, made))
    return DeployDifference(found, facts, tuple(_lines(before, after, "deployed", "new")))


def _lines(before: dict[str, str], after: dict[str, str], old: str, new: str) -> Iterator[str]:
    for name in sorted({*before, *after}):
        one, other = before.get(name, ""), after.get(name, "")
        titles = os.path.join(old, name), os.path.join(new, name)
        yield from difflib.unified_diff(one.splitlines(), other.splitlines(), *titles, lineterm="")
