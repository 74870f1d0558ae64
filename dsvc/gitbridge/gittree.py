"""Git's tree objects as bytes: taken apart, put together, and which of them are not in canonical form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.tree import EntryKind

Oid = bytes  # a git object's id: 20 bytes
GitEntry = tuple[bytes, Oid]  # mode as git writes it, id

EMPTY_TREE = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
MODES = {
    EntryKind.FILE: b"100644",
    EntryKind.EXECUTABLE: b"100755",
    EntryKind.SYMLINK: b"120000",
    EntryKind.TREE: b"40000",
    EntryKind.GITLINK: b"160000",
}
_CANONICAL = frozenset(MODES.values())
_ENTRY = re.compile(rb"([0-7]{1,8}) ([^\0]+)\0(.{20})", re.DOTALL)
_S_IFMT, _S_IFDIR, _S_IFLNK, _S_IFLINK = 0o170000, 0o040000, 0o120000, 0o160000


class BadGitTreeError(IntegrityError):
    """A tree object of a git repository cannot be read, or holds a name that dsvc refuses."""


class GitTree(NamedTuple):
    """A git tree: its entries by name in the order of the object.

    `listing` is None for a tree that git itself would write so today. Otherwise it holds the modes and names in
    their order (`MODE SP NAME NUL` each), from which and the entries' ids the object follows.
    """

    entries: Mapping[bytes, GitEntry]
    listing: bytes | None


def parse_tree(raw: bytes) -> GitTree:
    """Take a tree object's bytes apart.

    Raises:
        BadGitTreeError: when they are not a tree's, or a name stands in it twice.
    """
    found = _ENTRY.findall(raw)
    if not found:
        if raw:
            raise BadGitTreeError("it is not of a git tree's form")
        return GitTree({}, None)
    modes, names, oids = zip(*found, strict=True)  # columns, for a directory may have a hundred thousand entries
    entries = dict(zip(names, zip(modes, oids, strict=True), strict=True))
    if sum(map(len, modes)) + sum(map(len, names)) + 22 * len(found) != len(raw):
        raise BadGitTreeError("it is not of a git tree's form")
    if len(entries) != len(found):
        raise BadGitTreeError("a name stands in it twice")
    kinds = set(modes)
    plain = kinds <= _CANONICAL
    if plain:
        keys = list(names)
        if b"40000" in kinds:
            keys = [name + b"/" if mode == b"40000" else name for mode, name in zip(modes, names, strict=True)]
            plain = EMPTY_TREE not in oids
        plain = plain and keys == sorted(keys)
    listing = None if plain else b"".join(b"%s %s\0" % (mode, name) for mode, name, _ in found)
    return GitTree(entries, listing)


def fits(listing: bytes, entries: Mapping[bytes, GitEntry]) -> bool:
    """Say whether a listing names exactly these entries, each with a mode of the same kind."""
    order = _order(listing)
    return len(order) == len(entries) and all(
        name in entries and kind_of(mode) == kind_of(entries[name][0]) for mode, name in order
    )


def compose_tree(tree: GitTree) -> bytes:
    """Return a tree object's bytes: with its listing's modes and order, in git's order where it has none."""
    if tree.listing is not None:
        return b"".join(b"%s %s\0%s" % (mode, name, tree.entries[name][1]) for mode, name in _order(tree.listing))
    items = [(name + b"/" if e[0] == b"40000" else name, name, e) for name, e in tree.entries.items()]
    return b"".join(b"%s %s\0%s" % (mode, name, oid) for _, name, (mode, oid) in sorted(items))


def _order(listing: bytes) -> list[tuple[bytes, bytes]]:
    return [(mode, name) for mode, _, name in (item.partition(b" ") for item in listing.split(b"\0")[:-1])]


def kind_of(mode: bytes) -> EntryKind:
    """Return what a mode stands for in dsvc; one that git does not know counts as a file."""
    number = int(mode, 8)
    kind = number & _S_IFMT
    if kind == _S_IFDIR:
        return EntryKind.TREE
    if kind == _S_IFLNK:
        return EntryKind.SYMLINK
    if kind == _S_IFLINK:
        return EntryKind.GITLINK
    return EntryKind.EXECUTABLE if number & 0o100 else EntryKind.FILE
