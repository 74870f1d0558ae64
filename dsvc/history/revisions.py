"""Revisions as people write them, in git's grammar: `main~2`, `v1^{tree}`, `main@{yesterday}`, `HEAD:src/a.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry, GetCommit, Graph
from dsvc.history.dates import BadDateError, parse_date
from dsvc.history.reflog import ref_changes, switched_from, value_at
from dsvc.objects import trees
from dsvc.objects.ids import HEX_LENGTH, CommitId, Kind, ObjectId, OperationId, TagId, TreeId, parse_id
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import decode_tag
from dsvc.refs.log import OperationLog
from dsvc.refs.names import HEADS, REMOTES, STASH, TAGS, WORKTREES, head_of, short_name
from dsvc.refs.view import Direct, Symbolic, View

MIN_PREFIX = 4
_HEX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},{HEX_LENGTH}}}")
_DESCRIBED = re.compile(rf".+-\d+-g({_HEX.pattern})")
_BASE = re.compile(r"(?:[^\^~:@]|@(?!\{))*")
_STEP = re.compile(r"\^\{([^}]*)\}|@\{([^}]*)\}|([\^~])(\d*)")
_HIDDEN_KINDS = frozenset({Kind.VIEW, Kind.MAP_PAGE, Kind.STATE, Kind.OPERATION})
_PEELS = {
    "commit": Kind.COMMIT, "tree": Kind.TREE, "tag": Kind.TAG, "file": Kind.CHUNK, "blob": Kind.CHUNK,
}  # fmt: skip
_LISTED = 10


class UnknownRevisionError(RequestError):
    """A text that names no revision of this repository."""


class AmbiguousRevisionError(RequestError):
    """A text that could name several objects."""


@dataclass(frozen=True, slots=True)
class RevisionContext:
    """What revisions are resolved against.

    `operation` is the newest operation, `worktree` the one whose HEAD is meant, `directory` the current directory
    inside the working copy (for `REV:./path`), `now` an aware time for relative dates; without it they are refused.
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

    def ancestry(self) -> Ancestry:
        """Return the commits as nodes."""
        return Ancestry(self.get_commit, self.graph)


@dataclass(frozen=True, slots=True)
class Resolved:
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


def resolve(context: RevisionContext, text: str) -> Resolved:
    """Return what a revision names.

    Raises:
        UnknownRevisionError: when there is no such thing; the hint names similar branches and tags.
        AmbiguousRevisionError: when an id is shortened too much; it lists the candidates.
    """
    if text.startswith(":/"):
        return _newest_match(context, text[2:], _tips(context), text)
    if text.startswith(":"):
        raise UnknownRevisionError(f"{text!r} names the staging area, and dsvc has none", hint="write HEAD:PATH")
    found = _BASE.match(text)
    assert found is not None
    base, at = found[0], found.end()
    if text.startswith("@{", at) and at == len(base):
        steps = _STEP.match(text, at)
        if steps is None:
            raise UnknownRevisionError(f"{text!r} has a brace that is not closed")
        resolved, at = _earlier(context, base, steps[2], text), steps.end()
    else:
        resolved = _named(context, base, text)
    while at < len(text):
        if text[at] == ":":
            return _at_path(context, resolved, text[at + 1 :], text)
        step = _STEP.match(text, at)
        if step is None or step[2] is not None:
            raise UnknownRevisionError(f"{text!r} is not a revision: {text[at:]!r} has no meaning there")
        at = step.end()
        if step[3] is None:
            resolved = _peel_step(context, resolved, step[1], text)
        else:
            resolved = _climb(context, resolved, step[3], step[4], text)
    return resolved


def resolve_commit(context: RevisionContext, text: str) -> CommitId:
    """Return the commit that a revision names or leads to.

    Raises:
        UnknownRevisionError, AmbiguousRevisionError: see `resolve`; the former also for what is no commit.
    """
    return CommitId(peel(context, resolve(context, text), Kind.COMMIT, text).id)


def resolve_tree(context: RevisionContext, text: str) -> TreeId:
    """Return the tree that a revision names: a commit's, or `REV:DIRECTORY`; raises what `resolve_commit` raises."""
    return TreeId(peel(context, resolve(context, text), Kind.TREE, text).id)


def find_ref(view: View, name: str, worktree: str) -> str | None:
    """Return the full name of the ref that people mean by `name`, in git's order of looking, or None.

    The order is: HEAD, the newest stash, the full name (with or without `refs/`), a tag, a branch, a remote's branch,
    a remote's HEAD.
    """
    if name in ("HEAD", "@"):
        return head_of(worktree)
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
        raise UnknownRevisionError(f"{text!r} is a {_word(current)}, not a {_word(kind)}")
    return resolved if current == resolved.kind else Resolved(current, ObjectId(target))


