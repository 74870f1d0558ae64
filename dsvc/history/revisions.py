"""Revisions as people write them, in git's grammar: `main~2`, `v1^{tree}`, `main@{yesterday}`, `HEAD:src/a.py`."""

from __future__ import annotations

import re
from itertools import islice

from dsvc.history.dates import BadDateError, parse_date
from dsvc.history.reflog import ref_changes, switched_from, value_at
from dsvc.history.revisionnames import (
    AmbiguousRevisionError,
    Resolved,
    RevisionContext,
    UnknownRevisionError,
    find_ref,
    named,
    peel,
    stashes,
    unknown,
)
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TagId, TreeId
from dsvc.objects.tree import EntryKind
from dsvc.objects.values import decode_tag
from dsvc.refs.names import HEADS, REMOTES, TAGS, head_of, short_name
from dsvc.refs.view import Direct, Symbolic

__all__ = [
    "AmbiguousRevisionError",
    "Resolved",
    "RevisionContext",
    "UnknownRevisionError",
    "find_ref",
    "peel",
    "resolve",
    "resolve_commit",
    "resolve_tree",
    "stashes",
]

_BASE = re.compile(r"(?:[^\^~:@]|@(?!\{))*")
_STEP = re.compile(r"\^\{([^}]*)\}|@\{([^}]*)\}|([\^~])(\d*)")
_PEELS = {
    "commit": Kind.COMMIT, "tree": Kind.TREE, "tag": Kind.TAG, "file": Kind.CHUNK, "blob": Kind.CHUNK,
}  # fmt: skip


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
        resolved = named(context, base, text)
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


def _earlier(context: RevisionContext, base: str, inside: str, text: str) -> Resolved:
    """Resolve `base@{inside}`."""
    if inside.lower() in ("upstream", "u", "push"):
        return _followed(context, base, text)
    if re.fullmatch(r"-\d+", inside) and not base:
        return _switched_from(context, int(inside[1:]), text)
    if base:
        name = find_ref(context.view, base, context.worktree)
        if name is None:
            raise unknown(context, base, text)
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
        shown = short_name(name) if name != head_of(context.worktree) else "HEAD"
        raise UnknownRevisionError(f"{text!r}: {shown} did not exist then, as far as is known")
    return Resolved(value.kind, value.id)


def _followed(context: RevisionContext, base: str, text: str) -> Resolved:
    """Resolve what a branch (else the current one) follows."""
    head = context.view.get(head_of(context.worktree))
    current = head.target if isinstance(head, Symbolic) else None
    branch = current if base in ("", "HEAD", "@") else find_ref(context.view, base, context.worktree)
    if branch is None or not branch.startswith(HEADS):
        raise UnknownRevisionError(f"{text!r}: {base or 'HEAD'} is no branch", hint="dsvc branch")
    name = context.upstream(branch) if context.upstream is not None else None
    target = context.view.resolve(name)[1] if name is not None else None
    if target is None:
        raise UnknownRevisionError(
            f"{text!r}: branch {short_name(branch)} follows nothing that was fetched",
            hint=f"dsvc branch -u {REMOTES.rstrip('/')}/BRANCH, or name the remote's branch, as in origin/main"
            if name is None
            else "dsvc fetch",
        )
    return Resolved(target.kind, target.id, ref=name)


def _nth_value(context: RevisionContext, name: str, number: int, text: str) -> Direct:
    count = 0
    for count, change in enumerate(ref_changes(context.log, context.operation, name), start=1):
        if count == number + 1 and change.new_target is not None:
            return change.new_target
    shown = short_name(name)
    known = f"only 1 value of {shown} is known" if count == 1 else f"only {count} values of {shown} are known"
    raise UnknownRevisionError(f"{text!r}: {known}", hint=f"dsvc reflog {shown}")


def _stashed(context: RevisionContext, number: int, text: str) -> Resolved:
    names = stashes(context.view)
    ref = context.view.get(names[number]) if number < len(names) else None
    if not isinstance(ref, Direct):
        there = "is 1 stash" if len(names) == 1 else f"are {len(names)} stashes"
        raise UnknownRevisionError(f"{text!r}: there {there}", hint="dsvc stash list")
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
                f"{text!r} goes past the history: {commit.hex()[:10]} has {_parents(len(parents))}"
                f"{' in this shallow clone' if context.shallow else ''}",
                hint="dsvc fetch --deepen N brings N more commits" if context.shallow else "dsvc log",
            )
        commit = parents[wanted]
    return Resolved(Kind.COMMIT, commit)


def _peel_step(context: RevisionContext, resolved: Resolved, inside: str, text: str) -> Resolved:
    if inside.startswith("/"):
        start = CommitId(peel(context, resolved, Kind.COMMIT, text).id)
        return _newest_match(context, inside[1:], [start], text)
    if inside == "object":
        return resolved._replace(ref=None)
    if inside == "":
        kind, target = resolved.kind, resolved.id
        while kind == Kind.TAG:
            tag = decode_tag(context.store.get(TagId(target), Kind.TAG))
            kind, target = tag.target_kind, tag.target
        return Resolved(kind, target)
    if inside not in _PEELS:
        raise UnknownRevisionError(f"{text!r}: there is no kind of object named {inside!r}")
    return peel(context, resolved, _PEELS[inside], text)._replace(ref=None)


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


def _parents(count: int) -> str:
    return "no parent" if not count else "1 parent" if count == 1 else f"{count} parents"
