"""Which refs of a git repository an export moves, and which it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsvc.gitbridge.gittarget import GitTarget
from dsvc.gitbridge.gittree import Oid

_BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True)
class GitRefMove:
    """A ref of git by its full name, what it was (None: new) and what it is now."""

    name: str
    old: Oid | None
    new: Oid


@dataclass(frozen=True, slots=True)
class RefusedMove:
    """A ref of git that was left where it is, why, and what to do."""

    move: GitRefMove
    reason: str
    hint: str
    diverged: bool


def set_refs(
    target: GitTarget, wanted: Mapping[str, Oid], *, force: bool
) -> tuple[list[GitRefMove], list[RefusedMove]]:
    """Let git's refs point to these objects, which are stored; return what moved and what was refused."""
    checked_out = target.checked_out()
    moved: list[GitRefMove] = []
    refused: list[RefusedMove] = []
    for name, new in sorted(wanted.items()):
        old = target.ref(name)
        move = GitRefMove(name, old, new)
        if old == new:
            continue
        short = name.removeprefix(_BRANCHES).removeprefix("refs/tags/")
        if name in checked_out:
            place = checked_out[name]
            reason = f"git's working copy {place} stands on branch {short}, whose files would no longer match it"
            hint = f"git -C {place} switch --detach, export, then git -C {place} switch {short}"
            refused.append(RefusedMove(move, reason, hint, diverged=False))
        elif old is not None and not force and not name.startswith(_BRANCHES):
            reason = f"git has another tag {short}"
            refused.append(RefusedMove(move, reason, "dsvc git export --force replaces it", diverged=True))
        elif old is not None and not force and not target.is_ancestor(old, new):
            reason = f"branch {short} of git has commits that dsvc's has not"
            hint = "dsvc git import brings them in; dsvc git export --force drops them"
            refused.append(RefusedMove(move, reason, hint, diverged=True))
        else:
            moved.append(move)
    for move in moved:
        target.set_ref(move.name, move.new)
    return moved, refused
