"""Names that a disk does not tell apart: by case, or by Unicode normalisation."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dsvc.atomic import temporary_name
from dsvc.errors import RequestError
from dsvc.history.treediff import Change
from dsvc.objects import trees
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.worktree.sparse import Includes


class CollidingNamesError(RequestError):
    """Two names would fall together on this disk."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        shown = "".join(f"\n  {os.fsdecode(a)} and {os.fsdecode(b)}" for a, b in pairs[:10])
        super().__init__(
            f"this disk does not tell these names apart, so one file would overwrite the other:{shown}",
            hint="run it again with --map-names, which writes the second under another name here ('dsvc clone', "
            "'switch', 'checkout', 'restore' and 'merge' have it), or leave one out: "
            f"dsvc sparse set '!/{os.fsdecode(pairs[0][1])}', then the same command",
            details={"pairs": [[os.fsdecode(a), os.fsdecode(b)] for a, b in pairs]},
        )
        self.pairs = tuple(pairs)


def fold(name: bytes) -> str:
    """Return what names have in common that a case-insensitive, normalising disk takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", os.fsdecode(name)).casefold())


def find_collisions(
    store: NodeStore,
    tree_id: bytes,
    paths: Iterable[bytes],
    *,
    sparse: Includes | None = None,
    disk_names: Callable[[bytes], Mapping[bytes, bytes] | None] | None = None,
) -> None:
    """Refuse a tree in which names beside one of `paths` fall together with it.

    Names of which `sparse` checks nothing out do not count, and where `disk_names` has
    other names for a directory, those do.

    Raises:
        CollidingNamesError: naming both of each pair.
    """
    pairs: list[tuple[bytes, bytes]] = []
    directories = set()
    for path in paths:
        directory = path
        while directory:
            directory = directory.rpartition(b"/")[0]
            if directory in directories:
                break
            directories.add(directory)
    for directory in sorted(directories):
        entry = trees.lookup(store, tree_id, directory)
        if entry is None:
            continue
        seen: dict[str, bytes] = {}
        other_names = (disk_names(directory) if disk_names is not None else None) or {}
        for name, below in trees.entries(store, entry.id):
            if sparse is not None and not _checked_out(store, _join(directory, name), below, sparse):
                continue
            other = seen.setdefault(fold(other_names.get(name, name)), name)
            if other != name:
                pairs.append((_join(directory, other), _join(directory, name)))
    if pairs:
        raise CollidingNamesError(pairs)


def respelled(changes: Iterable[Change]) -> tuple[list[Change], frozenset[bytes]]:
    """Return changes, and the new paths among them that a disk which folds names takes for ones that go."""
    found = list(changes)
    going = {fold(path) for path, _, new in found if new is None}
    return found, frozenset(path for path, old, _ in found if old is None and fold(path) in going)


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _checked_out(store: NodeStore, path: bytes, entry: Entry, sparse: Includes) -> bool:
    if entry.kind != EntryKind.TREE:
        return sparse.includes(path)
    below = trees.walk(store, entry.id, path + b"/")
    return any(sparse.includes(p) for p, e in below if e.kind != EntryKind.TREE) or sparse.includes(path)


def tells_names_apart(folder: Path) -> bool:
    """Say whether the disk that holds `folder` tells upper from lower case and NFC from NFD, by trying."""
    stem = temporary_name("case")
    probe = folder / (stem + "a\u00e9")
    try:
        probe.touch()
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(folder)) from error  # nobody knows the file that is tried
    try:
        return not (folder / (stem + "A\u00e9")).exists() and not (folder / (stem + "ae\u0301")).exists()
    finally:
        probe.unlink()
