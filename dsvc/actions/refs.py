"""Branches and tags as lists of what they point to, and the checks before one is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.objects.ids import CommitId, Kind, ObjectId, TagId
from dsvc.objects.values import Commit, Tag
from dsvc.refs.names import HEADS, TAGS, short_name
from dsvc.refs.view import Symbolic, View
from dsvc.workspace import Workspace


class RefInfo(NamedTuple):
    """A branch or tag: its full name, what it points to, and the commit behind it (None where it is no commit's).

    `tag` is the tag object, where there is one; `symbolic` the ref that a symbolic one stands for.
    """

    name: str
    kind: Kind
    id: ObjectId
    commit_id: CommitId | None
    commit: Commit | None
    tag: Tag | None = None
    symbolic: str | None = None

    @property
    def short(self) -> str:
        """What people call it."""
        return short_name(self.name)

    @property
    def time(self) -> int:
        """When it was made: a tag object's time, else the commit's."""
        if self.tag is not None and self.tag.tagger is not None:
            return self.tag.tagger.time
        return self.commit.committer.time if self.commit is not None else 0


class RefExistsError(RequestError):
    """A branch or tag of that name is there already."""


def list_refs(workspace: Workspace, prefix: str, *, view: View | None = None) -> Iterator[RefInfo]:
    """Yield the refs whose names begin with `prefix`, in order of names; unborn ones are left out."""
    view = view if view is not None else workspace.view()
    for name, ref in view.items(prefix):
        target = view.resolve(name)[1]
        if target is None:
            continue
        kind, object_id = workspace.repo.peel(target.kind, target.id)
        commit_id = CommitId(object_id) if kind == Kind.COMMIT else None
        yield RefInfo(
            name=name,
            kind=target.kind,
            id=target.id,
            commit_id=commit_id,
            commit=workspace.repo.commit(commit_id) if commit_id is not None else None,
            tag=workspace.repo.tag(TagId(target.id)) if target.kind == Kind.TAG else None,
            symbolic=ref.target if isinstance(ref, Symbolic) else None,
        )


class RefFilter(NamedTuple):
    """Which refs to list: names that match one of the globs, and what their commits contain or are contained in."""

    globs: Sequence[str] = ()
    merged: CommitId | None = None
    no_merged: CommitId | None = None
    contains: CommitId | None = None
    no_contains: CommitId | None = None
    points_at: CommitId | None = None


def matching(refs: Iterator[RefInfo], wanted: RefFilter, ancestry: Ancestry) -> Iterator[RefInfo]:
    """Yield those of the refs that pass the filter."""
    tests: list[Callable[[CommitId], bool]] = []
    merged, unmerged, within, without = wanted.merged, wanted.no_merged, wanted.contains, wanted.no_contains
    if merged is not None:
        tests.append(lambda commit: is_ancestor(ancestry, commit, merged))
    if unmerged is not None:
        tests.append(lambda commit: not is_ancestor(ancestry, commit, unmerged))
    if within is not None:
        tests.append(lambda commit: is_ancestor(ancestry, within, commit))
    if without is not None:
        tests.append(lambda commit: not is_ancestor(ancestry, without, commit))
    for ref in refs:
        commit_id = ref.commit_id
        if wanted.globs and not any(_matches(ref.short, glob) for glob in wanted.globs):
            continue
        if tests and (commit_id is None or not all(test(commit_id) for test in tests)):
            continue
        if wanted.points_at is not None and wanted.points_at not in (commit_id, ref.id):
            continue
        yield ref


def _matches(name: str, glob: str) -> bool:
    return fnmatchcase(name, glob) or fnmatchcase(name, f"{glob}/*")


def sorted_refs(refs: Iterator[RefInfo], key: str) -> list[RefInfo]:
    """Return refs by `refname`, `version`, or a date (`committerdate`, `creatordate`, ...); a `-` in front reverses.

    Raises:
        RequestError: for any other key.
    """
    name = key.removeprefix("-")
    keys: dict[str, Callable[[RefInfo], object]] = {
        "refname": lambda ref: ref.name,
        "version": lambda ref: _version(ref.short),
        "authordate": lambda ref: (ref.commit.author.time if ref.commit else 0, ref.name),
    }
    keys["version:refname"] = keys["v:refname"] = keys["version"]
    for date in ("committerdate", "creatordate", "taggerdate"):
        keys[date] = lambda ref: (ref.time, ref.name)
    if name not in keys:
        raise RequestError(f"refs cannot be sorted by {name!r}", hint=f"one of {', '.join(sorted(keys))}")
    return sorted(refs, key=keys[name], reverse=key.startswith("-"))  # type: ignore[arg-type]


def _version(name: str) -> list[tuple[int, int, str]]:
    import re

    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def check_free(view: View, name: str) -> None:
    """Refuse a name that would stand in the way of others: git can hold no branch `a` beside a branch `a/b`.

    Raises:
        RefExistsError: naming the other one.
    """
    prefix = HEADS if name.startswith(HEADS) else TAGS
    parts = name.removeprefix(prefix).split("/")
    for number in range(1, len(parts)):
        above = prefix + "/".join(parts[:number])
        if view.get(above) is not None:
            raise RefExistsError(
                f"{short_name(above)} exists, so there can be no {short_name(name)}", hint="choose another name"
            )
    below = next(view.items(name + "/"), None)
    if below is not None:
        raise RefExistsError(
            f"{short_name(below[0])} exists, so there can be no {short_name(name)}", hint="choose another name"
        )


def worktrees_on(view: View, branch: str) -> list[str]:
    """Return the ids of the worktrees that stand on a branch, given by its full name."""
    return [
        name.split("/")[1]
        for name, ref in view.items("worktrees/")
        if name.endswith("/HEAD") and ref == Symbolic(branch)
    ]
