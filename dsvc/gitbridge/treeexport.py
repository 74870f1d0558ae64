"""Write dsvc's trees and files as git's, by the cost of what changed from one commit to the next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from dsvc.contents.attributes import GIT_FILE_NAME, NO_ATTRIBUTES, attributes_of_tree
from dsvc.gitbridge.gitsource import BLOB, TREE
from dsvc.gitbridge.gittree import (
    EMPTY_TREE,
    MODES,
    GitEntry,
    GitTree,
    Oid,
    compose_tree,
    fits,
    kind_of,
    parse_tree,
)
from dsvc.gitbridge.gitwriter import GitWriter
from dsvc.gitbridge.lfs import MAX_POINTER, Pointer, parse_pointer
from dsvc.gitbridge.origin import Oddities
from dsvc.gitbridge.recent import Recent
from dsvc.objects import trees
from dsvc.objects.files import is_small
from dsvc.objects.ids import TreeId, content_id
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, FILE_KINDS, Entry, EntryKind
from dsvc.progress import Progress, Silent

_REMEMBERED = 50_000
_REMEMBERED_ENTRIES = 20_000  # of parsed git trees

Base = tuple[TreeId, Oid]  # a dsvc tree and the git tree that it was exported as


@dataclass(slots=True)
class _Odd:
    """Oddities by folder: what is recorded for this path itself, if anything, and for what lies below it."""

    recorded: bool = False
    value: bytes | None = None
    below: dict[bytes, _Odd] = field(default_factory=dict)

    def names(self) -> Collection[bytes]:
        """Return the names that a directory's listing has."""
        return {item.partition(b" ")[2] for item in (self.value or b"").split(b"\0")} if self.recorded else ()


def _nested(odd: Oddities | None) -> _Odd | None:
    if not odd:
        return None
    root = _Odd()
    for path, value in odd.items():
        at = root
        for name in path.split(b"/") if path else ():
            at = at.below.setdefault(name, _Odd())
        at.recorded, at.value = True, value
    return root


