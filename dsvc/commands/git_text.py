"""What commits say of git: the commit they were imported from, and where git stood in the same folder."""

from __future__ import annotations

from typing import Any, NamedTuple

from dsvc.commands.ref_text import SHORT
from dsvc.objects.values import Commit

_SAID = {True: "clean", False: "with changes", None: "changes unknown"}


class GitHead(NamedTuple):
    """Git's HEAD when a commit was made: its commit (None before the first), branch (None: detached), and state."""

    commit: bytes | None
    branch: str | None
    clean: bool | None


def git_head(commit: Commit) -> GitHead | None:
    """Return where git stood, None for a commit that was not made beside git."""
    match commit.metadata.get("git_head"):
        case {"commit": (None | bytes()) as at, "branch": (None | str()) as branch, "clean": (None | bool()) as clean}:
            return GitHead(at, branch, clean)
    return None


def git_origin(commit: Commit) -> bytes | None:
    """Return the id of the git commit that this one was imported from and still stands for."""
    if "git" not in commit.metadata:
        return None
    from dsvc.gitbridge.origin import commit_origin

    origin = commit_origin(commit)
    return origin.id if origin is not None else None


def git_fields(commit: Commit) -> dict[str, str]:
    """Return what is said below a commit in the form `fuller`, as text by its heading."""
    fields: dict[str, str] = {}
    origin, head = git_origin(commit), git_head(commit)
    if origin is not None:
        fields["Git"] = origin.hex()
    if head is not None:
        at = head.commit.hex()[:SHORT] if head.commit is not None else "no commit"
        fields["GitHead"] = f"{at} ({head.branch or 'detached'}, {_SAID[head.clean]})"
    return fields


def git_json(commit: Commit) -> dict[str, Any]:
    """Return the fields that say it in a JSON document; none for a commit that has nothing to do with git."""
    fields: dict[str, Any] = {}
    origin, head = git_origin(commit), git_head(commit)
    if origin is not None:
        fields["git_commit"] = origin.hex()
    if head is not None:
        at = head.commit.hex() if head.commit is not None else None
        fields["git_head"] = {"commit": at, "branch": head.branch, "clean": head.clean}
    return fields
