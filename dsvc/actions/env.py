"""Lock, look at and compare environments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.env_lock import lock_now
from dsvc.actions.revision import revision_context
from dsvc.actions.runs import UnknownRunError, find_run, get_run
from dsvc.environments import (
    Difference,
    Environment,
    Locked,
    decode_environment,
    differences,
)
from dsvc.errors import RequestError
from dsvc.history.revisions import UnknownRevisionError, resolve
from dsvc.objects import codec
from dsvc.objects.ids import ID_LENGTH, EnvironmentId, Kind, ObjectId
from dsvc.refs.names import environment_of
from dsvc.refs.view import Direct
from dsvc.runs.container import META
from dsvc.runs.record import decode_run
from dsvc.runs.values import clean_text
from dsvc.workspace import Workspace

_HEX = re.compile(r"[0-9a-fA-F]{4,64}")


class NoEnvironmentError(RequestError):
    """What was named has no environment."""


class Found(NamedTuple):
    """An environment and what named it."""

    environment_id: EnvironmentId
    environment: Environment
    name: str


class CheckResult(NamedTuple):
    """How the present environment differs from a recorded one: `counted` are those that make them two."""

    recorded: Found
    present: Locked
    counted: tuple[Difference, ...]
    others: tuple[Difference, ...]


def lock_environment_here(
    workspace: Workspace, *, python: str | None = None, directory: Path | None = None
) -> Locked:
    """Record the environment of the project's interpreter as that of this worktree.

    A ref of the worktree keeps it, so that `env show` and `env check` find it and gc leaves it alone. Nothing is
    published when that ref names it already.

    Raises:
        InterpreterError: where there is no interpreter, or it does not start.
    """
    locked = lock_now(workspace, python=python, directory=directory)
    name = environment_of(workspace.worktree_id)
    value = Direct(Kind.ENVIRONMENT, ObjectId(locked.environment_id))
    if workspace.view().get(name) == value:
        return locked
    transaction = workspace.transaction()
    transaction.set(name, value)
    workspace.publish(transaction, workspace.act("env lock", f"env lock: {locked.environment_id.hex()[:10]}"))
    return locked


def find_environment(workspace: Workspace, name: str | None = None) -> Found:
    """Return the environment that a name stands for.

    `name` is a revision (its commit's environment), a run, or an environment's id; without it, what was last locked in
    this worktree, else HEAD's.

    Raises:
        UnknownRevisionError, AmbiguousRevisionError: where it names nothing, or several things.
        NoEnvironmentError: where it names something without an environment.
    """
    if name is None:
        ref = workspace.view().get(environment_of(workspace.worktree_id))
        if isinstance(ref, Direct) and ref.kind == Kind.ENVIRONMENT:
            return _read(workspace, ref.id, "what was last locked here")
        if workspace.head().commit_id is None:
            raise NoEnvironmentError("no environment was recorded here", hint="dsvc env lock")
        name = "HEAD"
    kind, object_id = _resolve(workspace, name)
    if kind == Kind.ENVIRONMENT:
        return _read(workspace, object_id, name)
    if kind == Kind.COMMIT:
        environment_id = workspace.repo.commit(object_id).environment  # type: ignore[arg-type]
        if environment_id is None:
            raise NoEnvironmentError(
                f"{name} was committed without an environment",
                hint="dsvc env lock records the present one; from then on commits of this worktree name theirs",
            )
        return _read(workspace, ObjectId(environment_id), name)
    if kind == Kind.RUN:
        fields = codec.decode(workspace.repo.store.get(object_id, Kind.RUN))
        value = fields.get("environment") if isinstance(fields, dict) else None
        if isinstance(value, bytes) and len(value) == ID_LENGTH:
            return _read(workspace, ObjectId(value), name)
        container = decode_run(workspace.repo.store.get(object_id, Kind.RUN)).metadata.get(META)
        if isinstance(container, dict):
            image = clean_text(str(container.get("image")))
            raise NoEnvironmentError(
                f"run {name} took place in a container of {image}, whose packages are not recorded",
                hint=f"dsvc runs show {name} names the image",
            )
    raise NoEnvironmentError(f"{name} has no environment", hint="name a commit, a run, or an environment's id")


def _resolve(workspace: Workspace, name: str) -> tuple[Kind, ObjectId]:
    """Return what a name stands for, tags peeled; digits may also be those of an environment alone, or name a run."""
    if _HEX.fullmatch(name):
        found = {i for i, kind in workspace.repo.store.find(name.lower()) if kind == Kind.ENVIRONMENT}
        if len(found) == 1:
            return Kind.ENVIRONMENT, found.pop()
    try:
        resolved = resolve(revision_context(workspace), name)
    except UnknownRevisionError as error:
        try:
            return Kind.RUN, ObjectId(get_run(workspace, find_run(workspace, name))[1])
        except UnknownRunError:
            raise error from None
    return workspace.repo.peel(resolved.kind, resolved.id)


def _read(workspace: Workspace, environment_id: ObjectId, name: str) -> Found:
    payload = workspace.repo.store.get(environment_id, Kind.ENVIRONMENT)
    return Found(EnvironmentId(environment_id), decode_environment(payload), name)


def diff_environments(
    workspace: Workspace, old: str, new: str | None = None
) -> tuple[Found, Found, tuple[Difference, ...]]:
    """Return two environments and how the second differs; without `new` it is the present one.

    Raises:
        What `find_environment` raises, and InterpreterError.
    """
    first = find_environment(workspace, old)
    if new is not None:
        second = find_environment(workspace, new)
    else:
        present = lock_now(workspace)
        second = Found(present.environment_id, present.environment, "now")
    return first, second, differences(first.environment, second.environment)


def check_environment(
    workspace: Workspace, name: str | None = None, *, python: str | None = None, strict: bool = False,
    directory: Path | None = None,
) -> CheckResult:
    """Compare the present environment with a recorded one; nothing is published.

    What counts are the interpreter, its packages and the variables, with `strict` the system below them too. Other
    differences, such as another kernel, are told and do not count.

    Raises:
        What `find_environment` raises, and InterpreterError.
    """
    recorded = find_environment(workspace, name)
    present = lock_now(workspace, python=python, directory=directory)
    found = differences(recorded.environment, present.environment)
    levels = ("packages", "system") if strict else ("packages",)
    counted = tuple(one for one in found if one.level in levels)
    return CheckResult(recorded, present, counted, tuple(one for one in found if one.level not in levels))


__all__ = [
    "CheckResult",
    "Found",
    "NoEnvironmentError",
    "UnknownRevisionError",
    "check_environment",
    "diff_environments",
    "find_environment",
    "lock_environment_here",
]
