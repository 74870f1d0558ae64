"""Entries of trees in words, and sizes as people read them."""

from __future__ import annotations

import os
from typing import Any, Final

from dsvc.commands.path_text import path_json
from dsvc.objects.reference import shown_id
from dsvc.objects.tree import Entry, EntryKind

_WORDS: Final = {
    EntryKind.FILE: "file",
    EntryKind.EXECUTABLE: "executable",
    EntryKind.SYMLINK: "symlink",
    EntryKind.TREE: "tree",
    EntryKind.GITLINK: "gitlink",
    EntryKind.REFERENCE: "reference",
    EntryKind.SNAPSHOT: "snapshot",
}
_MODES: Final = {
    EntryKind.FILE: "100644",
    EntryKind.EXECUTABLE: "100755",
    EntryKind.SYMLINK: "120000",
    EntryKind.TREE: "040000",
    EntryKind.GITLINK: "160000",
    EntryKind.REFERENCE: "100644",
    EntryKind.SNAPSHOT: "040000",
}


def kind_word(entry: Entry) -> str:
    """What stands there, in one word."""
    return _WORDS[EntryKind(entry.kind)]


def git_mode(entry: Entry) -> str:
    """The six digits that git writes for an entry of this kind."""
    return _MODES[EntryKind(entry.kind)]


def entry_json(path: bytes, entry: Entry) -> dict[str, Any]:
    """An entry as an object of a JSON document."""
    return {**path_json(path), "kind": kind_word(entry), "id": shown_id(entry).hex(), "size": entry.size}


def human_size(size: int) -> str:
    """A size in bytes with a unit: `312 B`, `4.5 KiB`, `1.2 GiB`."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if value < 1023.95 or unit == "PiB":
            break
    return f"{value:.1f} {unit}"


def seen_from(path: bytes, directory: bytes) -> bytes:
    """A path of the repository as it is written in one of its folders."""
    if not directory:
        return path
    return os.path.relpath(b"/" + path, b"/" + directory)
