"""Merge what stands at one path: kinds, executable bits, contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from dsvc.objects.ids import TreeId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind

ConflictKind: TypeAlias = Literal[
    "content",  # both sides changed the same lines
    "add/add",
    "modify/delete",
    "rename/delete",
    "rename/rename",  # one file got two names
    "rename/add",  # two files came to one name by renames
    "file/directory",
    "binary",  # content that cannot be merged: both are kept beside each other
    "mode",
    "symlink",
    "kinds",  # a file against a link, or the like
    "reference",  # submodules, datasets and other content that is kept elsewhere
    "directory rename",  # a directory's rename would put a file where another one stands
]


class Labels(NamedTuple):
    """What the three sides are called in conflict markers and in names beside each other."""

    base: bytes = b"base"
    ours: bytes = b"ours"
    theirs: bytes = b"theirs"

    def of(self, side: int) -> bytes:
        """Return the label of side 0 (ours) or 1 (theirs) for a file's name: without what is in brackets behind it."""
        return (self.ours, self.theirs)[side].partition(b" (")[0]


class ContentRequest(NamedTuple):
    """Two versions of a file to merge, and the one they come from; None where both sides added it.

    Labels name the path too where it differs between the sides. `depth` counts how deep a base of bases this is: 0
    for the merge that the user sees. `tree` is the whole tree that `ours` is of.
    """

    path: bytes
    base: Entry | None
    ours: Entry
    theirs: Entry
    base_label: bytes
    ours_label: bytes
    theirs_label: bytes
    depth: int = 0
    tree: TreeId | None = None


class MergedContent(NamedTuple):
    """A merged file that was stored: its id, length, and how many conflicts are marked in it.

    With `apart` it could not be merged, and both sides are kept beside each other. `notes` are for people.
    """

    id: bytes
    size: int
    conflicts: int = 0
    apart: bool = False
    notes: tuple[str, ...] = ()


MergeContent: TypeAlias = Callable[[ContentRequest], MergedContent | None]
"""Merges files; None says that this content cannot be merged (binary, too large), and both sides are kept."""

MergeReference: TypeAlias = Callable[[bytes, Entry | None, Entry, Entry], Entry | None]
"""Merges (path, base, ours, theirs) of a kind whose content is kept elsewhere; None says conflict."""


class Versions(NamedTuple):
    """The three versions of one file, each with the path at which it stood."""

    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    base_path: bytes
    ours_path: bytes
    theirs_path: bytes

    def side(self, number: int) -> Entry | None:
        """Return the version of side 0 (ours) or 1 (theirs)."""
        return self.theirs if number else self.ours


class EntryMerge(NamedTuple):
    """The merged entry (None: nothing), the kind of conflict if there is one, and what to keep beside it.

    `beside` holds theirs where the two could not become one. `merged` says that contents were put together,
    `notes` what is worth saying of that.
    """

    entry: Entry | None
    conflict: ConflictKind | None = None
    beside: Entry | None = None
    merged: bool = False
    notes: tuple[str, ...] = ()


class EntryMerger(NamedTuple):
    """How entries are merged: by these callbacks, under these labels."""

    content: MergeContent
    labels: Labels
    reference: MergeReference | None = None
    depth: int = 0
    tree: TreeId | None = None

    def merge(self, path: bytes, versions: Versions) -> EntryMerge:
        """Merge the versions of one file, which goes to `path`."""
        base, ours, theirs = versions.base, versions.ours, versions.theirs
        if ours == theirs or _same(base, theirs):
            return EntryMerge(ours)
        if _same(base, ours):
            return EntryMerge(theirs)
        if ours is None or theirs is None:
            if base is None:
                return EntryMerge(ours or theirs)
            # Inside a base of bases the older state is less likely to conflict again.
            return EntryMerge(base if self.depth else ours or theirs, "modify/delete")
        if ours.kind in FILE_KINDS and theirs.kind in FILE_KINDS:
            return self._files(path, versions, ours, theirs)
        if ours.kind != theirs.kind:
            return self._apart("kinds", base, ours, theirs)
        if ours.kind == EntryKind.SYMLINK:
            return self._apart("symlink", base, ours, theirs)
        settled = self.reference(path, base, ours, theirs) if self.reference is not None else None
        return EntryMerge(settled) if settled is not None else EntryMerge(ours, "reference")

    def _apart(self, kind: ConflictKind, base: Entry | None, ours: Entry, theirs: Entry) -> EntryMerge:
        if self.depth:
            return EntryMerge(base if base is not None else ours, kind)
        return EntryMerge(ours, kind, beside=theirs)

    def _files(self, path: bytes, versions: Versions, ours: Entry, theirs: Entry) -> EntryMerge:
        base = versions.base if versions.base is not None and versions.base.kind in FILE_KINDS else None
        kind, modes_agree = ours.kind, True
        if ours.kind != theirs.kind:
            modes_agree = base is not None
            kind = theirs.kind if base is not None and ours.kind == base.kind else ours.kind
        conflict: ConflictKind | None = None if modes_agree else "mode"
        if ours.id == theirs.id or (base is not None and base.id == theirs.id):
            return EntryMerge(Entry(kind, ours.id, ours.size), conflict)
        if base is not None and base.id == ours.id:
            return EntryMerge(Entry(kind, theirs.id, theirs.size), conflict)
        merged = self.content(self._request(path, versions._replace(base=base), ours, theirs))
        if merged is None or merged.apart:
            apart = self._apart("add/add" if base is None else "binary", base, ours._replace(kind=kind), theirs)
            return apart._replace(notes=merged.notes) if merged is not None else apart
        if merged.conflicts:
            conflict = "add/add" if base is None else "content"
        return EntryMerge(Entry(kind, merged.id, merged.size), conflict, merged=True, notes=merged.notes)

    def _request(self, path: bytes, versions: Versions, ours: Entry, theirs: Entry) -> ContentRequest:
        labels = self.labels
        named = len({versions.ours_path, versions.theirs_path, versions.base_path if versions.base else path}) > 1

        def label(text: bytes, place: bytes) -> bytes:
            return text + b":" + place if named else text

        return ContentRequest(
            path,
            versions.base,
            ours,
            theirs,
            label(labels.base, versions.base_path),
            label(labels.ours, versions.ours_path),
            label(labels.theirs, versions.theirs_path),
            self.depth,
            self.tree,
        )


def _same(a: Entry | None, b: Entry | None) -> bool:
    return a == b or (a is not None and b is not None and a.kind == b.kind and a.id == b.id)
