"""Run the hooks of a repository: programs in `.dsvc/hooks` or `core.hooksPath`, which never come from a clone.

Settings are read from files of the user and of this repository alone, so no commit can name a folder of hooks.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from dsvc.errors import AnswerNoError, RequestError
from dsvc.workspace import Workspace

NAMES = ("pre-commit", "commit-msg", "post-switch")


class HookRefusedError(AnswerNoError):
    """A hook ended with another code than 0."""


def run_hook(
    workspace: Workspace, name: str, *, arguments: Sequence[str] = (), before: Callable[[], None] | None = None
) -> bool:
    """Run a hook in the working copy's root if there is one; return whether it ran. Its output goes to stderr.

    Raises:
        HookRefusedError: when it ends with another code than 0 (the result of `post-switch` is ignored).
        RequestError: when it cannot be run.
    """
    program = _folder(workspace) / name
    if not os.access(program, os.X_OK) or program.is_dir():
        return False
    if before is not None:
        before()
    try:
        done = subprocess.run([os.fspath(program), *arguments], cwd=workspace.root, stdout=2, check=False)
    except OSError as error:
        raise RequestError(f"the hook {program} cannot be run: {error.strerror}", hint=f"chmod +x {program}") from error
    if done.returncode and not name.startswith("post-"):
        raise HookRefusedError(
            f"the hook {name} ended with code {done.returncode}, so nothing was done",
            hint="mend what it complains about, or leave hooks out with --no-verify",
        )
    return True


def dormant_hooks(workspace: Workspace) -> list[Path]:
    """Return the hooks that are there and do not run, because they are not executable."""
    places = (_folder(workspace) / name for name in NAMES)
    return [place for place in places if place.is_file() and not os.access(place, os.X_OK)]


def _folder(workspace: Workspace) -> Path:
    """Return the folder of hooks; a relative `core.hooksPath` counts from the working copy's root."""
    chosen = workspace.config.get_str("core.hooksPath")
    return workspace.root / chosen if chosen else workspace.common / "hooks"
