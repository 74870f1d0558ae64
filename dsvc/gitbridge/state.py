"""Where the git repository that shares a folder with dsvc stands. Git's files are read, never written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from dsvc.gitbridge.gittree import Oid

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DEPTH = 5  # symbolic refs in a row, as git allows
_TIMEOUT = 60.0  # seconds that `git status` may take


class GitState(NamedTuple):
    """Git's HEAD: its commit (None: no commit yet), its branch (None: detached), and whether no tracked file differs.

    `clean` is None where neither git nor libgit2 could tell.
    """

    head: Oid | None
    branch: str | None
    clean: bool | None


def git_state(folder: Path) -> GitState | None:
    """Return where the git repository in `folder` stands, None when there is none; one failed look-up then.

    Raises nothing: what cannot be read counts as absent, for a commit must not fail by the other repository's state.
    """
    git_folder = find_git_folder(folder)
    if git_folder is None:
        return None
    try:
        head = (git_folder / "HEAD").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None
    common = _common(git_folder)
    branch = head[4:].strip().removeprefix("refs/heads/") if head.startswith("ref:") else None
    if branch == ".invalid":  # refs are in a reftable, which only git reads
        return _ask_git(git_folder, folder)
    return GitState(_resolve(head, git_folder, common), _text(branch), _is_clean(git_folder, folder))


def find_git_folder(folder: Path) -> Path | None:
    """Return the git folder of the repository in exactly `folder`: `.git`, or where a file of that name leads."""
    dot_git = folder / ".git"
    try:
        text = dot_git.read_text(encoding="utf-8", errors="surrogateescape")
    except IsADirectoryError:
        return dot_git
    except OSError:
        return None
    return folder / text[7:].strip() if text.startswith("gitdir:") else None


def _common(git_folder: Path) -> Path:
    try:
        return git_folder / (git_folder / "commondir").read_text().strip()
    except OSError:
        return git_folder


def _resolve(value: str, git_folder: Path, common: Path) -> Oid | None:
    for _ in range(_DEPTH):
        if not value.startswith("ref:"):
            return bytes.fromhex(value) if _OID.fullmatch(value) else None
        name = value[4:].strip()
        found = None
        for place in (git_folder, common):
            try:
                found = (place / name).read_text(encoding="utf-8", errors="surrogateescape").strip()
                break
            except OSError:
                continue
        value = found if found is not None else _packed(common, name)
    return None


def _packed(common: Path, name: str) -> str:
    try:
        with (common / "packed-refs").open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                oid, _, ref = line.rstrip("\n").partition(" ")
                if ref == name:
                    return oid
    except OSError:
        pass
    return ""


def _is_clean(git_folder: Path, folder: Path) -> bool | None:
    output = _git(git_folder, folder, "status", "--porcelain", "--untracked-files=no")
    if output is not None:
        return not output.strip()
    import pygit2

    try:
        changed = pygit2.Repository(os.fspath(git_folder)).status(untracked_files="no", ignored=False)
    except (pygit2.GitError, KeyError):
        return None
    return not changed


def _ask_git(git_folder: Path, folder: Path) -> GitState | None:
    if (branch := _git(git_folder, folder, "symbolic-ref", "--quiet", "--short", "HEAD")) is None:
        branch = ""
    head = _git(git_folder, folder, "rev-parse", "--quiet", "--verify", "HEAD")
    oid = bytes.fromhex(head.strip()) if head and _OID.fullmatch(head.strip()) else None
    return GitState(oid, _text(branch.strip() or None), _is_clean(git_folder, folder))


def _git(git_folder: Path, folder: Path, *arguments: str) -> str | None:
    """Run git without locks, so that it does not even refresh its index; None when that fails."""
    command = ["git", "--no-optional-locks", f"--git-dir={git_folder}", f"--work-tree={folder}", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None


def _text(name: str | None) -> str | None:
    """Return a name that can be stored: a branch of git may be named by bytes that are not UTF-8."""
    return None if name is None else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
