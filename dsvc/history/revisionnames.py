"""What revisions begin with: names of refs and shortened ids, and what they are looked up in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry, GetCommit, Graph
from dsvc.objects.ids import HEX_LENGTH, CommitId, Kind, ObjectId, OperationId, TagId, parse_id
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry
from dsvc.objects.values import decode_tag
from dsvc.refs.log import OperationLog
from dsvc.refs.names import HEADS, REMOTES, STASH, TAGS, WORKTREES, fetch_head_of, head_of, short_name
from dsvc.refs.view import View

MIN_PREFIX = 4
_HEX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},{HEX_LENGTH}}}")
_DESCRIBED = re.compile(rf".+-\d+-g({_HEX.pattern})")
_HIDDEN_KINDS = frozenset({Kind.VIEW, Kind.MAP_PAGE, Kind.STATE, Kind.OPERATION})
_LISTED = 10


class UnknownRevisionError(RequestError):
    """A text that names no revision of this repository."""


class AmbiguousRevisionError(RequestError):
    """A text that could name several objects."""


class RevisionContext(NamedTuple):
    """What revisions are resolved against.

    `operation` is the newest operation, `worktree` the one whose HEAD is meant, `directory` the current directory
    inside the working copy (for `REV:./path`), `now` an aware time for relative dates; without it they are refused.
    `shallow` says that commits were left out.
    """

    view: View
    store: ObjectStore
    log: OperationLog
    operation: OperationId
    worktree: str
    get_commit: GetCommit
    graph: Graph | None = None
    directory: bytes = b""
    now: datetime | None = None
    upstream: Callable[[str], str | None] | None = None  # full name of a branch -> of the ref that it follows
    shallow: bool = False

    def ancestry(self) -> Ancestry:
        """Return the commits as nodes."""
        return Ancestry(self.get_commit, self.graph)


class Resolved(NamedTuple):
    """What a revision names.

    `kind` is CHUNK for any file content, however it is stored. `ref` is the full name of the ref when the text was
    only that (or `@{-1}`, which names a branch). After `REV:PATH` `path` and `entry` say what stands there; the entry
    tells links, submodules and references from files.
    """

    kind: Kind
    id: ObjectId
    ref: str | None = None
    path: bytes | None = None
    entry: Entry | None = None


def find_ref(view: View, name: str, worktree: str) -> str | None:
    """Return the full name of the ref that people mean by `name`, in git's order of looking, or None.

    The order is: HEAD, FETCH_HEAD, the newest stash, the full name (with or without `refs/`), a tag, a branch, a
    remote's branch, a remote's HEAD.
    """
    if name in ("HEAD", "@"):
        return head_of(worktree)
    if name == "FETCH_HEAD":
        return fetch_head_of(worktree) if view.get(fetch_head_of(worktree)) is not None else None
    name = name.removeprefix("refs/")
    if name == "stash":
        return next(iter(stashes(view)), None)
    for candidate in (name, TAGS + name, HEADS + name, REMOTES + name, f"{REMOTES}{name}/HEAD"):
        if "/" in candidate and name and view.get(candidate) is not None:
            return candidate
    return None


def stashes(view: View) -> list[str]:
    """Return the names of the refs that hold stashes, the newest first: `stash@{0}`, `stash@{1}` …"""
    return [name for name, _ in view.items(STASH)][::-1]


def peel(context: RevisionContext, resolved: Resolved, kind: Kind, text: str) -> Resolved:
    """Follow tags, and a commit to its tree, until an object of `kind`.

    Raises:
        UnknownRevisionError: when the object is of another kind.
    """
    current, target = resolved.kind, resolved.id
    while current == Kind.TAG != kind:
        tag = decode_tag(context.store.get(TagId(target), Kind.TAG))
        current, target = tag.target_kind, tag.target
    if current == Kind.COMMIT and kind == Kind.TREE:
        current, target = kind, context.get_commit(CommitId(target)).tree
    if current == Kind.FILE_MAP:
        current = Kind.CHUNK
    if current != kind:
        raise UnknownRevisionError(f"{text!r} is a {word_for(current)}, not a {word_for(kind)}")
    return resolved if current == resolved.kind else Resolved(current, ObjectId(target))


def word_for(kind: Kind) -> str:
    """Return what people call a kind of object."""
    return "file" if kind in (Kind.CHUNK, Kind.FILE_MAP) else kind.name.lower()


def named(context: RevisionContext, base: str, text: str) -> Resolved:
    """Resolve a ref's name or an id."""
    if len(base) == HEX_LENGTH and _HEX.fullmatch(base):
        wanted = parse_id(base)
        for kind in Kind:
            if kind not in _HIDDEN_KINDS and context.store.has(wanted, kind):
                return Resolved(Kind.CHUNK if kind == Kind.FILE_MAP else kind, wanted)
    name = find_ref(context.view, base, context.worktree) if base else None
    if name is not None:
        last, ref = context.view.resolve(name)
        if ref is None:
            raise UnknownRevisionError(f"{short_name(last)} has no commits yet", hint="dsvc commit -m MESSAGE")
        return Resolved(ref.kind, ref.id, ref=last if name.startswith(WORKTREES) and last != name else name)
    described = _DESCRIBED.fullmatch(base)
    digits = described[1] if described else base.lower()
    if _HEX.fullmatch(digits):
        return _by_prefix(context, digits, text)
    raise unknown(context, base, text)


def _by_prefix(context: RevisionContext, digits: str, text: str) -> Resolved:
    found: dict[ObjectId, Kind] = {}
    for object_id, kind in context.store.find(digits):
        if kind not in _HIDDEN_KINDS:
            found[object_id] = Kind.CHUNK if kind == Kind.FILE_MAP else kind
    commits = {i: k for i, k in found.items() if k in (Kind.COMMIT, Kind.TAG)}
    candidates = commits or found
    if not candidates:
        raise unknown(context, digits, text)
    if len(candidates) > 1:
        listed = [f"{i.hex()[:16]} ({word_for(k)})" for i, k in islice(candidates.items(), _LISTED)]
        rest = ", ..." if len(candidates) > _LISTED else ""
        raise AmbiguousRevisionError(
            f"{digits!r} could be any of {', '.join(listed)}{rest}",
            hint="write more digits",
            details={"candidates": [i.hex() for i in candidates]},
        )
    ((object_id, kind),) = candidates.items()
    return Resolved(kind, object_id)


def unknown(context: RevisionContext, base: str, text: str) -> UnknownRevisionError:
    """Return the error for a name that nothing has, with similar names as its hint."""
    from difflib import get_close_matches

    names = [short_name(name) for prefix in (HEADS, TAGS) for name, _ in context.view.items(prefix)]
    similar = get_close_matches(base, names, n=3)
    what = f"{text!r} is unknown" if base == text else f"{base!r} in {text!r} is unknown"
    return UnknownRevisionError(
        f"{what}: no branch, tag or object has that name",
        hint=f"did you mean {' or '.join(similar)}?" if similar else "list what there is with 'dsvc branch -a'",
        details={"similar": similar},
    )
