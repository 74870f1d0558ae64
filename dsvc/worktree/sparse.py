"""Partial working copies: which paths are checked out, by folders and by globs.

A pattern without a glob is a folder (or file) from the root: it is in with everything below, and so are the files
that lie directly in the folders that lead to it, as in git's cone mode. Any other pattern is a line of an ignore file
with the opposite meaning: what it matches is in, after a `!` out; the last one that matches decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from dsvc.atomic import write_file
from dsvc.contents.path_rules import Rule, matcher, parse
from dsvc.errors import UsageError

_GIVEN = "patterns are folders and files from the root of the working copy, or globs"
GLOB = re.compile(rb"[*?\[\\!]")


class BadPatternError(UsageError):
    """A pattern that names nothing a working copy can hold."""


class Includes(Protocol):
    """Says which paths are checked out."""

    def includes(self, path: bytes) -> bool:
        """Say whether a file, or an empty folder, at `path` is checked out."""


class Sparse:
    """The patterns of a partial working copy."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        """Take the patterns in order.

        Raises:
            BadPatternError: for one that is empty or leads out of the working copy.
        """
        folders: set[bytes] = set()
        self._rules: list[tuple[Rule, Callable[[bytes], object]]] = []
        for pattern in patterns:
            if GLOB.search(pattern):
                found = list(parse([pattern + b"\n"], b"sparse", base=b""))
                if not found:
                    raise BadPatternError(f"{os.fsdecode(pattern)!r} matches nothing", hint=_GIVEN)
                self._rules.append((found[0], matcher(found[0])))
                continue
            folder = pattern.strip(b"/")
            if b".." in folder.split(b"/") or b"\n" in folder or folder == b".":
                raise BadPatternError(f"{os.fsdecode(pattern)!r} is no folder of the working copy", hint=_GIVEN)
            folders.add(folder)
        self._folders = folders
        self._ways = {b""} if folders else set()
        for folder in folders:
            at = folder.rpartition(b"/")[0]
            while at:
                self._ways.add(at)
                at = at.rpartition(b"/")[0]
        # Where everything said is what to leave out, the rest is in.
        self._start = not folders and bool(self._rules) and self._rules[0][0].negated
        self._directory: bytes | None = None
        self._verdict = False
        self._matched: list[bool] = []

    def includes(self, path: bytes) -> bool:
        """Say whether a file, or an empty folder, at `path` is checked out."""
        directory, _, name = path.rpartition(b"/")
        if directory != self._directory:
            self._enter(directory)
        verdict = self._verdict or path in self._folders
        for (rule, match), matched in zip(self._rules, self._matched, strict=True):
            if matched or (not rule.directory_only and match(path if rule.anchored else name)):
                verdict = not rule.negated
        return verdict

    def _enter(self, directory: bytes) -> None:
        """Find out what holds for all files of one directory."""
        above: list[bytes] = []
        at = directory
        while at:
            above.append(at)
            at = at.rpartition(b"/")[0]
        self._verdict = self._start or directory in self._ways or any(a in self._folders for a in above)
        self._verdict = self._verdict or b"" in self._folders
        self._matched = [
            any(match(a if rule.anchored else a.rpartition(b"/")[2]) for a in above) for rule, match in self._rules
        ]
        self._directory = directory


def read_patterns(path: Path) -> tuple[bytes, ...]:
    """Return the patterns that a file keeps beside the index, for when that is made again; none where there is none."""
    try:
        return tuple(line for line in path.read_bytes().split(b"\n") if line)
    except FileNotFoundError:
        return ()


def write_patterns(path: Path, patterns: Sequence[bytes]) -> None:
    """Keep patterns in a file; no file for a full working copy."""
    if patterns:
        write_file(path, b"".join(pattern + b"\n" for pattern in patterns))
    else:
        path.unlink(missing_ok=True)
