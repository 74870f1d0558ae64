"""Commits in order, chosen by range, path, person, message and time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from dsvc.actions.commit_graph import all_tips, commit_graph, refresh_graph
from dsvc.actions.filediff import FileDiff, Sides, StatusFilter, paired
from dsvc.actions.pickaxe import Pickaxe
from dsvc.actions.revision import revision_context
from dsvc.contents.attributes import attributes_on_disk
from dsvc.contents.likeness import similar_files
from dsvc.errors import UsageError
from dsvc.history.datasets import diff_files
from dsvc.history.dates import parse_date
from dsvc.history.follow import follow
from dsvc.history.ranges import CommitSet, resolve_set
from dsvc.history.renames import MINIMUM, RenameLimit
from dsvc.history.revisions import RevisionContext
from dsvc.history.walk import Matches, Order, walk
from dsvc.objects.ids import CommitId
from dsvc.objects.values import Commit, Person
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which commits to list. `prefixes` are kinds of refs whose commits count as named (`--all`, `--branches` ...)."""

    revisions: tuple[str, ...] = ()
    paths: tuple[bytes, ...] = ()
    prefixes: tuple[str, ...] = ()
    head_too: bool = False
    order: Order = "date"
    rewrite: bool = False  # parents in the result are the nearest commits shown, as a graph needs them
    first_parent: bool = False
    merges: bool | None = None  # only merges, or only others
    authors: tuple[str, ...] = ()
    committers: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    all_match: bool = False
    invert_match: bool = False
    ignore_case: bool = False
    fixed: bool = False  # patterns are plain texts
    since: str | None = None
    until: str | None = None
    skip: int = 0
    count: int | None = None
    reverse: bool = False
    follow: bool = False
    pickaxe: Pickaxe | None = None
    statuses: StatusFilter | None = None  # only commits with a file that this chooses
    minimum: int | None = MINIMUM  # how alike files are that count as renamed; None: none
    merge_changes: bool = False  # what a merge changed against its first parent counts


_LISTED = 2000  # commits whose changed paths are listed in passing: a fraction of a second
ALL_REFS = (HEADS, TAGS, REMOTES)


class LogResult(NamedTuple):
    """A commit of the log. `parents` are those to draw lines to; `path` is the followed file's name in this commit."""

    commit_id: CommitId
    commit: Commit
    parents: tuple[CommitId, ...]
    path: bytes | None = None


def log(workspace: Workspace, query: LogQuery, *, context: RevisionContext | None = None) -> Iterator[LogResult]:
    """Yield the commits that a query asks for, newest first; only as much history is read as the first ones need.

    Raises:
        UnknownRevisionError: for a revision that does not exist. UsageError: for a bad pattern or date.
    """
    context = context or revision_context(workspace)
    if query.follow and len(query.paths) != 1:
        raise UsageError("--follow takes a single file", hint="dsvc log --follow FILE")
    wanted = _commit_set(workspace, context, query)
    if not wanted.tips:
        return iter(())
    if query.order == "topo" or query.paths:
        refresh_graph(workspace, wanted.tips, listed=_LISTED if query.paths else 0)
        context = context._replace(graph=commit_graph(workspace))
    found = _followed(workspace, context, query, wanted) if query.follow else _walked(workspace, context, query, wanted)
    if query.pickaxe is not None:
        found = (entry for entry in found if _picked(workspace, entry, query))
    if query.statuses is not None:
        found = (entry for entry in found if _changed_so(workspace, entry, query))
    chosen = islice(found, query.skip, None if query.count is None else query.skip + query.count)
    return reversed(list(chosen)) if query.reverse else chosen


def _commit_set(workspace: Workspace, context: RevisionContext, query: LogQuery) -> CommitSet:
    named = all_tips(workspace, prefixes=query.prefixes) if query.prefixes else []
    if query.head_too:
        head = workspace.head().commit_id
        named = [*named, head] if head is not None else named
    if not (query.prefixes or query.head_too):
        return resolve_set(context, query.revisions)
    given = resolve_set(context, query.revisions) if query.revisions else CommitSet(())
    return CommitSet(tuple(dict.fromkeys([*given.tips, *named])), given.hidden)


def _walked(
    workspace: Workspace, context: RevisionContext, query: LogQuery, wanted: CommitSet
) -> Iterator[LogResult]:
    steps = walk(
        context.ancestry(),
        wanted.tips,
        hidden=wanted.hidden,
        order=query.order,
        first_parent=query.first_parent,
        store=workspace.repo.store,
        paths=query.paths,
        rewrite=query.rewrite,
        since=_moment(query.since, context),
        until=_moment(query.until, context),
        matches=_matches(query),
    )
    for step in steps:
        yield LogResult(step.id, workspace.repo.commit(step.id), step.parents)


