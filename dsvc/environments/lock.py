"""Record the environment of an interpreter as an object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsvc.environments.encoding import encode_environment
from dsvc.environments.environment import Distribution, Environment
from dsvc.environments.gitstate import git_patch, git_state
from dsvc.environments.interpreter import ask
from dsvc.environments.machine import find_container, find_machine
from dsvc.environments.survey import survey, watched_paths
from dsvc.environments.survey_cache import Watch, cache_file, read_survey
from dsvc.environments.variables import chosen_variables
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import EnvironmentId, Kind
from dsvc.objects.store import ObjectStore


class Locked(NamedTuple):
    """A stored environment, of which interpreter it is, and whether nothing had to be read anew."""

    environment_id: EnvironmentId
    environment: Environment
    interpreter: Path
    cached: bool


def lock_environment(
    store: ObjectStore,
    *,
    interpreter: Path,
    cache: Path,
    variables: Mapping[str, str],
    names: Iterable[str] = (),
    root: Path | None = None,
) -> EnvironmentId:
    """Store the environment of an interpreter and return its id; see `lock`."""
    found = lock(store, interpreter=interpreter, cache=cache, variables=variables, names=names, root=root)
    return found.environment_id


def lock(
    store: ObjectStore,
    *,
    interpreter: Path,
    cache: Path,
    variables: Mapping[str, str],
    names: Iterable[str] = (),
    root: Path | None = None,
    fresh: bool = False,
) -> Locked:
    """Store what an interpreter runs with, and return it; the same id as long as nothing changes.

    `variables` are those of the process in which the interpreter is started, of which the usual ones and those that
    `names` (patterns) name are recorded; `root` is the folder of the working copy, and what is used from there is
    named by its path in it. `cache` is a folder in which what was read is kept: until something is installed, no
    process is started but git, for editable installations. With `fresh` it is not used. The object is visible to
    others when something that names it is published; calling again is safe.

    Raises:
        InterpreterError: when the interpreter is not there or does not start.
    """
    interpreter = Path(os.path.abspath(interpreter))
    top = os.path.realpath(root) if root is not None else None
    file = cache_file(cache, interpreter, variables, top)
    known = None if fresh else read_survey(file)
    cached = known is not None
    if known is None:
        watch = Watch(file)
        answer = ask(interpreter, variables)
        watch.look(watched_paths(answer, os.fspath(interpreter), top))
        known = survey(answer, top)
        watch.keep(known)
    environment = _complete(store, known.environment, known.editable, variables, tuple(names))
    environment_id = EnvironmentId(store.put(Kind.ENVIRONMENT, encode_environment(environment)))
    return Locked(environment_id, environment, interpreter, cached)


def _complete(
    store: ObjectStore,
    environment: Environment,
    editable: Mapping[str, str],
    variables: Mapping[str, str],
    names: tuple[str, ...],
) -> Environment:
    """Return the environment with what may be another at any moment."""
    notes = list(environment.notes)
    distributions = [
        _at_its_commit(store, one, editable[one.name], variables, notes)
        if one.source is not None and one.source.kind == "editable" and one.name in editable
        else one
        for one in environment.distributions
    ]
    return replace(
        environment,
        distributions=tuple(distributions),
        system=replace(environment.system, container=find_container(variables)),
        machine=find_machine(),
        variables=chosen_variables(variables, names),
        notes=tuple(sorted(notes)),
    )


def _at_its_commit(
    store: ObjectStore, one: Distribution, folder: str, variables: Mapping[str, str], notes: list[str]
) -> Distribution:
    """Return an editable distribution with the commit that its folder is at, unless the working copy records it."""
    assert one.source is not None
    if one.source.path:
        return one  # its files are those of the commit or run that names this environment
    state = git_state(folder, variables)
    if state is None:
        notes.append(f"{one.name} is used from a folder that is in no git repository, so its state is not known")
        return one
    source = replace(one.source, vcs="git", commit=state.commit, remote=state.remote, changed=state.changed)
    if state.untracked:
        notes.append(f"{one.name} is used from a folder with files that git does not track; they are not recorded")
    patch = git_patch(folder, variables) if state.changed and state.commit else None
    if patch:
        if len(patch) > SMALL_LIMIT:
            notes.append(f"{one.name} differs from its commit by more than {SMALL_LIMIT >> 10} KiB: not recorded")
        else:
            source = replace(source, patch=store.put_content(patch))
    return one._replace(source=source)
