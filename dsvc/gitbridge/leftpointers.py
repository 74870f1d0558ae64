"""LFS pointers that an import with --lfs found in commits which had come without."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.gitbridge.lfs import MAX_POINTER, parse_pointer
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import FILE_KINDS
from dsvc.refs.names import short_name
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

_LEAST = 100  # bytes; no pointer is shorter
_TRIED = 2000  # files in all that are read; it is a warning, and may be missed where so many are so small


def left_pointers(repo: Repository, targets: Mapping[str, Direct]) -> str | None:
    """Return the warning that a ref still shows pointers, None where none does."""
    tried = 0
    seen: set[TreeId] = set()
    for name, ref in sorted(targets.items()):
        kind, target = repo.peel(ref.kind, ref.id)
        if kind != Kind.COMMIT:
            continue
        tree = repo.commit(CommitId(ObjectId(target))).tree
        if tree in seen:
            continue
        seen.add(tree)
        for path, entry in trees.walk(repo.store, tree):
            if entry.kind not in FILE_KINDS or not _LEAST <= entry.size <= MAX_POINTER:
                continue
            if (tried := tried + 1) > _TRIED:
                return None
            if parse_pointer(repo.store.read_file(entry.id)) is not None:
                shown = path.decode("utf-8", "backslashreplace")
                return (
                    f"{short_name(name)} still has LFS pointers, such as {shown}: it was brought without --lfs before, "
                    "and commits that are here stay as they are; with --lfs into a new repository all get their content"
                )
    return None
