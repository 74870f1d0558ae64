"""Write an environment for other tools: a lock file, requirements, a Dockerfile, a bill of materials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsvc.actions.env import Found, find_environment
from dsvc.atomic import write_file
from dsvc.environments import Distribution, Environment, InterpreterError, Locked, find_interpreter
from dsvc.environments.archives import Archive, find_archives
from dsvc.environments.dockerfile import dockerfile_text, not_in_image
from dsvc.environments.hashed_requirements import hashed_requirements
from dsvc.environments.interpreter import ask
from dsvc.environments.pylock import Pylock, known_archives, make_pylock
from dsvc.environments.requirements import requirements_text
from dsvc.environments.sbom import sbom_text
from dsvc.errors import RequestError
from dsvc.objects.ids import EnvironmentId
from dsvc.version import __version__
from dsvc.workspace import Workspace

Format = Literal["dockerfile", "pylock", "requirements", "sbom"]
PYLOCK = "pylock.toml"


class ForeignLockFileError(RequestError):
    """A pylock.toml that dsvc did not write stands where it would write its own."""


@dataclass(frozen=True, slots=True)
class ExportedEnvironment:
    """The text for another tool, of which environment, and the distributions that could not be put into it."""

    found: Found
    text: str
    left_out: tuple[Distribution, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenPylock:
    """The lock file that was written, and the distributions that are not in it."""

    path: Path
    unlocked: tuple[Distribution, ...]


def export_environment(
    workspace: Workspace, name: str | None, form: Format, *, base: str | None = None, offline: bool = False,
    hashes: bool = False,
) -> ExportedEnvironment:
    """Return an environment in the form of another tool; see `find_environment` for `name`.

    For a lock file the archives of distributions are needed: they are taken from the lock file in the working copy, and
    asked for where the project's interpreter is of the same kind; so for requirements with their `hashes`. `base` is
    the image that a Dockerfile begins with.

    Raises:
        What `find_environment` raises.
    """
    found = find_environment(workspace, name)
    environment, digits = found.environment, found.environment_id.hex()
    if form == "dockerfile":
        return ExportedEnvironment(found, dockerfile_text(environment, digits, base=base), not_in_image(environment))
    if form == "requirements" and not hashes:
        return ExportedEnvironment(found, requirements_text(environment, digits))
    known = _known(workspace.root / PYLOCK, environment) or {}
    if form == "sbom":
        return ExportedEnvironment(found, sbom_text(environment, digits, version=__version__, archives=known))
    if form == "requirements":
        archives = _archives(workspace, environment, known, offline=offline)
        return ExportedEnvironment(found, *hashed_requirements(environment, digits, archives))
    pylock = _pylock(workspace, environment, found.environment_id, known, offline=offline)
    return ExportedEnvironment(found, pylock.text, pylock.unlocked)


def write_pylock(workspace: Workspace, locked: Locked, path: Path, *, offline: bool = False) -> WrittenPylock:
    """Write the lock file of an environment; nothing is written when it would be the same.

    What an older one there knows of the same files is taken from it, so that an installer is asked for new ones alone.

    Raises:
        ForeignLockFileError: when another tool wrote the file.
    """
    known = _known(path, locked.environment)
    if known is None:
        raise ForeignLockFileError(
            f"{path} was not written by dsvc", hint="dsvc env lock -o pylock.NAME.toml writes another, --no-pylock none"
        )
    pylock = _pylock(
        workspace, locked.environment, locked.environment_id, known, offline=offline, interpreter=locked.interpreter,
        folder=path.parent,
    )  # fmt: skip
    if not path.exists() or _text(path) != pylock.text:
        write_output(path, pylock.text)
    return WrittenPylock(path, pylock.unlocked)


def write_output(path: Path, text: str) -> None:
    """Replace a file by this text.

    Raises:
        RequestError: when it cannot be written.
    """
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}") from error


def check_pylock(path: Path) -> None:
    """Refuse a place where another tool's lock file stands, before anything is done.

    Raises:
        ForeignLockFileError: for such a place.
    """
    if path.exists() and 'created-by = "dsvc"' not in _text(path):
        raise ForeignLockFileError(
            f"{path} was not written by dsvc", hint="dsvc env lock -o pylock.NAME.toml writes another, --no-pylock none"
        )


def _known(path: Path, environment: Environment) -> dict[str, tuple[Archive, ...]] | None:
    if not path.exists():
        return {}
    return known_archives(_text(path), environment, os.fspath(path.parent))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error


def _pylock(
    workspace: Workspace,
    environment: Environment,
    environment_id: EnvironmentId,
    known: dict[str, tuple[Archive, ...]],
    *,
    offline: bool,
    interpreter: Path | None = None,
    folder: Path | None = None,
) -> Pylock:
    archives = _archives(workspace, environment, known, offline=offline, interpreter=interpreter)
    return make_pylock(environment, archives, environment_id.hex(), os.fspath(folder or workspace.root))


def _archives(
    workspace: Workspace,
    environment: Environment,
    known: dict[str, tuple[Archive, ...]],
    *,
    offline: bool,
    interpreter: Path | None = None,
) -> dict[str, tuple[Archive, ...]]:
    variables = workspace.surroundings.environment
    left = [one for one in environment.distributions if one.name not in known]
    if left and interpreter is None:
        interpreter = _alike(workspace, environment)
    asked = find_archives(left, interpreter=interpreter, variables=variables, offline=offline) if interpreter else {}
    return {**asked, **known}


def _alike(workspace: Workspace, environment: Environment) -> Path | None:
    """Return the project's interpreter where wheels for it are wheels for the environment's too."""
    variables = workspace.surroundings.environment
    try:
        interpreter = find_interpreter(variables, workspace.root)
        return interpreter if ask(interpreter, variables).python.tags == environment.python.tags else None
    except InterpreterError:
        return None
