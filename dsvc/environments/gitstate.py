"""At which commit a folder of a git repository is, and how it differs from it; asked of `git` itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from dsvc.environments.interpreter import clean
from dsvc.environments.variables import without_login

_TIMEOUT = 30
_LEFTOVERS = ("__pycache__/", ".egg-info/")  # what an installation and an import leave in a folder


class GitState(NamedTuple):
    """A commit's hexadecimal id (empty before the first one), whether files below the folder differ, and the remote."""

    commit: str
    changed: bool
    untracked: int
    remote: str


def git_state(folder: str, environment: Mapping[str, str]) -> GitState | None:
    """Return the state of what is below a folder, or None where there is no git or no repository."""
    said = _git(folder, environment, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    if said is None:
        return None
    commit, changed, untracked = "", False, 0
    for line in said.decode("utf-8", "replace").splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ").replace("(initial)", "")
        elif line.startswith("? "):
            if line.endswith(_LEFTOVERS):
                continue
            changed, untracked = True, untracked + 1
        elif not line.startswith("#"):
            changed = True
    remote = _git(folder, environment, "config", "--get", "remote.origin.url") or b""
    return GitState(commit, changed, untracked, without_login(clean(remote.decode("utf-8", "surrogateescape").strip())))


def git_patch(folder: str, environment: Mapping[str, str]) -> bytes | None:
    """Return the differences of the tracked files below a folder from its commit, for `git apply`, or None."""
    return _git(folder, environment, "diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", "--", ".")


def _git(folder: str, environment: Mapping[str, str], *words: str) -> bytes | None:
    quiet = {name: value for name, value in environment.items() if not name.startswith("GIT_")}
    quiet |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(folder), *words],
            env=quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