def _followed(
    workspace: Workspace, context: RevisionContext, query: LogQuery, wanted: CommitSet
) -> Iterator[LogResult]:
    ancestry, store = context.ancestry(), workspace.repo.store
    sides = Sides.of(workspace.repo)
    similar = similar_files(sides.read_old, sides.read_new, complete=sides.store.complete)
    matches = _matches(query)
    since, until = _moment(query.since, context), _moment(query.until, context)
    inside = None
    if wanted.hidden:
        inside = {step.id for step in walk(ancestry, wanted.tips, hidden=wanted.hidden)}
    for step in follow(ancestry, store, wanted.tips, query.paths[0], similar=similar):
        commit = workspace.repo.commit(step.id)
        time = commit.committer.time
        if (since is not None and time < since) or (until is not None and time > until):
            continue
        if (inside is None or step.id in inside) and (matches is None or matches(step.id, commit)):
            yield LogResult(step.id, commit, commit.parents, step.path)


def _moment(text: str | None, context: RevisionContext) -> int | None:
    if text is None:
        return None
    assert context.now is not None, "a workspace knows the time"
    return parse_date(text, context.now)


def _matches(query: LogQuery) -> Matches | None:
    """Return the test on a commit itself, None where every commit passes."""
    authors, committers, messages = (
        [_pattern(text, query) for text in texts] for texts in (query.authors, query.committers, query.messages)
    )
    if not (authors or committers or messages) and query.merges is None:
        return None
    every = all if query.all_match else any

    def test(_commit_id: CommitId, commit: Commit) -> bool:
        if query.merges is not None and (len(commit.parents) > 1) != query.merges:
            return False
        if authors and not any(pattern.search(_person(commit.author)) for pattern in authors):
            return False
        if committers and not any(pattern.search(_person(commit.committer)) for pattern in committers):
            return False
        if not messages:
            return True
        return every(pattern.search(commit.message) is not None for pattern in messages) != query.invert_match

    return test


def _pattern(text: str, query: LogQuery) -> re.Pattern[str]:
    flags = re.MULTILINE | (re.IGNORECASE if query.ignore_case else 0)
    try:
        return re.compile(re.escape(text) if query.fixed else text, flags)
    except re.error as error:
        raise UsageError(f"{text!r} is not a valid pattern: {error}", hint="-F takes it as plain text") from error


def _person(person: Person) -> str:
    return f"{person.name} <{person.email}>"


def _picked(workspace: Workspace, entry: LogResult, query: LogQuery) -> bool:
    if len(entry.commit.parents) > 1:
        return False
    files, sides, _ = commit_files(workspace, entry.commit, paths=_paths_of(entry, query))
    assert query.pickaxe is not None
    return any(query.pickaxe(file, sides) for file in files)


def _changed_so(workspace: Workspace, entry: LogResult, query: LogQuery) -> bool:
    if len(entry.commit.parents) > 1 and not query.merge_changes:
        return False
    files, _, _ = commit_files(
        workspace, entry.commit, paths=query.paths, minimum=query.minimum, follow_path=entry.path
    )
    return query.statuses is not None and any(map(query.statuses, files))


def _paths_of(entry: LogResult, query: LogQuery) -> tuple[bytes, ...]:
    return (entry.path,) if entry.path is not None else query.paths


def commit_files(
    workspace: Workspace,
    commit: Commit,
    *,
    paths: Sequence[bytes] = (),
    minimum: int | None = MINIMUM,
    parent: int = 0,
    follow_path: bytes | None = None,
) -> tuple[list[FileDiff], Sides, RenameLimit | None]:
    """Return what a commit changed against its parent number `parent` (from 0; none for a root commit).

    With `follow_path` only that file, and where it came from when the commit renamed it.
    """
    store = workspace.repo.store
    parents = workspace.repo.parents(commit)
    old = workspace.tree_of(parents[parent]) if parents else None
    sides = Sides.of(workspace.repo, attributes=attributes_on_disk(workspace.place))
    limits = () if follow_path is not None else paths
    files, limit = paired(diff_files(store, old, commit.tree, paths=limits), sides, minimum=minimum)
    if follow_path is not None:
        files, limit = [file for file in files if file.path == follow_path], None
    return files, sides, limit
