"""Write dsvc's commits and tags as git's."""

from __future__ import annotations

import hashlib

from dsvc.gitbridge.gitcommit import GitCommit, GitTag, compose_commit, compose_tag, parse_commit, parse_tag
from dsvc.gitbridge.gitmap import GitMap
from dsvc.gitbridge.gitsource import BLOB, COMMIT, TAG, TREE, TYPE_NAMES
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.gitwriter import GitWriter
from dsvc.gitbridge.origin import commit_origin, tag_origin
from dsvc.gitbridge.packfile import object_header
from dsvc.gitbridge.recent import Recent
from dsvc.gitbridge.treeexport import Base, TreeExporter
from dsvc.objects.ids import CommitId, Kind, TagId, TreeId
from dsvc.progress import Progress
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import purged_files

_REMEMBERED_COMMITS = 20_000


class CommitExporter:
    """Commits on their way out."""

    def __init__(self, repo: Repository, writer: GitWriter, ids: GitMap, *, threshold: int) -> None:
        self.trees = TreeExporter(repo.store, writer, threshold=threshold, purged=purged_files(repo))
        self.count = 0
        self.warnings: list[str] = []
        self._repo = repo
        self._writer = writer
        self._map = ids
        self._known = ids.oids()
        self._done: dict[CommitId, Oid] = {}
        self._bases: Recent[Oid, Base] = Recent(_REMEMBERED_COMMITS)

    def commits(self, tips: list[CommitId], progress: Progress) -> None:
        """Export what tips reach, parents first."""
        self.trees.progress = progress
        stack = list(reversed(tips))
        while stack:
            commit_id = stack[-1]
            if commit_id in self._done:
                stack.pop()
                continue
            known = self._known.get(commit_id)
            if known is not None and self._writer.has(known):
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
            return self._writer.write(TAG, origin.raw)
        types = {Kind.COMMIT: COMMIT, Kind.TREE: TREE, Kind.CHUNK: BLOB, Kind.TAG: TAG}
        target_type = TYPE_NAMES[types[tag.target_kind]]
        return self._writer.write(TAG, compose_tag(GitTag(target, target_type, tag.name, tag.tagger, tag.message)))

    def _commit(self, commit_id: CommitId) -> Oid:
        commit = self._repo.commit(commit_id)
        parents = tuple(self._done[parent] for parent in commit.parents)
        base = self._base(parents[0], commit.parents[0]) if parents else None
        git = GitCommit(b"", parents, commit.author, commit.committer, commit.message)
        origin = commit_origin(commit)
        if origin is not None:
            tree = self.trees.tree(commit.tree, base, odd=origin.odd, native=False)
            git = git._replace(tree=tree)
            raw = compose_commit(git) if origin.raw is None else origin.raw
            named = git if origin.raw is None else parse_commit(raw)
            if (named.tree, named.parents) == (tree, parents) and _oid(COMMIT, raw) == origin.id:
                return self._write(raw, commit.tree, tree)
            self.warnings.append(
                f"commit {commit_id.hex()[:12]} was imported from git commit {origin.id.hex()[:12]} and cannot be "
                "exported as it was, because what it stands on has changed since; it gets a new id"
            )
        tree = self.trees.tree(commit.tree, base, native=True)
        return self._write(compose_commit(git._replace(tree=tree)), commit.tree, tree)

    def _write(self, raw: bytes, tree_id: TreeId, tree: Oid) -> Oid:
        oid = self._writer.write(COMMIT, raw)
        self._bases.set(oid, (tree_id, tree))
        return oid

    def _base(self, oid: Oid, commit_id: CommitId) -> Base:
        base = self._bases.get(oid)
        if base is None:
            base = self._repo.commit(commit_id).tree, parse_commit(self._writer.read(oid)).tree
        return base


def _oid(kind: int, data: bytes) -> Oid:
    return hashlib.sha1(object_header(kind, len(data)) + data, usedforsecurity=False).digest()