class TreeExporter:
    """Dsvc trees into git trees.

    `lost` gathers the paths that git cannot hold, by the reason; `pointers` the paths that became LFS pointers.
    """

    def __init__(
        self, store: ObjectStore, writer: GitWriter, *, threshold: int, purged: Collection[bytes] = ()
    ) -> None:
        """Files of more than `threshold` bytes become LFS pointers, in commits that were not imported.

        Files in `purged` whose content is not there any more are left out.
        """
        self._store = store
        self._purged = frozenset(purged)
        self._writer = writer
        self._threshold = threshold
        self._blobs: Recent[bytes, Oid] = Recent(_REMEMBERED)
        self._pointers: Recent[bytes, bytes] = Recent(_REMEMBERED)
        self._trees: Recent[tuple[bytes, bool], Oid] = Recent(_REMEMBERED)
        self._parsed: Recent[Oid, GitTree] = Recent(_REMEMBERED_ENTRIES)
        self._native = False
        self.progress: Progress = Silent()  # hears of the bytes of contents
        self.lost: dict[str, set[bytes]] = {}
        self.pointers: set[bytes] = set()
        self.unmarked: set[bytes] = set()  # pointers for which git-lfs would not know that they are some
        self._attributes = NO_ATTRIBUTES

    def tree(self, tree_id: TreeId, base: Base | None, *, odd: Oddities | None = None, native: bool) -> Oid:
        """Write a root tree and all below it that git lacks; return its id.

        `base` is what the first parent has, from which everything unchanged is taken over. `native` says that the
        commit was made by dsvc: large files become LFS pointers then, and so does what replaces a pointer.
        """
        self._native = native
        self._attributes = attributes_of_tree(self._store, tree_id, name=GIT_FILE_NAME)
        oid = self._tree(tree_id, base, _nested(odd), b"")
        return self._writer.write(TREE, b"") if oid == EMPTY_TREE else oid

    def blob(self, file_id: bytes, size: int) -> Oid:
        """Write a file's content and return the blob's id."""
        oid = self._blobs.get(file_id)
        if oid is None:
            if is_small(size):
                oid = self._writer.write(BLOB, self._store.read_file(file_id))
            else:
                oid = self._writer.write_stream(BLOB, size, self._store.file_chunks(file_id))
            self.progress.advance(size=size)
            self._blobs.set(file_id, oid)
        return oid

    def _tree(self, tree_id: TreeId, base: Base | None, odd: _Odd | None, path: bytes) -> Oid:
        if odd is None:
            known = base[1] if base is not None and base[0] == tree_id else None
            known = self._trees.get((tree_id, self._native)) if base is None else known
            if known is not None:
                return known
        before = self._parse(base[1]) if base is not None else GitTree({}, None)
        entries = dict(before.entries)
        kept = odd.names() if odd is not None else ()
        for name, old, new in self._changes(tree_id, base, odd):
            below = path + b"/" + name if path else name
            inner = odd.below.get(name) if odd is not None else None
            made = self._entry(old, new, before.entries.get(name), inner, below) if new is not None else None
            if made is not None and made[1] == EMPTY_TREE:
                if name in kept:
                    self._writer.write(TREE, b"")
                else:
                    self._lose("empty folders", below)
                    made = None
            if made is None:
                entries.pop(name, None)
            else:
                entries[name] = made
        if not entries:
            return EMPTY_TREE
        listing = odd.value if odd is not None and odd.recorded else before.listing
        tree = GitTree(entries, listing if listing is not None and fits(listing, entries) else None)
        oid = self._writer.write(TREE, compose_tree(tree))
        self._parsed.set(oid, tree, weight=1 + len(entries))
        if base is None and odd is None:
            self._trees.set((tree_id, self._native), oid)
        return oid

    def _changes(
        self, tree_id: TreeId, base: Base | None, odd: _Odd | None
    ) -> list[tuple[bytes, Entry | None, Entry | None]]:
        """Return (name, old, new) of the names to look at: what differs, and what has oddities."""
        if base is None:
            return [(name, None, entry) for name, entry in trees.entries(self._store, tree_id)]
        changes = list(trees.differences(self._store, base[0], tree_id))
        if odd is not None:
            changed = {name for name, _, _ in changes}
            for name in odd.below.keys() - changed:
                entry = trees.lookup(self._store, tree_id, name)
                if entry is not None:
                    changes.append((name, entry, entry))
        return changes

    def _entry(
        self, old: Entry | None, new: Entry, before: GitEntry | None, odd: _Odd | None, path: bytes
    ) -> GitEntry | None:
        kind = EntryKind(new.kind)
        if kind == EntryKind.TREE:
            base: Base | None = None
            if old is not None and old.kind == kind and before is not None and kind_of(before[0]) == kind:
                base = TreeId(old.id), before[1]  # type: ignore[arg-type]
            return MODES[kind], self._tree(TreeId(new.id), base, odd, path)  # type: ignore[arg-type]
        if kind == EntryKind.GITLINK:
            if len(new.id) == len(EMPTY_TREE):
                return MODES[kind], new.id
            self._lose("links to git commits by SHA-256", path)
            return None
        if kind not in CONTENT_KINDS:
            self._lose("references to content kept elsewhere", path)
            return None
        if new.id in self._purged and not self._store.has_file(new.id):
            self._lose("what was purged", path)
            return None
        if kind in FILE_KINDS:
            if odd is not None and odd.recorded:
                if odd.value is not None:
                    return MODES[kind], self._writer.write(BLOB, self._pointer(new, odd.value))
            elif self._native:
                if old is not None and before is not None and old.id == new.id and old.kind in FILE_KINDS:
                    return MODES[kind], before[1]
                if new.size > self._threshold or self._was_pointer(old, before):
                    self.pointers.add(path)
                    if self._attributes.of(path).get("filter") != "lfs":
                        self.unmarked.add(path)
                    return MODES[kind], self._writer.write(BLOB, self._pointer(new, b""))
        return MODES[kind], self.blob(new.id, new.size)

    def _parse(self, oid: Oid) -> GitTree:
        found = self._parsed.get(oid)
        if found is None:
            found = parse_tree(self._writer.read(oid))
            self._parsed.set(oid, found, weight=1 + len(found.entries))
        return found

    def _was_pointer(self, old: Entry | None, before: GitEntry | None) -> bool:
        """Say whether git has a pointer where dsvc had the content it names."""
        if old is None or before is None or kind_of(before[0]) not in FILE_KINDS or old.kind not in FILE_KINDS:
            return False
        if self._writer.size(before[1]) > MAX_POINTER:
            return False
        data = self._writer.read(before[1])
        return parse_pointer(data) is not None and content_id(data) != old.id

    def _pointer(self, entry: Entry, text: bytes) -> bytes:
        """Make sure that git's LFS folder has a file's content; return the pointer, `text` where it is given."""
        known = self._pointers.get(entry.id)
        if known is None:
            given: Pointer | None = parse_pointer(text) if text else None
            if given is None or not self._writer.lfs.has(given):
                given = self._writer.lfs.write(self._store.file_chunks(entry.id))
            known = given.encode()
            self._pointers.set(entry.id, known)
        return text or known

    def _lose(self, reason: str, path: bytes) -> None:
        self.lost.setdefault(reason, set()).add(path)
