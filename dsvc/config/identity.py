"""Who makes commits: from the environment, the settings, or git's own configuration."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from dsvc.config.settings import Config
from dsvc.errors import RequestError

_NOT_ALLOWED: Final = str.maketrans(dict.fromkeys("<>\n\r\0", None))


class Identity(NamedTuple):
    """A person as commits name them."""

    name: str
    email: str

    def __str__(self) -> str:
        """The form that git prints too."""
        return f"{self.name} <{self.email}>"


class MissingIdentityError(RequestError):
    """Nothing says who the author is."""

    def __init__(self) -> None:
        super().__init__(
            "your name and e-mail address are not known",
            hint='dsvc config --user user.name "Your Name" && dsvc config --user user.email you@example.com',
        )


def find_identity(
    config: Config, environment: Mapping[str, str], *, git_identity: Callable[[], Mapping[str, str]]
) -> Identity | None:
    """Name and e-mail, each from the first place that has it, or None where one is nowhere.

    The places: DSVC_USER_NAME and DSVC_USER_EMAIL, then user.name and user.email of the settings, then
    what `git_identity` gives, which is called only if it is needed. Characters that would break the line
    of a commit (`<`, `>`, line ends) are left out.
    """
    name = environment.get("DSVC_USER_NAME") or config.get_str("user.name")
    email = environment.get("DSVC_USER_EMAIL") or config.get_str("user.email")
    if not name or not email:
        from_git = git_identity()
        name = name or from_git.get("user.name")
        email = email or from_git.get("user.email")
    name = (name or "").translate(_NOT_ALLOWED).strip()
    email = (email or "").translate(_NOT_ALLOWED).strip()
    return Identity(name, email) if name and email else None


def read_git_identity(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Git's `user.name` and `user.email` as git itself sees them in `directory`; empty without git."""
    return read_git_settings(r"^user\.(name|email)$", environment, directory)


def read_git_settings(keys: str, environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Git's settings whose keys (section and name in lower case) match the pattern `keys`; empty without git.

    git is asked, because its configuration has conditional includes and a layer of its own for each
    repository, which a small reader would get wrong; that costs some 3 ms, loading pygit2 more than 60.
    """
    command = ["git", "config", "--null", "--get-regexp", keys]
    try:
        answer = subprocess.run(
            command, cwd=directory, env=dict(environment), capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, str] = {}
    for entry in answer.stdout.decode("utf-8", "replace").split("\0"):
        key, separator, value = entry.partition("\n")
        if separator:
            found[key] = value
    return found
