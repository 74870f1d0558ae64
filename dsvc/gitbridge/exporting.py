"""Write a history as git's."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dsvc.gitbridge.gitcommit import GitCommit, GitTag, compose_commit, compose_tag, parse_commit, parse_tag
from dsvc.gitbridge.gitmap import GitMap, load_map, ref_commits
from dsvc.gitbridge.gitsource import BLOB, COMMIT, TAG, TREE, TYPE_NAMES
from dsvc.gitbridge.gittarget import GitTarget
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.origin import commit_origin, tag_origin
from dsvc.gitbridge.packfile import object_header
from dsvc.gitbridge.recent import Recent
from dsvc.gitbridge.refexport import GitRefMove, RefusedMove, set_refs
from dsvc.gitbridge.treeexport import Base, TreeExporter
from dsvc.objects.ids import CommitId, Kind, TagId, TreeId
from dsvc.progress import Progress, Silent
from dsvc.refs.names import HEADS, TAGS
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

LFS_THRESHOLD = 10 << 20
_REMEMBERED_COMMITS = 20_000


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export did.

    `commits` were written; `moved` are git's refs that changed, `refused` those that were left, with the reason;
    `lost` holds the paths that git cannot hold, by the reason; `pointers` those that became LFS pointers now.
    """

    commits: int
    ids: Mapping[str, Oid]
    moved: tuple[GitRefMove, ...]
    refused: tuple[RefusedMove, ...]
    lost: Mapping[str, Collection[bytes]]
    pointers: Collection[bytes]
    warnings: tuple[str, ...]
    created: bool


def export_git(
    repo: Repository,
    git_path: Path,
    *,
    refs: Collection[str] | None = None,
    map_path: Path | None = None,
    lfs_threshold: int = LFS_THRESHOLD,
    force: bool = False,
    head: str = "heads/main",
    progress: Progress | None = None,
) -> ExportResult:
    """Write branches and tags (full names in `refs`; None: all) and all below them to the git repository at a path.

    Where nothing is at `git_path` a bare repository is made, with HEAD at `head`. What was imported and is unchanged
    gets its old ids. Commits made by dsvc keep files above `lfs_threshold` bytes as LFS pointers. Objects are durable
    before the first ref moves. A branch of git that would lose commits, and a tag that differs, move with `force`
    only; a branch that a working copy of git's stands on never does. Safe to call again.

    Raises:
        NotGitError, UnusableGitError: for the git repository. ObjectMissingError: where content is not stored here.
    """
    target = GitTarget(git_path, branch=head.removeprefix(HEADS))
    try:
        ids = load_map(repo, map_path)
        exporter = _Exporter(repo, target, ids, threshold=lfs_threshold)
        chosen = _chosen(repo, refs)
        (progress or Silent()).start("Exporting commits")
        exporter.commits(list(_commits_of(repo, chosen.values())), progress or Silent())
        (progress or Silent()).finish()
        wanted: dict[str, Oid] = {}
        for name, ref in chosen.items():
            oid = exporter.target_of(ref.kind, ref.id)
            if oid is None:
                exporter.warnings.append(f"{name} points to what git has no object for and was left out")
            else:
                wanted["refs/" + name] = oid
        target.flush()
        moved, refused = set_refs(target, wanted, force=force)
    finally:
        target.close()
    if map_path is not None:
        ids.tips = set(ref_commits(repo))
        ids.save(map_path)
    return ExportResult(
        exporter.count,
        wanted,
        tuple(moved),
        tuple(refused),
        exporter.trees.lost,
        exporter.trees.pointers,
        tuple(exporter.warnings),
        target.created,
    )


def _chosen(repo: Repository, refs: Collection[str] | None) -> dict[str, Direct]:
    view = repo.view()
    if refs is None:
        found = [item for prefix in (HEADS, TAGS) for item in view.items(prefix)]
    else:
        found = [(name, ref) for name in sorted(refs) if (ref := view.get(name)) is not None]
    return {name: ref for name, ref in found if isinstance(ref, Direct)}


def _commits_of(repo: Repository, refs: Collection[Direct]) -> Iterator[CommitId]:
    for ref in refs:
        kind, target = repo.peel(ref.kind, ref.id)
        if kind == Kind.COMMIT:
            yield CommitId(target)


