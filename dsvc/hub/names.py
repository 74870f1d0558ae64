"""Names of a hub's repositories, and the folders that they stand for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dsvc.remotes.wire.errors import RemoteDeniedError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)
_DEEPEST = 4
_STORE = ("cells", "packs", "lists", "segments", "tmp")  # what a repository's folder holds


class BadRepositoryNameError(RemoteDeniedError):
    """A path that no repository of a hub has."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text[:200]!r} is no name of a repository here: {reason}", hint="such as team/vision")


def repository_name(path: str) -> str:
    """Return the name of the repository that the path of an address means; a slash at its beginning says nothing.

    Raises:
        BadRepositoryNameError: for anything but up to four plain words with slashes between them.
    """
    name = path.removeprefix("/").removesuffix("/")
    parts = name.split("/")
    if len(parts) > _DEEPEST:
        raise BadRepositoryNameError(path, f"it has more than {_DEEPEST} parts")
    for part in parts:
        if not _PART.fullmatch(part) or part in _STORE or part.endswith(".tmp"):
            raise BadRepositoryNameError(path, "each part is made of letters, digits, '.', '_' and '-'")
    return name


def repository_folder(repos: Path, name: str) -> Path:
    """Return the folder of a repository, which need not exist.

    Raises:
        BadRepositoryNameError: where a symbolic link leads elsewhere, or another repository is around or inside it.
    """
    folder = Path(os.path.realpath(repos)) / name
    if Path(os.path.realpath(folder)) != folder:
        raise BadRepositoryNameError(name, "a symbolic link is in the way")
    above = folder.parent
    while above != Path(os.path.realpath(repos)):
        if is_repository(above):
            raise BadRepositoryNameError(name, "a part of it is a repository")
        above = above.parent
    if folder.exists() and not is_repository(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRepositoryNameError(name, "there are repositories in it")
    return folder


def is_repository(folder: Path) -> bool:
    """Say whether a folder is a repository."""
    return (folder / "cells").is_dir()


def repository_names(repos: Path, *, below: str = "") -> Iterator[str]:
    """Yield the names of the repositories that are there, in order."""
    with os.scandir(repos / below) as entries:
        found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for part in found:
        name = f"{below}/{part}" if below else part
        if is_repository(repos / name):
            yield name
        elif name.count("/") + 1 < _DEEPEST:
            yield from repository_names(repos, below=name)
