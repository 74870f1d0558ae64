"""Make the virtual environment of a commit, a run or an environment again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.env import Found, find_environment
from dsvc.environments import Difference, Distribution, Locked, differences, find_interpreter, lock
from dsvc.environments.interpreter import ask
from dsvc.environments.restoring import Failed, Installer, Sources, find_base, own_variables, restore
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RestoredEnvironment:
    """The folder of a new virtual environment, its interpreter, and in what it is not what was recorded.

    `unseen` are packages of which the record knows the version and not the files, so that these are not compared.
    """

    found: Found
    folder: Path
    made: Locked
    failed: tuple[Failed, ...]
    differences: tuple[Difference, ...]
    unseen: tuple[str, ...] = ()


def restore_environment(
    workspace: Workspace,
    name: str | None,
    folder: Path,
    *,
    python: str | None = None,
    sources: Sources | None = None,
    installer: Installer = "pip",
    directory: Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> RestoredEnvironment:
    """Make a virtual environment in `folder` with the recorded versions, and compare it with what was recorded.

    `python` names the interpreter to make it with, otherwise one of the recorded version is looked for. Conda packages
    and the system's cannot be made by this; they are among the differences.

    Raises:
        What `find_environment` raises. InterpreterError: without a fitting interpreter. RestoreError: when the folder
            is not empty, or venv does not work.
    """
    found = find_environment(workspace, name)
    variables = workspace.surroundings.environment
    if python is None:
        base = find_base(found.environment, variables)
    else:
        named = find_interpreter(variables, workspace.root, python=python, directory=directory)
        base = Path(ask(named, variables).base_executable)
    failed = restore(
        found.environment,
        folder,
        base=base,
        variables=variables,
        root=workspace.root,
        sources=sources or Sources(),
        installer=installer,
        tell=tell,
    )
    made = lock(
        workspace.repo.store,
        interpreter=folder / "bin" / "python",
        cache=workspace.cache,
        variables=own_variables(variables),
        names=workspace.config.get_list("env.variables"),
        root=workspace.root,
        fresh=True,
    )
    differ = tuple(one for one in differences(found.environment, made.environment) if one.level == "packages")
    unknown = {one.name for one in found.environment.distributions if one.contents is None and not _is_editable(one)}
    unseen = [one for one in differ if one.what == "files" and one.subject in unknown]
    left = tuple(one for one in differ if one not in unseen)
    return RestoredEnvironment(found, folder, made, failed, left, tuple(one.subject for one in unseen))


def _is_editable(one: Distribution) -> bool:
    return one.source is not None and one.source.kind == "editable"