class _Exporter:
    """Commits on their way out."""

    def __init__(self, repo: Repository, target: GitTarget, ids: GitMap, *, threshold: int) -> None:
        self.trees = TreeExporter(repo.store, target, threshold=threshold)
        self.count = 0
        self.warnings: list[str] = []
        self._repo = repo
        self._target = target
        self._map = ids
        self._known = ids.oids()
        self._done: dict[CommitId, Oid] = {}
        self._bases: Recent[Oid, Base] = Recent(_REMEMBERED_COMMITS)

    def commits(self, tips: list[CommitId], progress: Progress) -> None:
        """Export what tips reach, parents first."""
        stack = list(reversed(tips))
        while stack:
            commit_id = stack[-1]
            if commit_id in self._done:
                stack.pop()
                continue
            known = self._known.get(commit_id)
            if known is not None and self._target.has(known):
                self._done[commit_id] = known
                continue
            waiting = [p for p in self._repo.commit(commit_id).parents if p not in self._done]
            if waiting:
                stack += reversed(waiting)
                continue
            oid = self._commit(commit_id)
            self._done[commit_id] = oid
            self._map.commits.setdefault(oid, commit_id)
            self.count += 1
            progress.advance(items=1)

    def target_of(self, kind: Kind, object_id: bytes) -> Oid | None:
        """Export what a ref or a tag points to, whose commits are exported; None for what git has no object for."""
        if kind == Kind.COMMIT:
            return self._done[CommitId(object_id)]  # type: ignore[arg-type]
        if kind == Kind.TREE:
            return self.trees.tree(TreeId(object_id), None, native=False)  # type: ignore[arg-type]
        if kind == Kind.CHUNK:
            return self.trees.blob(object_id, 0)
        return self._tag(TagId(object_id)) if kind == Kind.TAG else None  # type: ignore[arg-type]

    def _tag(self, tag_id: TagId) -> Oid | None:
        tag = self._repo.tag(tag_id)
        target = self.target_of(tag.target_kind, tag.target)
        if target is None:
            return None
        origin = tag_origin(tag)
        if origin is not None and origin.raw is not None and parse_tag(origin.raw).target == target:
            return self._target.write(TAG, origin.raw)
        types = {Kind.COMMIT: COMMIT, Kind.TREE: TREE, Kind.CHUNK: BLOB, Kind.TAG: TAG}
        target_type = TYPE_NAMES[types[tag.target_kind]]
        return self._target.write(TAG, compose_tag(GitTag(target, target_type, tag.name, tag.tagger, tag.message)))

    def _commit(self, commit_id: CommitId) -> Oid:
        commit = self._repo.commit(commit_id)
        parents = tuple(self._done[parent] for parent in commit.parents)
        base = self._base(parents[0], commit.parents[0]) if parents else None
        git = GitCommit(b"", parents, commit.author, commit.committer, commit.message)
        origin = commit_origin(commit)
        if origin is not None:
            tree = self.trees.tree(commit.tree, base, odd=origin.odd, native=False)
            git = replace(git, tree=tree)
            raw = compose_commit(git) if origin.raw is None else origin.raw
            named = git if origin.raw is None else parse_commit(raw)
            if (named.tree, named.parents) == (tree, parents) and _oid(COMMIT, raw) == origin.id:
                return self._write(raw, commit.tree, tree)
            self.warnings.append(
                f"commit {commit_id.hex()[:12]} was imported from git commit {origin.id.hex()[:12]} and cannot be "
                "exported as it was, because what it stands on has changed since; it gets a new id"
            )
        tree = self.trees.tree(commit.tree, base, native=True)
        return self._write(compose_commit(replace(git, tree=tree)), commit.tree, tree)

    def _write(self, raw: bytes, tree_id: TreeId, tree: Oid) -> Oid:
        oid = self._target.write(COMMIT, raw)
        self._bases.set(oid, (tree_id, tree))
        return oid

    def _base(self, oid: Oid, commit_id: CommitId) -> Base:
        base = self._bases.get(oid)
        if base is None:
            base = self._repo.commit(commit_id).tree, parse_commit(self._target.read(oid)).tree
        return base


def _oid(kind: int, data: bytes) -> Oid:
    return hashlib.sha1(object_header(kind, len(data)) + data, usedforsecurity=False).digest()
