"""Turn revisions into ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.revision import revision_context
from dsvc.history.ranges import names_a_set, resolve_set
from dsvc.history.revisions import RevisionContext, find_ref, resolve
from dsvc.objects.ids import ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.refs.names import HEADS, head_of, short_name
from dsvc.refs.view import Symbolic
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RevParseResult:
    """What one word named: an id, and whether it is left out (`^A`, the left side of `A..B`)."""

    object_id: ObjectId
    hidden: bool = False


def rev_parse(
    workspace: Workspace, words: Sequence[str], *, context: RevisionContext | None = None
) -> list[RevParseResult]:
    """Return the ids that revisions and ranges name, in their order.

    Raises:
        UnknownRevisionError, AmbiguousRevisionError: for a word that names nothing, or several things.
    """
    context = context or revision_context(workspace)
    found: list[RevParseResult] = []
    for word in words:
        if not names_a_set(word):
            found.append(RevParseResult(resolve(context, word).id))
            continue
        commits = resolve_set(context, [word])
        found += [RevParseResult(ObjectId(tip)) for tip in commits.tips if not word.startswith("^")]
        found += [RevParseResult(ObjectId(tip), hidden=True) for tip in commits.hidden]
    return found


def ref_name(workspace: Workspace, word: str, *, full: bool = False) -> str | None:
    """Return the name of the branch, tag or remote branch that a word names, None where it names no ref.

    HEAD gives the current branch, or HEAD itself when it is detached.
    """
    context = revision_context(workspace)
    own = head_of(workspace.worktree_id)
    name = find_ref(context.view, word, workspace.worktree_id)
    if name == own:
        ref = context.view.get(own)
        if not isinstance(ref, Symbolic):
            return own if full else "HEAD"
        name = ref.target
    elif name is None and word.startswith("@{"):
        name = resolve(context, word).ref
    if name is None and context.view.get(HEADS + word) is None:
        return None
    return name if full or name is None else short_name(name)


def unique_prefix(store: ObjectStore, object_id: bytes, *, length: int) -> str:
    """Return the shortest beginning of an id, of at least `length` digits, that no other stored object has."""
    digits = object_id.hex()
    while length < len(digits) and len({found for found, _ in store.find(digits[:length])} - {object_id}) > 0:
        length += 1
    return digits[:length]
