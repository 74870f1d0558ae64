"""List, make and delete tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.refs import RefExistsError, RefInfo, check_free, list_refs
from dsvc.actions.revision import revision_context
from dsvc.actions.signing import Sign, find_signer
from dsvc.errors import UsageError
from dsvc.history.revisions import UnknownRevisionError, resolve
from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.values import Tag
from dsvc.refs.names import TAGS, check_short_name, short_name
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace


class TagResult(NamedTuple):
    """A tag that was made or deleted: its short name, what it points to, and what it was before."""

    name: str
    target: Direct | None
    before: Direct | None = None


def list_tags(workspace: Workspace) -> list[RefInfo]:
    """Return all tags in order of names."""
    return list(list_refs(workspace, TAGS))


def create_tag(
    workspace: Workspace,
    name: str,
    *,
    target: str = "HEAD",
    message: str | None = None,
    force: bool = False,
    sign: Sign = None,
) -> TagResult:
    """Tag an object; with a message as an object of its own that says who tagged when, signed where `sign` says so.

    Raises:
        BadRefNameError, UnknownRevisionError. RefExistsError: when there is such a tag and `force` is not set.
        MissingIdentityError: for a message where nothing says who writes it.
        UsageError: when it should be signed and has no message. NoSigningKeyError, SigningFailedError.
    """
    full = check_short_name(name, TAGS)
    signer = find_signer(workspace, sign, setting="tag.sign")
    if signer is not None and message is None:
        raise UsageError("a signed tag needs a message", hint=f"dsvc tag -s -m TEXT {name}")
    view = workspace.view()
    before = view.resolve(full)[1]
    if before is not None and not force:
        raise RefExistsError(f"there is already a tag {name}", hint=f"move it with 'dsvc tag -f {name} {target}'")
    if before is None:
        check_free(view, full)
    found = resolve(revision_context(workspace), target)
    kind = found.kind
    if kind == Kind.CHUNK and not workspace.repo.store.has(found.id, kind):
        kind = Kind.FILE_MAP  # a large file: its content is kept in many chunks
    direct = Direct(kind, ObjectId(found.id))
    if message is not None:
        tag = Tag(target=found.id, target_kind=kind, name=name, tagger=workspace.person(), message=message)
        tag = tag if signer is None else signer.tag(tag)
        direct = Direct(Kind.TAG, ObjectId(workspace.repo.put_tag(tag)))
    transaction = workspace.transaction()
    transaction.set(full, direct)
    workspace.publish(transaction, workspace.act("tag", f"tag: {name} at {target}"))
    return TagResult(name, direct, before)


def delete_tags(workspace: Workspace, names: Sequence[str]) -> list[TagResult]:
    """Delete tags, all or none; `undo` brings them back.

    Raises:
        UnknownRevisionError: when there is no such tag.
    """
    view = workspace.view()
    transaction = workspace.transaction()
    deleted: list[TagResult] = []
    for name in dict.fromkeys(names):
        before = view.resolve(TAGS + name)[1]
        if before is None:
            raise UnknownRevisionError(f"there is no tag {name}", hint=_similar(workspace, name))
        transaction.delete(TAGS + name)
        deleted.append(TagResult(name, None, before))
    listed = ", ".join(result.name for result in deleted)
    workspace.publish(transaction, workspace.act("tag", f"tag: deleted {listed}"))
    return deleted


def _similar(workspace: Workspace, name: str) -> str:
    from difflib import get_close_matches

    similar = get_close_matches(name, [short_name(n) for n, _ in workspace.view().items(TAGS)], n=3)
    return f"did you mean {' or '.join(similar)}?" if similar else "dsvc tag"
