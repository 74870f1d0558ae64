"""Directory entries, and which names they may have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from dsvc.errors import IntegrityError


class EntryKind(IntEnum):
    """What a name in a directory stands for. The numbers are part of the tree's format."""

    FILE = 1
    EXECUTABLE = 2
    SYMLINK = 3  # id: of the link's target text as content
    TREE = 4
    GITLINK = 5  # id: a git commit's, 20 or 32 bytes
    REFERENCE = 6  # content kept elsewhere
    SNAPSHOT = 7  # content kept by ZFS or another provider


FILE_KINDS = frozenset({EntryKind.FILE, EntryKind.EXECUTABLE})
CONTENT_KINDS = frozenset({EntryKind.FILE, EntryKind.EXECUTABLE, EntryKind.SYMLINK})


class Entry(NamedTuple):
    """What a name stands for: `kind` (an EntryKind), `id`, and `size` in bytes (a tree's is the sum below it)."""

    kind: int
    id: bytes
    size: int


class BadNameError(IntegrityError):
    """A directory entry has a name that could escape from the working copy or shadow its control files."""


# NTFS drops dots and spaces at a name's end and reads what follows a colon as a stream of the file before it.
_CONTROL = rb"(?:\.git|\.dsvc|git~[0-9]+|dsvc~[0-9]+)[. ]*(?::[^\x00]*)?"
_RESERVED = re.compile(rb"(?i)(?:\A|\x00)(?:\.{0,2}|" + _CONTROL + rb")(?=\x00|\Z)")
_RESERVED_FOLDED = re.compile(rb"(?i)" + _CONTROL)
# Code points that some file systems drop when they compare names: Unicode's Default_Ignorable_Code_Point.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def check_names(names: Sequence[bytes]) -> None:
    """Refuse names that no directory may hold: see docs/formats/tree.md.

    Raises:
        BadNameError: for `.git` or `.dsvc` in any case, with ignorable characters or as an 8.3 name; an empty
            name; `.`; `..`; a name with `/` or NUL.
    """
    if not names:
        return
    joined = b"\0".join(names)
    if b"/" in joined or joined.count(b"\0") != len(names) - 1 or _RESERVED.search(joined):
        raise BadNameError(f"a directory entry may not be named {_first_bad(names)!r}")
    if not joined.isascii():
        for name in names:
            if not name.isascii() and _RESERVED_FOLDED.fullmatch(_fold(name)):
                raise BadNameError(f"a directory entry may not be named {name!r}")


def are_valid_names(names: Sequence[bytes]) -> bool:
    """Say whether a directory may hold entries of all these names."""
    try:
        check_names(names)
    except BadNameError:
        return False
    return True


def is_valid_name(name: bytes) -> bool:
    """Say whether a directory may hold an entry of this name."""
    return are_valid_names([name])


def _first_bad(names: Iterable[bytes]) -> bytes:
    return next(n for n in names if b"/" in n or b"\0" in n or _is_reserved(n))


def _is_reserved(name: bytes) -> bool:
    return _RESERVED.search(name) is not None


def _fold(name: bytes) -> bytes:
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", name.decode("utf-8", "surrogateescape")))
    return text.encode("utf-8", "surrogateescape")
