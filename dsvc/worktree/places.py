"""Where a repository's folders lie: the private one of a working copy, the one with the store, the store."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.errors import NotARepositoryError, RequestError

PRIVATE = ".dsvc"
MAIN = "main"  # the id of the worktree in which a repository was made


def make_root(folder: Path) -> None:
    """Make the folder of a new working copy, where it is missing.

    Raises:
        RequestError: when there can be no such folder; what the machine refuses in other ways is an OSError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        file = next((at for at in (folder, *folder.parents) if at.exists()), folder)
        why = f"{file} is a file" if file.is_file() else error.strerror
        raise RequestError(f"the folder {folder} cannot be made: {why}", hint="choose another folder") from error


def make_private(private: Path, *parts: str) -> None:
    """Make the folder `.dsvc` of a working copy, and these folders in it, where they are missing.

    It tells git to leave it alone: in a folder that is also git's, `git add .` would take the store.
    """
    for part in parts:
        (private / part).mkdir(parents=True, exist_ok=True)
    ignore = private / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")


def find_private(path: Path) -> Path | None:
    """Return the `.dsvc` of the nearest folder at or above `path` that has one."""
    at = Path(os.path.realpath(path))
    for folder in (at, *at.parents):
        candidate = folder / PRIVATE
        if candidate.is_dir():
            return candidate
    return None


def common_folder(private: Path) -> Path:
    """Return the `.dsvc` that holds the store: another one for a linked worktree.

    Raises:
        NotARepositoryError: when the file `common` names a folder that is not there.
    """
    try:
        text = (private / "common").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except FileNotFoundError:
        return private
    common = Path(os.path.normpath(private / text))
    if not common.is_dir():
        raise NotARepositoryError(
            f"{private} belongs to the repository at {common}, which is not there",
            hint="put that repository back, or correct the path in the file 'common' of this .dsvc",
        )
    return common


def store_folder(common: Path) -> Path:
    """Return where a repository keeps its packs and cells."""
    try:
        text = (common / "store-path").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except FileNotFoundError:
        return common / "store"
    return Path(os.path.normpath(common / text))


def worktree_id(private: Path) -> str:
    """Return the id of the worktree whose private folder this is."""
    try:
        return (private / "worktree" / "id").read_text(encoding="utf-8").strip() or MAIN
    except FileNotFoundError:
        return MAIN


def worktree_paths(common: Path) -> dict[str, Path]:
    """Return where the linked worktrees of a repository lie, by id; their folders may be gone."""
    found: dict[str, Path] = {}
    folder = common / "worktrees"
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        text = (folder / name).read_text(encoding="utf-8", errors="surrogateescape").strip()
        found[name] = Path(os.path.normpath(common / text))
    return found
