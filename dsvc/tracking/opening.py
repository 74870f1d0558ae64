"""Open the workspace around the current folder for a program that records itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from dsvc.config.identity import Identity, MissingIdentityError, find_identity, read_git_identity
from dsvc.config.settings import Config, ConfigFiles, load_config, user_file
from dsvc.errors import NotARepositoryError
from dsvc.workspace import Surroundings, Workspace
from dsvc.worktree.places import common_folder, find_private


def open_workspace(directory: Path, environment: Mapping[str, str], command: tuple[str, ...]) -> Workspace:
    """Return the workspace that contains `directory`; the caller closes it.

    Raises:
        NotARepositoryError: where there is none.
    """
    private = find_private(directory)
    if private is None:
        raise NotARepositoryError(f"{directory} is in no dsvc repository, so no run is recorded", hint="dsvc init")
    files = ConfigFiles(
        user=user_file(environment), repo=common_folder(private) / "config.toml", worktree=private / "worktree.toml"
    )
    config = load_config(files, ())
    surroundings = Surroundings(
        now=lambda: _now(environment),
        identity=lambda: _identity(config, environment, directory),
        user=environment.get("USER") or environment.get("LOGNAME") or "unknown",
        command=command,
        environment=environment,
    )
    return Workspace.open(directory, config=config, surroundings=surroundings)


def _now(environment: Mapping[str, str]) -> datetime:
    fixed = environment.get("DSVC_DATE")
    if fixed:
        try:
            moment = datetime.fromisoformat(fixed)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    return datetime.now().astimezone()


def _identity(config: Config, environment: Mapping[str, str], directory: Path) -> Identity:
    found = find_identity(config, environment, git_identity=lambda: read_git_identity(environment, directory))
    if found is None:
        raise MissingIdentityError
    return found


def current_folder() -> Path:
    """Return the current folder."""
    return Path(os.getcwd())
