"""Signatures of git's own objects: what they cover, and whether an imported commit is what was signed."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from dsvc.gitbridge.gitcommit import GitCommit, compose_commit, parse_commit, parse_tag
from dsvc.gitbridge.gitsource import BLOB, COMMIT, TAG, TREE
from dsvc.gitbridge.gittree import EMPTY_TREE, MODES, GitEntry, GitTree, Oid, compose_tree
from dsvc.gitbridge.origin import commit_origin, tag_origin
from dsvc.gitbridge.packfile import object_header
from dsvc.objects import trees
from dsvc.objects.files import is_small
from dsvc.objects.ids import CommitId, Kind, TagId, TreeId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.objects.values import Commit, Tag
from dsvc.repo.repository import Repository

NAMESPACE = "git"
_HEADER = re.compile(rb"^gpgsig(?:-sha256)? (?:.*\n)(?: .*\n)*", re.MULTILINE)
_BEGIN = re.compile(rb"^-----BEGIN (?:SSH SIGNATURE|PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE)-----$", re.MULTILINE)


class GitSignature(NamedTuple):
    """A signature that git made: the object it belongs to, the bytes it covers, and the signature itself."""

    id: Oid
    payload: bytes
    signature: bytes


def commit_signature(commit: Commit) -> GitSignature | None:
    """Return the signature of the git commit that this one was imported from, None where it has none.

    The bytes are those that the import kept; that they belong to this commit is for `commit_differs` to say.
    """
    origin = commit_origin(commit)
    if origin is None or origin.raw is None:
        return None
    head, gap, message = origin.raw.partition(b"\n\n")
    headers = head + b"\n"
    found = re.search(rb"^gpgsig (?P<text>.*\n(?: .*\n)*)", headers, re.MULTILINE)
    if found is None:
        return None
    signature = found["text"].replace(b"\n ", b"\n")
    payload = _HEADER.sub(b"", headers).removesuffix(b"\n") + gap + message
    return GitSignature(origin.id, payload, signature)


def tag_signature(tag: Tag) -> GitSignature | None:
    """Return the signature of the git tag that this one was imported from, None where it has none."""
    origin = tag_origin(tag)
    if origin is None or origin.raw is None:
        return None
    begins = [found.start() for found in _BEGIN.finditer(origin.raw)]
    if not begins:
        return None
    return GitSignature(origin.id, origin.raw[: begins[-1]], origin.raw[begins[-1] :])


class GitIds:
    """Computes what git would call files and trees, by reading them; each once."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._trees: dict[bytes, Oid] = {}
        self._blobs: dict[bytes, Oid] = {}

    def commit_differs(self, commit: Commit) -> str | None:
        """Say in what a commit is not the git commit that its signature covers; None where it is that one.

        Compares message, people, parents (by the ids that they were imported from) and all files. Files that are LFS
        pointers in git, and modes that git does not write any more, differ too.
        """
        origin = commit_origin(commit)
        if origin is None:
            return "it was not imported from git"
        parents = [self._imported_from(parent) for parent in commit.parents]
        known = tuple(parent for parent in parents if parent is not None)
        same = GitCommit(self.tree(commit.tree), known, commit.author, commit.committer, commit.message)
        raw = compose_commit(same) if origin.raw is None else origin.raw
        git = parse_commit(raw)
        if (git.author, git.committer, git.message) != (commit.author, commit.committer, commit.message):
            return "its message or people are not those of git's commit"
        if list(git.parents) != parents:
            return "its parents are not those of git's commit"
        if git.tree != same.tree:
            return "its files are not those of git's commit, byte for byte"
        return None if _oid(COMMIT, raw) == origin.id else "it is not the git commit that it is said to be"

    def tag_differs(self, tag: Tag) -> str | None:
        """Say in what a tag is not the git tag that its signature covers; None where it is that one."""
        origin = tag_origin(tag)
        if origin is None or origin.raw is None or _oid(TAG, origin.raw) != origin.id:
            return "git's bytes are not those of the tag they are said to be"
        git = parse_tag(origin.raw)
        if (git.name, git.tagger, git.message) != (tag.name, tag.tagger, tag.message):
            return "its name, message or tagger are not those of git's tag"
        if tag.target_kind == Kind.COMMIT:
            reason = self.commit_differs(self._repo.commit(CommitId(tag.target)))
            if reason is not None:
                return f"of the commit that it marks: {reason}"
        return None if self._target(tag) == git.target else "it marks something else than git's tag"

    def tree(self, tree_id: TreeId) -> Oid:
        """Return git's id of a tree."""
        known = self._trees.get(tree_id)
        if known is None:
            entries: dict[bytes, GitEntry] = {}
            for name, entry in trees.entries(self._repo.store, tree_id):
                oid = self._entry(entry)
                if oid is not None and oid != EMPTY_TREE:
                    entries[name] = MODES[EntryKind(entry.kind)], oid
            known = self._trees[tree_id] = _oid(TREE, compose_tree(GitTree(entries, None)))
        return known

    def _entry(self, entry: Entry) -> Oid | None:
        if entry.kind == EntryKind.TREE:
            return self.tree(TreeId(entry.id))  # type: ignore[arg-type]
        if entry.kind in CONTENT_KINDS:
            return self._blob(entry.id, entry.size)
        return entry.id if entry.kind == EntryKind.GITLINK and len(entry.id) == len(EMPTY_TREE) else None

    def _blob(self, file_id: bytes, size: int) -> Oid:
        known = self._blobs.get(file_id)
        if known is None:
            store = self._repo.store
            digest = hashlib.sha1(object_header(BLOB, size), usedforsecurity=False)
            for piece in [store.read_file(file_id)] if is_small(size) else store.file_chunks(file_id):
                digest.update(piece)
            known = self._blobs[file_id] = digest.digest()
        return known

    def _target(self, tag: Tag) -> Oid | None:
        match tag.target_kind:
            case Kind.COMMIT:
                return self._imported_from(CommitId(tag.target))
            case Kind.TAG:
                inner = self._repo.tag(TagId(tag.target))
                origin = tag_origin(inner)
                return origin.id if origin is not None and self.tag_differs(inner) is None else None
            case Kind.TREE:
                return self.tree(TreeId(tag.target))
        return self._blob(tag.target, self._repo.store.file_size(tag.target))

    def _imported_from(self, commit_id: CommitId) -> Oid | None:
        origin = commit_origin(self._repo.commit(commit_id))
        return origin.id if origin is not None else None


def _oid(kind: int, data: bytes) -> Oid:
    return hashlib.sha1(object_header(kind, len(data)) + data, usedforsecurity=False).digest()
