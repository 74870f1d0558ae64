"""Three-way merge of trees, with renames of files and of directories.

What only one side changed is taken as it is, whole directories by their id. Renames are looked for only where they
matter: when one side changed a file, or added to a directory, that the other side no longer has under its old name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from dsvc.history.datasets import close_indexed, open_indexed
from dsvc.history.mergeentry import EntryMerger, Labels, MergeContent, MergeReference
from dsvc.history.mergerenames import MergeRenames, find_renames
from dsvc.history.mergeresult import assemble
from dsvc.history.mergewalk import Triple, divide
from dsvc.history.mergework import Conflict, MergeWork
from dsvc.history.renames import LIMIT, RenameLimit, Similar
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import FILE_KINDS

_SMALL: Final = 8 << 20  # bytes; whether larger files are read is for those who merge them to say


class TreeMerge(NamedTuple):
    """A merged tree, which is stored but not flushed, and what stands in the way of calling it done.

    `merged` are the paths whose contents were put together, `moved` the (old, new) paths of files that followed a
    renamed directory, `split` directories that went to several places, `limit` says that renames may be missed,
    `notes` what is worth telling of single files.
    """

    tree: TreeId
    conflicts: tuple[Conflict, ...]
    merged: tuple[bytes, ...] = ()
    moved: tuple[tuple[bytes, bytes], ...] = ()
    split: tuple[bytes, ...] = ()
    limit: RenameLimit | None = None
    notes: tuple[str, ...] = ()


def merge_trees(
    store: ObjectStore,
    base: TreeId | None,
    ours: TreeId,
    theirs: TreeId,
    *,
    content: MergeContent,
    labels: Labels | None = None,
    similar: Similar | None = None,
    reference: MergeReference | None = None,
    renames: bool = True,
    limit: int = LIMIT,
    depth: int = 0,
) -> TreeMerge:
    """Merge the changes from `base` to `theirs` into `ours`; nothing outside of the store is touched.

    `content` merges files, `reference` what is kept elsewhere (datasets that it leaves are merged by their files where
    those are indexed on all sides), `similar` compares texts for renames. `depth` is above
    0 for the base of a base, where conflicts are not kept beside each other and directories are not followed.
    """
    if theirs in (ours, base):
        return TreeMerge(ours, ())
    if base == ours:
        return TreeMerge(theirs, ())
    labels = labels or Labels()
    divided = divide(store, base, ours, theirs)
    differing = [triple.path for triple in divided.both]
    (base, ours, theirs), datasets = open_indexed(store, (base, ours, theirs), differing, reference)
    if datasets:
        divided = divide(store, base, ours, theirs)
    found = MergeRenames()
    if renames and base is not None:
        sides = (ours, theirs)
        found = find_renames(store, base, sides, divided, similar=similar, limit=limit, directories=not depth)
    _bring_together(store, divided.both)
    merger = EntryMerger(content, labels, reference, depth, ours)
    work = MergeWork(store, (base, ours, theirs), divided, found, merger)
    work.run()
    tree = assemble(
        store,
        (base, ours, theirs),
        taken=divided.taken,
        results=work.results,
        removed=[path for side in divided.removed for path in side],
        moved=work.moved,
    )
    if datasets:
        tree, folders = close_indexed(store, tree, datasets)
        shown = (path.decode("utf-8", "replace") for path in folders)
        work.notes += [f"{path} was merged by its files, and is a folder of files now, no dataset" for path in shown]
    conflicts = sorted(work.conflicts, key=lambda conflict: conflict.path)
    return TreeMerge(
        tree,
        tuple(conflicts),
        merged=tuple(sorted(work.merged)),
        moved=tuple(sorted(work.moved.items())),
        split=found.split,
        limit=found.limit,
        notes=tuple(work.notes),
    )


def _bring_together(store: ObjectStore, both: Iterable[Triple]) -> None:
    """In a partial clone fetch at once the files that are merged by content, elsewhere do nothing."""
    sides = (entries for _, *entries in both)
    store.complete(
        entry.id
        for base, ours, theirs in sides
        if ours is not None and theirs is not None and ours.id != theirs.id
        for entry in (base, ours, theirs)
        if entry is not None and entry.kind in FILE_KINDS and entry.size <= _SMALL
    )