def _word(kind: Kind) -> str:
    return "file" if kind in (Kind.CHUNK, Kind.FILE_MAP) else kind.name.lower()


def _named(context: RevisionContext, base: str, text: str) -> Resolved:
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
    raise _unknown(context, base, text)


def _by_prefix(context: RevisionContext, digits: str, text: str) -> Resolved:
    found: dict[ObjectId, Kind] = {}
    for object_id, kind in context.store.find(digits):
        if kind not in _HIDDEN_KINDS:
            found[object_id] = Kind.CHUNK if kind == Kind.FILE_MAP else kind
    commits = {i: k for i, k in found.items() if k in (Kind.COMMIT, Kind.TAG)}
    candidates = commits or found
    if not candidates:
        raise _unknown(context, digits, text)
    if len(candidates) > 1:
        listed = [f"{i.hex()[:16]} ({_word(k)})" for i, k in islice(candidates.items(), _LISTED)]
        rest = ", ..." if len(candidates) > _LISTED else ""
        raise AmbiguousRevisionError(
            f"{digits!r} could be any of {', '.join(listed)}{rest}",
            hint="write more digits",
            details={"candidates": [i.hex() for i in candidates]},
        )
    ((object_id, kind),) = candidates.items()
    return Resolved(kind, object_id)


def _unknown(context: RevisionContext, base: str, text: str) -> UnknownRevisionError:
    from difflib import get_close_matches

    names = [short_name(name) for prefix in (HEADS, TAGS) for name, _ in context.view.items(prefix)]
    similar = get_close_matches(base, names, n=3)
    what = f"{text!r} is unknown" if base == text else f"{base!r} in {text!r} is unknown"
    return UnknownRevisionError(
        f"{what}: no branch, tag or object has that name",
        hint=f"did you mean {' or '.join(similar)}?" if similar else "list what there is with 'dsvc branch -a'",
        details={"similar": similar},
    )


def _earlier(context: RevisionContext, base: str, inside: str, text: str) -> Resolved:
    """Resolve `base@{inside}`."""
    if inside.lower() in ("upstream", "u", "push"):
        raise UnknownRevisionError(
            f"{text!r}: branches have no recorded upstream",
            hint=f"name the remote's branch, as in {REMOTES}NAME/BRANCH",
        )
    if re.fullmatch(r"-\d+", inside) and not base:
        return _switched_from(context, int(inside[1:]), text)
    if base:
        name = find_ref(context.view, base, context.worktree)
        if name is None:
            raise _unknown(context, base, text)
        if base == "stash" and inside.isdigit():
            return _stashed(context, int(inside), text)
    else:
        head = context.view.get(head_of(context.worktree))
        name = head.target if isinstance(head, Symbolic) else head_of(context.worktree)
    if inside.isdigit():
        value: Direct | None = _nth_value(context, name, int(inside), text)
    elif context.now is None:
        raise BadDateError(f"{text!r}: a date cannot be looked up here")
    else:
        value = value_at(context.log, context.operation, name, time=parse_date(inside, context.now))
    if value is None:
        raise UnknownRevisionError(f"{text!r}: {short_name(name)} did not exist then, as far as is known")
    return Resolved(value.kind, value.id)


def _nth_value(context: RevisionContext, name: str, number: int, text: str) -> Direct:
    count = 0
    for count, change in enumerate(ref_changes(context.log, context.operation, name), start=1):
        if count == number + 1 and change.new_target is not None:
            return change.new_target
    raise UnknownRevisionError(
        f"{text!r}: only {count} values of {short_name(name)} are known", hint=f"dsvc reflog {short_name(name)}"
    )


def _stashed(context: RevisionContext, number: int, text: str) -> Resolved:
    names = stashes(context.view)
    ref = context.view.get(names[number]) if number < len(names) else None
    if not isinstance(ref, Direct):
        raise UnknownRevisionError(f"{text!r}: there are {len(names)} stashes", hint="dsvc stash list")
    return Resolved(ref.kind, ref.id)


def _switched_from(context: RevisionContext, number: int, text: str) -> Resolved:
    before = switched_from(context.log, context.operation, context.worktree)
    ref = next(islice(before, number - 1, None), None) if number else None
    if ref is None:
        raise UnknownRevisionError(f"{text!r}: there were fewer switches in this working copy", hint="dsvc branch")
    if isinstance(ref, Direct):
        return Resolved(ref.kind, ref.id)
    now = context.view.resolve(ref.target)[1]
    if now is None:
        raise UnknownRevisionError(f"{text!r}: the branch {short_name(ref.target)} is gone", hint="dsvc branch")
    return Resolved(now.kind, now.id, ref=ref.target)


