"""The renames that a three-way merge has to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dsvc.history.dirrenames import DirectoryRenames, directory_renames
from dsvc.history.mergewalk import OURS, THEIRS, Divided
from dsvc.history.renames import Rename, RenameLimit, Renames, Similar, detect
from dsvc.history.treediff import Change, diff_trees, directory_of
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry

_NO_DIRECTORIES = DirectoryRenames({})


class MergeRenames(NamedTuple):
    """Per side (ours, theirs): renamed files by old path, renamed directories, and files that it added.

    Files are those whose old path matters to the other side. `additions` is filled for a side only where the other
    side renamed directories.
    """

    files: tuple[Mapping[bytes, Rename], Mapping[bytes, Rename]] = ({}, {})
    directories: tuple[DirectoryRenames, DirectoryRenames] = (_NO_DIRECTORIES, _NO_DIRECTORIES)
    additions: tuple[Mapping[bytes, Entry], Mapping[bytes, Entry]] = ({}, {})
    split: tuple[bytes, ...] = ()
    limit: RenameLimit | None = None


def find_renames(
    store: ObjectStore,
    base: TreeId,
    sides: tuple[TreeId, TreeId],
    divided: Divided,
    *,
    similar: Similar | None,
    limit: int,
    directories: bool,
) -> MergeRenames:
    """Find the renames of both sides that the merge has to know; a side where none can matter is not looked at."""
    changes: list[list[Change] | None] = [None, None]

    def changes_of(side: int) -> list[Change]:
        known = changes[side]
        if known is None:
            known = changes[side] = divided.changes_of(store, side)
        return known

    found: list[Renames] = []
    moved: list[DirectoryRenames] = []
    for side in (OURS, THEIRS):
        wanted = _gone(store, divided, side)
        below = {
            path
            for directory in (divided.removed[side] if directories else ())
            for path, _, _ in diff_trees(store, base, None, paths=[directory])
        }
        wanted |= below
        if not wanted:
            found.append(Renames((), ()))
            moved.append(_NO_DIRECTORIES)
            continue
        renames = detect(
            changes_of(side),
            similar=similar,
            parts=store,
            limit=limit,
            empty_files=False,
            sources=wanted,
        )
        found.append(Renames(tuple(r for r in renames.renames if r.old_path in wanted), (), renames.limit))
        moved.append(_directories(store, renames, sides[side], below))
    both = moved[OURS].renames.keys() & moved[THEIRS].renames.keys()
    pair = (moved[OURS].without(both), moved[THEIRS].without(both))
    additions: list[dict[bytes, Entry]] = [{}, {}]
    for side in (OURS, THEIRS):
        if pair[1 - side].renames:
            additions[side] = {c.path: c.new for c in changes_of(side) if c.old is None and c.new is not None
                               and directory_of(c.new) is None}  # fmt: skip
    files = tuple({rename.old_path: rename for rename in found[side].renames} for side in (OURS, THEIRS))
    limits = [renames.limit for renames in found if renames.limit is not None]
    return MergeRenames(
        (files[0], files[1]),
        pair,
        (additions[0], additions[1]),
        tuple(sorted({*moved[OURS].split, *moved[THEIRS].split})),
        max(limits, key=lambda hit: hit.candidates) if limits else None,
    )


def _gone(store: ObjectStore, divided: Divided, side: int) -> set[bytes]:
    """Return the paths of files that `side` removed and the other side removed too or changed."""
    wanted = {triple.path for triple in divided.both if triple.base is not None and triple[2 + side] is None}
    for path, old, new in divided.alike:
        tree = directory_of(old)
        if tree is None:
            wanted.add(path)
        else:
            wanted |= {path + b"/" + c.path for c in diff_trees(store, tree, directory_of(new)) if c.new is None}
    return wanted


def _directories(store: ObjectStore, renames: Renames, tree: TreeId, below: set[bytes]) -> DirectoryRenames:
    if not below:
        return _NO_DIRECTORIES
    from_there = [rename for rename in renames.renames if rename.old_path in below]
    return directory_renames(
        from_there, lambda directory: directory_of(trees.lookup(store, tree, directory)) is None
    )


def is_below(path: bytes, directory: bytes) -> bool:
    """Say whether a path lies below a directory."""
    return path.startswith(directory + b"/")
