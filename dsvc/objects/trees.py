"""Directories as sorted maps: read, write and change them by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from dsvc.errors import IntegrityError
from dsvc.objects import mapdiff, mapedit, sortedmap
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, TreeId
from dsvc.objects.reference import decode_reference
from dsvc.objects.sortedmap import MapKind, NodeStore
from dsvc.objects.tree import Entry, EntryKind, check_names

MAX_DEPTH = 2048  # a path of at most 4,096 bytes has no more names
_GIT_IDS = (20, 32)
_CHECKED_TOGETHER = 1024


class TooDeepError(IntegrityError):
    """A directory holds directories in directories without reasonable end."""


_check_names = lru_cache(maxsize=64)(check_names)  # versions of a directory mostly have the same names


def _check(names: Sequence[bytes], values: Sequence[Any]) -> None:
    _check_names(tuple(names))
    if not _are_plain(values):
        _check_each(values)


def _are_plain(values: Sequence[Any]) -> bool:
    """Say whether all values are well-formed entries with ids of our own length; by columns, for speed."""
    if set(map(type, values)) != {tuple} or set(map(len, values)) != {3}:
        return not values
    kinds, targets, sizes = zip(*values, strict=True)
    return (
        set(map(type, kinds)) == {int}
        and set(map(type, targets)) == {bytes}
        and set(map(type, sizes)) == {int}
        and set(map(len, targets)) == {ID_LENGTH}
        and min(sizes) >= 0
        and min(kinds) >= 1
        and max(kinds) <= EntryKind.SNAPSHOT
        and EntryKind.REFERENCE not in kinds
    )


def _check_each(values: Sequence[Any]) -> None:
    for value in values:
        if type(value) is not tuple or len(value) != 3:
            raise BadEncodingError("a directory entry is not of its form")
        kind, target, size = value
        if type(kind) is not int or type(target) is not bytes or type(size) is not int or size < 0:
            raise BadEncodingError("a directory entry is not of its form")
        if not 1 <= kind <= EntryKind.SNAPSHOT:
            raise BadEncodingError(f"a directory entry has the unknown kind {kind}")
        if kind == EntryKind.REFERENCE:
            if decode_reference(target).size != size:
                raise BadEncodingError("a directory entry and its reference differ in size")
        elif len(target) != ID_LENGTH and not (kind == EntryKind.GITLINK and len(target) in _GIT_IDS):
            raise BadEncodingError("a directory entry has an id of a wrong length")


TREES = MapKind(Kind.TREE, lambda entry: entry[2], _check)


def write_tree(store: NodeStore, entries: Iterable[tuple[bytes, Entry]]) -> Entry:
    """Store the directory with these entries, in ascending order of names; return the entry for its parent.

    Raises:
        BadNameError: for a name that the decoder would refuse; nothing that refers to it is stored then.
    """
    root = sortedmap.build(store, TREES, _with_checked_names(entries))
    return Entry(EntryKind.TREE, root.id, root.weight)


def _with_checked_names(entries: Iterable[tuple[bytes, Entry]]) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries, checked some at a time: a directory of a million files is never held as a list."""
    stream = iter(entries)
    while batch := list(islice(stream, _CHECKED_TOGETHER)):
        check_names([name for name, _ in batch])
        yield from batch


def tree_entry(store: NodeStore, tree_id: bytes) -> Entry:
    """Return the entry that a parent directory holds for this tree."""
    root = sortedmap.root_of(store, TREES, ObjectId(tree_id))
    return Entry(EntryKind.TREE, root.id, root.weight)


def entries(store: NodeStore, tree_id: bytes) -> Iterator[tuple[bytes, Entry]]:
    """Yield (name, entry) of a directory in order of names."""
    for name, value in sortedmap.items(store, TREES, ObjectId(tree_id)):
        yield name, Entry._make(value)


def lookup(store: NodeStore, tree_id: bytes, path: bytes) -> Entry | None:
    """Return what lies at a `/`-separated path below a tree, or None; the empty path is the tree itself."""
    entry: Entry | None = None
    for name in path.split(b"/") if path else ():
        if entry is not None and entry.kind != EntryKind.TREE:
            return None
        value = sortedmap.get(store, TREES, ObjectId(entry.id if entry else tree_id), name)
        if value is None:
            return None
        entry = Entry._make(value)
    return entry if entry is not None else tree_entry(store, tree_id)


def walk(store: NodeStore, tree_id: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
    """Yield (path, entry) of everything below a tree, a directory before its content, depth first.

    Raises:
        TooDeepError: where directories lie in each other deeper than any path of a working copy.
    """
    stack = [(prefix, entries(store, tree_id))]
    while stack:
        folder, inside = stack[-1]
        found = next(inside, None)
        if found is None:
            stack.pop()
            continue
        name, entry = found
        yield folder + name, entry
        if entry.kind == EntryKind.TREE:
            if len(stack) == MAX_DEPTH:
                raise TooDeepError(f"directories lie in each other deeper than {MAX_DEPTH} levels")
            stack.append((folder + name + b"/", entries(store, entry.id)))


def differences(store: NodeStore, old: bytes, new: bytes) -> Iterator[tuple[bytes, Entry | None, Entry | None]]:
    """Yield (name, old entry, new entry) of the names in which two directories differ; not recursive."""
    for name, a, b in mapdiff.diff(store, TREES, ObjectId(old), ObjectId(new)):
        yield name, Entry._make(a) if a else None, Entry._make(b) if b else None


def edit_tree(store: NodeStore, tree_id: bytes, changes: Mapping[bytes, Entry | None]) -> Entry:
    """Put entries at paths below a tree (None removes), creating directories; return the new root's entry.

    A directory that loses its last entry by this stays, empty: the caller decides. An entry put where a directory
    stands replaces it, and a directory replaces a file that stands in its way.

    Raises:
        BadNameError: for a path with a name that the decoder would refuse.
    """
    here: dict[bytes, Entry | None] = {}
    below: dict[bytes, dict[bytes, Entry | None]] = {}
    for path, entry in changes.items():
        name, inside, rest = path.partition(b"/")
        if inside:
            below.setdefault(name, {})[rest] = entry
        else:
            here[name] = entry
    check_names([*here, *below])
    for name, inner in below.items():
        present = here.get(name) if name in here else lookup(store, tree_id, name)
        if present is not None and present.kind == EntryKind.TREE:
            here[name] = edit_tree(store, present.id, inner)
        elif any(entry is not None for entry in inner.values()):
            here[name] = edit_tree(store, empty_tree(store), inner)
    root = mapedit.update(store, TREES, ObjectId(tree_id), here.items())
    return Entry(EntryKind.TREE, root.id, root.weight)


def empty_tree(store: NodeStore) -> TreeId:
    """Store the empty directory and return its id."""
    return TreeId(write_tree(store, ()).id)  # type: ignore[arg-type]