def _climb(context: RevisionContext, resolved: Resolved, sign: str, digits: str, text: str) -> Resolved:
    """Go `~n` steps to first parents, or to the n-th parent."""
    commit = CommitId(peel(context, resolved, Kind.COMMIT, text).id)
    number = int(digits[:9]) if digits else 1
    for _ in range(number if sign == "~" else min(number, 1)):
        parents = context.get_commit(commit).parents
        wanted = 0 if sign == "~" else number - 1
        if wanted >= len(parents):
            raise UnknownRevisionError(
                f"{text!r} goes past the history: {commit.hex()[:10]} has {len(parents)} parent(s)", hint="dsvc log"
            )
        commit = parents[wanted]
    return Resolved(Kind.COMMIT, commit)


def _peel_step(context: RevisionContext, resolved: Resolved, inside: str, text: str) -> Resolved:
    if inside.startswith("/"):
        start = CommitId(peel(context, resolved, Kind.COMMIT, text).id)
        return _newest_match(context, inside[1:], [start], text)
    if inside == "object":
        return replace(resolved, ref=None)
    if inside == "":
        kind, target = resolved.kind, resolved.id
        while kind == Kind.TAG:
            tag = decode_tag(context.store.get(TagId(target), Kind.TAG))
            kind, target = tag.target_kind, tag.target
        return Resolved(kind, target)
    if inside not in _PEELS:
        raise UnknownRevisionError(f"{text!r}: there is no kind of object named {inside!r}")
    return replace(peel(context, resolved, _PEELS[inside], text), ref=None)


def _at_path(context: RevisionContext, resolved: Resolved, written: str, text: str) -> Resolved:
    path = written.encode("utf-8", "surrogateescape")
    if path.startswith((b"./", b"../")) or path in (b".", b".."):
        path = _joined(context.directory, path, text)
    path = path.strip(b"/")
    tree = TreeId(peel(context, resolved, Kind.TREE, text.split(":", 1)[0]).id)
    entry = trees.lookup(context.store, tree, path)
    if entry is None:
        raise UnknownRevisionError(
            f"there is no {path.decode(errors='replace')!r} in {text.split(':', 1)[0]!r}",
            hint=f"dsvc ls {text.split(':', 1)[0]}",
        )
    kind = Kind.TREE if entry.kind == EntryKind.TREE else Kind.CHUNK
    return Resolved(kind, ObjectId(entry.id), path=path, entry=entry)


def _joined(directory: bytes, path: bytes, text: str) -> bytes:
    parts = [part for part in directory.split(b"/") if part]
    for part in path.split(b"/"):
        if part == b".." and not parts:
            raise UnknownRevisionError(f"the path in {text!r} leads out of the working copy")
        if part == b"..":
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _tips(context: RevisionContext) -> list[CommitId]:
    found = []
    for prefix in (HEADS, TAGS, REMOTES, head_of(context.worktree)):
        for name, _ in context.view.items(prefix):
            ref = context.view.resolve(name)[1]
            if ref is not None:
                resolved = _peel_step(context, Resolved(ref.kind, ref.id), "", name)
                if resolved.kind == Kind.COMMIT:
                    found.append(CommitId(resolved.id))
    return found


def _newest_match(context: RevisionContext, pattern: str, tips: list[CommitId], text: str) -> Resolved:
    """Return the newest commit from `tips` back whose message matches; `!-` in front turns the match round."""
    from heapq import heapify, heappop, heappush

    negated = pattern.startswith("!-")
    if pattern.startswith("!"):
        if not negated and not pattern.startswith("!!"):
            raise UnknownRevisionError(f"{text!r}: a pattern that begins with '!' is written with '!!'")
        pattern = pattern[2:] if negated else pattern[1:]
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UnknownRevisionError(f"{text!r}: the pattern is not valid: {error}") from error
    heap = [(-context.get_commit(tip).committer.time, tip) for tip in set(tips)]
    heapify(heap)
    seen = set(tips)
    while heap:
        _, commit_id = heappop(heap)
        commit = context.get_commit(commit_id)
        if (wanted.search(commit.message) is None) == negated:
            return Resolved(Kind.COMMIT, commit_id)
        for parent in commit.parents:
            if parent not in seen:
                seen.add(parent)
                heappush(heap, (-context.get_commit(parent).committer.time, parent))
    raise UnknownRevisionError(f"no commit's message matches {pattern!r}")
