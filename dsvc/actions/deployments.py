"""Deployments that were made: find them, and what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dsvc.actions.model import FoundVersion, UnknownModelError, find_model, read_version
from dsvc.deployments.deployment import Deployment, decode_deployment
from dsvc.deployments.names import check_deployment_name, deployment_ref
from dsvc.errors import DsvcError, IntegrityError, RequestError
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import EntryKind
from dsvc.refs.names import DEPLOYMENTS
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace


class UnknownDeploymentError(RequestError):
    """A text that names no deployment, or none that is there."""


@dataclass(frozen=True, slots=True)
class FoundDeployment:
    """A deployment and the id of its object."""

    deployment: Deployment
    id: ObjectId


def list_deployments(workspace: Workspace) -> list[FoundDeployment]:
    """Return what is deployed now, in order of names."""
    found = []
    for _, ref in workspace.view().items(DEPLOYMENTS):
        if isinstance(ref, Direct) and (one := read_deployment(workspace, ref.id)) is not None:
            found.append(FoundDeployment(one, ref.id))
    return found


def find_deployment(workspace: Workspace, name: str) -> FoundDeployment:
    """Return what is deployed now under a name; `deployments/` before it may be there.

    Raises:
        UnknownDeploymentError: when there is nothing. BadDeploymentNameError.
    """
    short = check_deployment_name(name.removeprefix(DEPLOYMENTS))
    ref = workspace.view().get(deployment_ref(short))
    one = read_deployment(workspace, ref.id) if isinstance(ref, Direct) else None
    if one is None or not isinstance(ref, Direct):
        raise UnknownDeploymentError(f"there is no deployment {short}", hint="dsvc deploy list shows them")
    return FoundDeployment(one, ref.id)


def find_model_to_serve(workspace: Workspace, name: str, instead: Callable[[Deployment], str]) -> FoundVersion:
    """Return what `find_model` does; where `name` is that of a deployment, the error's hint is what `instead` says.

    Raises what `find_model` raises.
    """
    try:
        return find_model(workspace, name)
    except UnknownModelError as error:
        with suppress(DsvcError):  # neither: the hint stays
            error.hint = f"{name} is a deployment: {instead(find_deployment(workspace, name).deployment)}"
        raise


def history_of(workspace: Workspace, found: FoundDeployment) -> Iterator[FoundDeployment]:
    """Yield a deployment and those before it, the newest first, as far as they are in this repository."""
    at: FoundDeployment | None = found
    while at is not None:
        yield at
        previous = at.deployment.previous
        one = read_deployment(workspace, previous) if previous is not None else None
        at = FoundDeployment(one, previous) if one is not None and previous is not None else None


def served_files(workspace: Workspace) -> dict[tuple[bytes, bytes], tuple[str, ...]]:
    """Return which files are served now, by path and id, and the refs of the deployments that serve them."""
    found: dict[tuple[bytes, bytes], tuple[str, ...]] = {}
    for each in list_deployments(workspace):
        version, ref = read_version(workspace, each.deployment.model_id), deployment_ref(each.deployment.name)
        if version is None:
            continue
        files = [(version.path, bytes(version.entry.id))]
        if version.entry.kind == EntryKind.TREE:
            with suppress(DsvcError):  # not all of it was fetched
                below = trees.walk(workspace.repo.store, TreeId(ObjectId(version.entry.id)), version.path + b"/")
                files += [(path, bytes(entry.id)) for path, entry in below]
        for file in files:
            found[file] = (*found.get(file, ()), ref)
    return found


def read_deployment(workspace: Workspace, object_id: ObjectId) -> Deployment | None:
    """Return the deployment that an object of the kind of runs is, None where it is another or is not here."""
    try:
        return decode_deployment(workspace.repo.store.get(object_id, Kind.RUN))
    except IntegrityError:
        return None
