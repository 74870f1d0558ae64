"""What a ref was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsvc.actions.revision import revision_context
from dsvc.history.reflog import RefChange, ref_changes
from dsvc.history.revisions import UnknownRevisionError, find_ref
from dsvc.refs.names import HEADS, STASH, TAGS, WORKTREES, short_name
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReflogResult:
    """The full name of a ref, what people call it, and its changes, the newest first; read as they are asked for."""

    ref: str
    name: str
    changes: Iterator[RefChange]


def reflog(workspace: Workspace, name: str = "HEAD") -> ReflogResult:
    """Return the operations that changed a ref, also of a branch or tag that is gone.

    Raises:
        UnknownRevisionError: when there never was such a ref, as far as is known.
    """
    context = revision_context(workspace)
    found = find_ref(context.view, name, context.worktree)
    shown = "HEAD" if found is not None and found.startswith(WORKTREES) else name
    if found is None and name == "stash":
        found = STASH + "stash"
    if found is not None:
        changes = ref_changes(context.log, context.operation, found)
        return ReflogResult(found, shown if shown == "HEAD" else short_name(found), changes)
    for prefix in (HEADS, TAGS):
        changes = ref_changes(context.log, context.operation, prefix + name)
        first = next(changes, None)
        if first is not None:
            return ReflogResult(prefix + name, name, _again(first, changes))
    raise UnknownRevisionError(f"{name!r} is no branch or tag, and was none", hint="dsvc branch -a")


def _again(first: RefChange, rest: Iterator[RefChange]) -> Iterator[RefChange]:
    yield first
    yield from rest
