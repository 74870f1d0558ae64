"""What `.dsvcattributes` says of files: how they are compared and merged.

The grammar is that of gitattributes(5): a pattern, then attributes as `name`, `-name`, `!name` or `name=value`. Later
lines count more than earlier ones, files in nearer directories more than those above. Patterns are read as in ignore
files; those that begin with `!` or end in a slash match no file. `binary` stands for `-diff -merge`. Macros of one's
own (`[attr]`) are passed over.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from dsvc.contents.path_rules import matcher, parse
from dsvc.objects import trees
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import FILE_KINDS

FILE_NAME = b".dsvcattributes"
GIT_FILE_NAME = b".gitattributes"  # what git and git-lfs read, and nothing of dsvc's but an export
_MAX_SIZE = 1 << 20  # bytes; a larger file is not read

Value: TypeAlias = str | bool
"""True for `name`, False for `-name`, text for `name=value`."""

NONE: Mapping[str, Value] = MappingProxyType({})
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"(?=[ \t]|$)')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


class _Line(NamedTuple):
    match: Callable[[bytes], re.Match[bytes] | None]
    anchored: bool
    changes: tuple[tuple[str, Value | None], ...]  # None takes back what was said


class Attributes:
    """The attributes of the files of one tree or working copy, read as they are asked for.

    `read` returns the attribute file of a directory (its path without a slash at the end), empty where there is none.
    """

    __slots__ = ("_known", "_read")

    def __init__(self, read: Callable[[bytes], bytes]) -> None:
        self._read = read
        self._known: dict[bytes, tuple[_Line, ...]] = {}

    def of(self, path: bytes) -> Mapping[str, Value]:
        """Return what is said of a file; nothing for most."""
        found: dict[str, Value] = {}
        name = path.rpartition(b"/")[2]
        parts = path.split(b"/")[:-1]
        for depth in range(len(parts) + 1):
            for line in self._lines(b"/".join(parts[:depth])):
                if line.match(path if line.anchored else name):
                    for key, value in line.changes:
                        if value is None:
                            found.pop(key, None)
                        else:
                            found[key] = value
        return found or NONE

    def _lines(self, directory: bytes) -> tuple[_Line, ...]:
        known = self._known.get(directory)
        if known is None:
            base = directory + b"/" if directory else b""
            known = self._known[directory] = tuple(_parse(self._read(directory), base))
        return known


NO_ATTRIBUTES = Attributes(lambda _directory: b"")


def attributes_of_tree(store: ObjectStore, tree_id: bytes, *, name: bytes = FILE_NAME) -> Attributes:
    """Return the attributes that a tree's own files of this name give."""

    def read(directory: bytes) -> bytes:
        entry = trees.lookup(store, tree_id, directory + b"/" + name if directory else name)
        if entry is None or entry.kind not in FILE_KINDS or entry.size > _MAX_SIZE:
            return b""
        try:
            return store.read_file(entry.id)
        except ObjectMissingError:
            return b""

    return Attributes(read)


def attributes_on_disk(place: Callable[[bytes], bytes]) -> Attributes:
    """Return the attributes that a working copy gives; `place` tells where a path lies. No link is followed."""

    def read(directory: bytes) -> bytes:
        path = place(directory + b"/" + FILE_NAME if directory else FILE_NAME)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SIZE:
                return b""
            with open(path, "rb") as file:
                return file.read(_MAX_SIZE)
        except OSError:
            return b""

    return Attributes(read)


def _parse(text: bytes, base: bytes) -> list[_Line]:
    lines = []
    for number, full in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = full.strip(b" \t\r")
        if not line or line.startswith((b"#", b"[attr]")):
            continue
        quoted = _QUOTED.match(line)
        if quoted is not None:
            pattern, rest = _ESCAPE.sub(_plain, quoted[1]), line[quoted.end() :]
        else:
            pattern, rest = [*line.split(None, 1), b""][:2]
        changes = tuple(change for word in rest.split() for change in _changes(word))
        lines += [
            _Line(matcher(rule), rule.anchored, changes)
            for rule in parse([pattern + b"\n"], b"%d" % number, base=base)
            if not rule.negated and not rule.directory_only and changes
        ]
    return lines


def _changes(word: bytes) -> list[tuple[str, Value | None]]:
    name, equals, value = word.decode("utf-8", "replace").partition("=")
    if equals:
        return [(name, value)]
    if name.startswith("-"):
        return [(name[1:], False)]
    if name.startswith("!"):
        return [(name[1:], None)]
    if name == "binary":
        return [("binary", True), ("diff", False), ("merge", False)]
    return [(name, True)]


def _plain(found: re.Match[bytes]) -> bytes:
    text = found[1]
    return bytes([int(text, 8) & 255]) if len(text) == 3 else _LETTERS.get(text, text)
